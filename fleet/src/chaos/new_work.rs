//! New work for a fleet that had its faults: one that is at rest because it refuses everybody must
//! not pass for one that is well.
//!
//! The orders go through the sender and the shop of the load, hence the history, the last reads and
//! the audit know them like all others. Their customers, keys and pauses come from the seed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::try_join_all;
use serde::Serialize;
use serde_json::json;

use super::checks::Violation;
use super::draw::Draw;
use super::history::{Call, Op, Outcome};
use super::load::{Account, Ask, PAUSE, Sender, Shop};
use crate::seed;

/// Orders that each gateway gets.
const PER_GATEWAY: usize = 5;
/// Pays at once, whichever the provider is.
const METHOD: &str = "pm_ok";
/// What an order that was served is in the end.
const PAID: &str = "PAID";
/// The promise.
const CHECK: &str = "new work is served after the faults";

/// What came of the new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NewWork {
    /// Orders that were asked for.
    pub offered: usize,
    /// Those that were paid within the limit.
    pub served: usize,
    /// When the last of these was known to be paid; absent when none was.
    pub longest_ms: Option<u64>,
    /// Longest time that this was allowed to take.
    pub limit_ms: u64,
}

/// Offers new orders to every gateway, all at once, and judges what came of them.
pub async fn offer(
    sender: &Sender,
    shop: &Shop,
    seed: u64,
    limit: Duration,
) -> Result<(NewWork, Vec<Violation>)> {
    let start = Instant::now();
    let customers = orders(shop, sender.gateways(), seed).into_iter();
    let trials = customers.map(|order| order.pursue(sender, shop, (start, limit)));
    Ok(judge(&try_join_all(trials).await?, limit))
}

/// An order to place, and where.
#[derive(Debug)]
struct Order {
    key: String,
    ask: Ask,
    gateway: usize,
    /// For the pauses of its customer.
    draw: Draw,
}

/// The orders of a seed: the customers in turn, and the gateways too.
fn orders(shop: &Shop, gateways: usize, seed: u64) -> Vec<Order> {
    let mut draw = Draw::new(seed).fork("new work");
    let customers = shop.customers().iter().cycle().take(PER_GATEWAY * gateways).enumerate();
    let order = |(place, account): (usize, &Arc<Account>)| {
        let key = format!("chaos-{:016x}{:016x}", draw.number(), draw.number());
        let items = json!([{"sku": seed::DEMO_SKU, "quantity": 1}]);
        let ask = Ask {
            op: Op::Place,
            account: Arc::clone(account),
            order_id: None,
            key: Some(key.clone()),
            body: Some(json!({"items": items, "payment_method": METHOD})),
        };
        Order { key, ask, gateway: place % gateways, draw: Draw::new(draw.number()) }
    };
    customers.map(order).collect()
}

/// What came of one order.
#[derive(Debug)]
struct Trial {
    key: String,
    /// From the offer until it was known to be paid.
    paid_ms: Option<u64>,
    /// The last call about it, in words.
    last: String,
}

impl Order {
    /// Places it, and reads it until it is paid, cannot be any more, or the time is over. A call
    /// under way is never given up: what came of it belongs to the history.
    async fn pursue(
        mut self,
        sender: &Sender,
        shop: &Shop,
        (start, limit): (Instant, Duration),
    ) -> Result<Trial> {
        let mut pause = PAUSE.0;
        loop {
            let call = sender.send(&self.ask, self.gateway).await?;
            if call.outcome == Outcome::Ok {
                shop.learn(&self.ask.account, &call);
            }
            let mut trial = Trial { key: self.key.clone(), paid_ms: None, last: seen(&call) };
            match next(&call) {
                Next::Paid => {
                    let elapsed_ms = start.elapsed().as_millis();
                    trial.paid_ms = Some(u64::try_from(elapsed_ms).unwrap_or(u64::MAX));
                    return Ok(trial);
                }
                Next::Never => return Ok(trial),
                Next::Again => {}
                Next::Read(order) => {
                    let account = Arc::clone(&self.ask.account);
                    let order_id = Some(order);
                    self.ask = Ask { op: Op::Read, account, order_id, key: None, body: None };
                }
            }
            let percent = u32::try_from(self.draw.between(50, 150)).unwrap_or(100);
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(trial);
            }
            tokio::time::sleep(left.min(pause * percent / 100)).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}

/// What a customer does after a reply.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Nothing more: the order is paid.
    Paid,
    /// The same call again, under the same key: it was put off, or nobody knows.
    Again,
    /// A look at the order, which is not paid yet.
    Read(String),
    /// Nothing more: it was refused.
    Never,
}

fn next(call: &Call) -> Next {
    if call.must_be_repeated() {
        return Next::Again;
    }
    match (call.outcome, &call.order_id) {
        (Outcome::Ok, _) if call.order_status.as_deref() == Some(PAID) => Next::Paid,
        (Outcome::Ok, Some(order)) => Next::Read(order.clone()),
        _ => Next::Never,
    }
}

