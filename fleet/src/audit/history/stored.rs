//! What is stored of the orders and keys that a history names, fetched in bulk.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;
use uuid::Uuid;

use super::Call;
use crate::audit::snapshot::Snapshot;

/// Rows asked for by one statement.
const CHUNK: usize = 500;

/// The key of a call: whose, for what, which.
pub(super) type Key = (Uuid, &'static str, String);

/// What order-service keeps.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Owner of each order.
    pub(super) owners: HashMap<Uuid, Uuid>,
    /// Each order's states by version.
    pub(super) states: HashMap<Uuid, Vec<(u64, String)>>,
    /// The order of each key.
    pub(super) claims: HashMap<(Uuid, String, String), Uuid>,
    /// Orders that were paid anew, by attempts.
    pub(super) attempts: HashMap<Uuid, usize>,
}

impl Stored {
    pub(super) async fn load(snapshot: &mut Snapshot, calls: &[Call]) -> Result<Self> {
        let mut stored = Self::default();
        let orders: BTreeSet<Uuid> = calls.iter().filter_map(|call| call.order_id).collect();
        let orders: Vec<Uuid> = orders.into_iter().collect();
        for chunk in orders.chunks(CHUNK) {
            stored.load_orders(snapshot, &list(chunk)).await?;
        }
        let users: BTreeSet<Uuid> = calls.iter().map(|call| call.user_id).collect();
        let users: Vec<Uuid> = users.into_iter().collect();
        for chunk in users.chunks(CHUNK) {
            stored.load_claims(snapshot, &list(chunk)).await?;
        }
        Ok(stored)
    }

    async fn load_orders(&mut self, snapshot: &mut Snapshot, ids: &str) -> Result<()> {
        let owners = format!("SELECT id, user_id FROM {{order}}.orders WHERE id IN ({ids})");
        self.owners.extend(snapshot.rows::<(Uuid, Uuid)>(&owners).await?);
        let states = format!(
            "SELECT order_id, version, CONVERT(to_status USING utf8mb4) \
             FROM {{order}}.order_history WHERE order_id IN ({ids}) ORDER BY order_id, version"
        );
        for (order, version, status) in snapshot.rows::<(Uuid, u64, String)>(&states).await? {
            self.states.entry(order).or_default().push((version, status));
        }
        let attempts = format!(
            "SELECT id, order_id FROM {{order}}.payment_attempts WHERE order_id IN ({ids})"
        );
        for (_, order) in snapshot.rows::<(Uuid, Uuid)>(&attempts).await? {
            *self.attempts.entry(order).or_default() += 1;
        }
        Ok(())
    }

    async fn load_claims(&mut self, snapshot: &mut Snapshot, users: &str) -> Result<()> {
        let claims = format!(
            "SELECT user_id, CONVERT(operation USING utf8mb4), CONVERT(claim_key USING utf8mb4), \
             order_id FROM {{order}}.idempotency_claims WHERE user_id IN ({users})"
        );
        for (user, operation, key, order) in
            snapshot.rows::<(Uuid, String, String, Uuid)>(&claims).await?
        {
            self.claims.insert((user, operation, key), order);
        }
        Ok(())
    }

    pub(super) fn order_of(&self, (user, operation, key): &Key) -> Option<Uuid> {
        let key = (*user, (*operation).to_owned(), key.clone());
        self.claims.get(&key).copied()
    }

    /// Whether an order was in a state, at a version where that is known.
    pub(super) fn was(&self, order: Uuid, status: &str, version: Option<u64>) -> bool {
        self.states.get(&order).is_some_and(|states| {
            let is_it = |(known, name): &(u64, String)| {
                name == status && version.is_none_or(|version| version == *known)
            };
            states.iter().any(is_it)
        })
    }
}

fn list(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| format!("x'{}'", id.simple())).collect();
    ids.join(",")
}
