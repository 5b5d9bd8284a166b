//! Customers who order and read, each request once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::chaos::load::Account;
use crate::harness::Api;
use crate::harness::api::{Reply, new_key};
use crate::{seed, wait};

/// How often the balancer asks the gateways whether they are ready: well within the time that a
/// gateway which is told to end leaves between saying so and closing its port.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a number of requests may take that everybody makes in seconds.
const PATIENCE: Duration = Duration::from_mins(1);
/// Failures told in full.
const FAILURES_SHOWN: usize = 20;

/// The load, and what became of it.
pub(super) struct Load {
    gateways: Vec<Gateway>,
    visitor: Api,
    next: AtomicUsize,
    requests: AtomicUsize,
    failed: AtomicUsize,
    failures: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

/// A gateway as a balancer sees it.
struct Gateway {
    url: String,
    is_ready: AtomicBool,
}

impl Load {
    pub(super) fn new(gateways: Vec<String>) -> Result<Self> {
        let Some(first) = gateways.first() else { bail!("there is no gateway") };
        let visitor = Api::new(first)?;
        let ready = |url| Gateway { url, is_ready: AtomicBool::new(true) };
        Ok(Self {
            gateways: gateways.into_iter().map(ready).collect(),
            visitor,
            next: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            failures: Mutex::default(),
            is_over: AtomicBool::new(false),
        })
    }

    /// Requests that were answered, or not.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Those of them that failed.
    pub(super) fn failed(&self) -> usize {
        self.failed.load(Ordering::Relaxed)
    }

    /// Waits until so many more requests were answered, or not.
    pub(super) async fn until_more(&self, count: usize) -> Result<()> {
        let wanted = self.requests() + count;
        let what = format!("the end of {count} more requests");
        wait::until(&what, PATIENCE, || async { Ok((self.requests() >= wanted).then_some(())) })
            .await
    }

    /// The first of those that failed, and how many there were.
    pub(super) fn failures(&self) -> (usize, Vec<String>) {
        let shown = self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.failed(), shown)
    }

    /// Tells the customers that it is enough.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Orders and reads until told that it is enough; returns how many orders were acknowledged.
    pub(super) async fn run(&self, accounts: &[Account]) -> Result<usize> {
        let customers = try_join_all(accounts.iter().map(|account| self.shop(account)));
        let (orders, ()) = futures::future::try_join(customers, self.balance()).await?;
        Ok(orders.into_iter().sum())
    }

    async fn shop(&self, account: &Account) -> Result<usize> {
        let customer = self.visitor.with_token(&account.token);
        let body = json!({
            "items": [{"sku": seed::DEMO_SKU, "quantity": 1}],
            "payment_method": "pm_ok",
        });
        let mut orders = 0;
        while !self.is_over.load(Ordering::Relaxed) {
            let key = new_key();
            let placed = async |api: Api| api.post_once("/api/v1/orders", &key, &body).await;
            let Some(order) = self.ask(&customer, &[201, 202], placed).await else { continue };
            orders += 1;
            let path = format!("/api/v1/orders/{}", order["id"].as_str().unwrap_or_default());
            self.ask(&customer, &[200], async |api: Api| api.get(&path).await).await;
        }
        Ok(orders)
    }

    /// Asks once, at the next gateway that is ready. `None` if the answer is not one of the good ones.
    async fn ask(
        &self,
        customer: &Api,
        good: &[u16],
        send: impl AsyncFnOnce(Api) -> Result<Reply>,
    ) -> Option<Value> {
        let gateway = self.ready_gateway();
        let reply = send(customer.at(&gateway.url)).await;
        let answer = reply.and_then(|reply| reply.require_any(good));
        self.requests.fetch_add(1, Ordering::Relaxed);
        answer.map_err(|error| self.note(format!("{}: {error:#}", gateway.url))).ok()
    }

    fn note(&self, failure: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < FAILURES_SHOWN {
            failures.push(failure);
        }
    }

    /// In turn; if none is ready, any: that it fails has to be seen.
    fn ready_gateway(&self) -> &Gateway {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let at = |place: usize| &self.gateways[place % self.gateways.len()];
        let all = (first..first + self.gateways.len()).map(at);
        let mut ready = all.filter(|gateway| gateway.is_ready.load(Ordering::Relaxed));
        ready.next().unwrap_or_else(|| at(first))
    }

    /// Asks the gateways again and again whether they are ready, as a balancer before them does.
    async fn balance(&self) -> Result<()> {
        while !self.is_over.load(Ordering::Relaxed) {
            for gateway in &self.gateways {
                let reply = self.visitor.at(&gateway.url).get("/readyz").await;
                let is_ready = reply.is_ok_and(|reply| reply.status == 200);
                gateway.is_ready.store(is_ready, Ordering::Relaxed);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_is_not_ready_gets_nothing_while_another_is() {
        let load = Load::new(vec!["http://a".to_owned(), "http://b".to_owned()]).unwrap();
        let asked =
            |count| (0..count).map(|_| load.ready_gateway().url.as_str()).collect::<Vec<_>>();
        assert_eq!(asked(4), ["http://a", "http://b", "http://a", "http://b"]);
        load.gateways[0].is_ready.store(false, Ordering::Relaxed);
        assert_eq!(asked(3), ["http://b"; 3]);
        load.gateways[1].is_ready.store(false, Ordering::Relaxed);
        assert_eq!(asked(1).len(), 1, "that it fails has to be seen");
    }

    #[tokio::test]
    async fn more_requests_are_waited_for() {
        let load = Load::new(vec!["http://a".to_owned()]).unwrap();
        load.requests.store(7, Ordering::Relaxed);
        let others = async {
            tokio::task::yield_now().await;
            load.requests.fetch_add(2, Ordering::Relaxed);
        };
        let (waited, ()) = tokio::join!(load.until_more(2), others);
        waited.unwrap();
    }

    #[test]
    fn failures_are_counted_and_the_first_ones_told() {
        let load = Load::new(vec!["http://a".to_owned()]).unwrap();
        (0..30).for_each(|number| load.note(number.to_string()));
        let (count, shown) = load.failures();
        assert_eq!((count, shown.len(), shown[0].as_str()), (30, FAILURES_SHOWN, "0"));
    }
}