fn seen(call: &Call) -> String {
    let status = call.order_status.as_deref().unwrap_or("no state of an order");
    format!("gateway {}: {}, {status}", call.gateway, call.describe())
}

/// Every order has to be paid within the limit.
fn judge(trials: &[Trial], limit: Duration) -> (NewWork, Vec<Violation>) {
    let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let in_time = |trial: &Trial| trial.paid_ms.filter(|ms| *ms <= limit_ms);
    let violations = trials.iter().filter(|trial| in_time(trial).is_none()).map(|trial| {
        let when = match trial.paid_ms {
            Some(ms) => format!("paid after {ms} ms"),
            None => "not paid".to_owned(),
        };
        let detail = format!("{when}, limit {limit_ms} ms; last: {}", trial.last);
        Violation::new(CHECK, trial.key.clone(), detail)
    });
    let violations: Vec<Violation> = violations.collect();
    let (offered, served) = (trials.len(), trials.len() - violations.len());
    let longest_ms = trials.iter().filter_map(in_time).max();
    (NewWork { offered, served, longest_ms, limit_ms }, violations)
}

#[cfg(test)]
mod tests {
    use super::super::history::fixtures::call;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(15);

    fn trial(key: &str, paid_ms: Option<u64>) -> Trial {
        Trial { key: key.to_owned(), paid_ms, last: "the last reply".to_owned() }
    }

    fn shop() -> Shop {
        let account = |n| Account { user_id: format!("u-{n}"), token: "t".to_owned() };
        Shop::new((0..20).map(account).collect())
    }

    #[test]
    fn work_that_is_served_in_time_is_no_violation() {
        let trials = [trial("k-1", Some(900)), trial("k-2", Some(15_000))];
        let (work, violations) = judge(&trials, LIMIT);
        assert_eq!(violations, []);
        assert_eq!((work.offered, work.served), (2, 2));
        assert_eq!((work.longest_ms, work.limit_ms), (Some(15_000), 15_000));
    }

    #[test]
    fn every_order_that_is_refused_or_late_is_a_violation() {
        let trials = [trial("k-1", Some(900)), trial("k-2", None), trial("k-3", Some(15_001))];
        let (work, violations) = judge(&trials, LIMIT);
        assert_eq!((work.offered, work.served, work.longest_ms), (3, 1, Some(900)));
        let subjects: Vec<&str> = violations.iter().map(|one| one.subject.as_str()).collect();
        assert_eq!(subjects, ["k-2", "k-3"]);
        assert!(violations.iter().all(|one| one.check == CHECK));
        assert!(violations[0].detail.starts_with("not paid, limit 15000 ms; last: the last"));
        assert!(violations[1].detail.starts_with("paid after 15001 ms"));
    }

    #[test]
    fn a_fleet_at_rest_that_refuses_everybody_is_found() {
        let refused = [trial("k-1", None), trial("k-2", None)];
        let (work, violations) = judge(&refused, LIMIT);
        assert_eq!((work.served, work.longest_ms, violations.len()), (0, None, 2));
    }

    #[test]
    fn who_is_put_off_asks_again_and_who_is_refused_does_not() {
        let paid = call(Op::Place, (0, 1));
        assert_eq!(next(&paid), Next::Paid);
        let created = Call { order_status: Some("CREATED".to_owned()), ..paid.clone() };
        assert_eq!(next(&created), Next::Read("o-1".to_owned()));
        let unknown = Call { outcome: Outcome::Unknown, order_status: None, ..paid.clone() };
        assert_eq!(next(&Call { status: 503, ..unknown.clone() }), Next::Again);
        assert_eq!(next(&Call { status: 0, ..unknown }), Next::Again);
        let refused = Call { outcome: Outcome::Refused, order_status: None, ..paid };
        assert_eq!(next(&Call { status: 429, ..refused.clone() }), Next::Again);
        assert_eq!(next(&Call { status: 422, ..refused }), Next::Never);
    }

    #[test]
    fn the_orders_of_a_seed_are_the_same_again_and_reach_every_gateway() {
        let keys = |seed| -> Vec<String> {
            orders(&shop(), 2, seed).into_iter().map(|order| order.key).collect()
        };
        assert_eq!(keys(1), keys(1));
        assert!(keys(1).iter().all(|key| !keys(2).contains(key)));
        let all = orders(&shop(), 2, 1);
        let at = |gateway| all.iter().filter(|order| order.gateway == gateway).count();
        assert_eq!((at(0), at(1)), (PER_GATEWAY, PER_GATEWAY));
        let users: std::collections::BTreeSet<&str> =
            all.iter().map(|order| order.ask.account.user_id.as_str()).collect();
        assert_eq!(users.len(), all.len(), "each is another customer's");
    }
}
