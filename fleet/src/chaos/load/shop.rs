//! What the load knows of the shop: who orders, and which orders there are in which state.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::draw::Draw;
use super::super::history::Call;
use super::client::Account;

/// An order as last seen.
#[derive(Clone, Debug)]
pub struct Known {
    /// Whose it is.
    pub account: Arc<Account>,
    /// State in the last reply about it.
    pub status: String,
    version: u64,
}

/// Accounts and orders.
#[derive(Debug)]
pub struct Shop {
    accounts: Vec<Arc<Account>>,
    orders: Mutex<BTreeMap<String, Known>>,
}

impl Shop {
    /// A shop with these customers.
    pub fn new(accounts: Vec<Account>) -> Self {
        let accounts = accounts.into_iter().map(Arc::new).collect();
        Self { accounts, orders: Mutex::default() }
    }

    /// All customers.
    pub fn customers(&self) -> &[Arc<Account>] {
        &self.accounts
    }

    /// A customer.
    pub fn customer(&self, draw: &mut Draw) -> Option<Arc<Account>> {
        draw.pick(&self.accounts).cloned()
    }

    /// An order in one of these states; in any when none is named.
    pub fn order(&self, statuses: &[&str], draw: &mut Draw) -> Option<(String, Arc<Account>)> {
        let orders = self.lock();
        let fits = |known: &Known| statuses.is_empty() || statuses.contains(&known.status.as_str());
        let fitting: Vec<_> = orders.iter().filter(|(_, known)| fits(known)).collect();
        // What is recent is what may still be under way.
        let recent = &fitting[fitting.len().saturating_sub(50)..];
        draw.pick(recent).map(|(id, known)| ((*id).clone(), known.account.clone()))
    }

    /// Remembers what a reply told about an order.
    pub fn learn(&self, account: &Arc<Account>, call: &Call) {
        let (Some(id), Some(status)) = (&call.order_id, &call.order_status) else { return };
        let version = call.order_version.unwrap_or_default();
        let mut orders = self.lock();
        let known = orders.entry(id.clone()).or_insert_with(|| Known {
            account: account.clone(),
            status: String::new(),
            version: 0,
        });
        if version >= known.version {
            known.status.clone_from(status);
            known.version = version;
        }
    }

    /// Every order that a reply has named, with its owner.
    pub fn all(&self) -> Vec<(String, Arc<Account>)> {
        self.lock().iter().map(|(id, known)| (id.clone(), known.account.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::history::Op;
    use super::super::super::history::fixtures::call;
    use super::*;

    #[test]
    fn an_order_is_found_by_the_state_of_its_newest_version() {
        let account = Account { user_id: "u-1".to_owned(), token: "t".to_owned() };
        let shop = Shop::new(vec![account]);
        let mut draw = Draw::new(1);
        let customer = shop.customer(&mut draw).unwrap();
        assert!(shop.order(&[], &mut draw).is_none());
        shop.learn(&customer, &call(Op::Place, (0, 1)));
        let late = Call {
            order_status: Some("CREATED".to_owned()),
            order_version: Some(1),
            ..call(Op::Place, (0, 2))
        };
        shop.learn(&customer, &late);
        assert_eq!(shop.order(&["PAID"], &mut draw).unwrap().0, "o-1");
        assert!(shop.order(&["CREATED"], &mut draw).is_none());
    }
}
