//! Use cases, one per file: read, decide in the model, store the decision, answer.
//!
//! They know ports only. A decision that turns out to rest on something that changed meanwhile is
//! read and decided anew a few times; after that the caller is asked to come again.

mod answer;
mod apply_notices;
mod cancel_order;
mod create_order;
mod expire_orders;
mod fulfil_order;
mod pay_order;
mod products;
mod read_orders;
mod recover_payments;
mod refund_order;
mod request_refunds;
mod settle_payment;
mod sweep;
mod take_census;

#[cfg(test)]
mod testing;

use std::sync::Arc;

use chassis::clock::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

pub use answer::Answer;
pub use apply_notices::{News, PaymentNotice};
pub use cancel_order::CancelOrder;
pub use create_order::CreateOrder;
pub use pay_order::PayOrder;
pub use read_orders::{ListOrders, Listing, Told};
pub use refund_order::RefundOrder;
pub use take_census::Census;

use crate::client::PaymentGateway;
use crate::model::{Actor, Cause, Order, OrderError, OrderId, Requester};
use crate::repository::{Lease, OrderRepository, ProductRepository, WorkRepository};

/// How often a decision is made anew before the caller is asked to come again.
const ROUNDS: usize = 8;

/// Calls to payment-service that a worker makes at once: too few to be a burden to one that just
/// came back. It takes on no more than that either, so that its lease has to outlast one call only,
/// which by default takes at most 5 s of its 10 s. Where it is set to less than a call may take,
/// another worker may ask the same, which is harmless.
const CALLS_AT_ONCE: u32 = 8;

/// The outside world, as the use cases see it.
pub struct Ports {
    /// The price list.
    pub products: Arc<dyn ProductRepository>,
    /// Orders and claims.
    pub orders: Arc<dyn OrderRepository>,
    /// What is due.
    pub work: Arc<dyn WorkRepository>,
    /// payment-service.
    pub payments: Arc<dyn PaymentGateway>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Times and limits that the use cases follow.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long an order may stay unpaid.
    pub order_ttl: TimeDelta,
    /// How long a call holds its idempotency key before another one may finish its work.
    pub claim_lease: TimeDelta,
    /// How long an attempt may be unsettled before recovery asks about it; also how long a worker
    /// holds what it works on.
    pub recheck_after: TimeDelta,
    /// Longest pause between two questions about a payment that the provider has not decided.
    pub recheck_max: TimeDelta,
    /// From when on an unsettled order is shown to administrators.
    pub stuck_after: TimeDelta,
    /// How long idempotency keys and applied events are remembered.
    pub keep: TimeDelta,
    /// How many unpaid orders a user may have.
    pub open_per_user_max: u32,
    /// How much of what happened to an order is shown at most.
    pub timeline_max: u32,
    /// How much a worker takes on at once; one that calls payment-service, a few at most.
    pub batch: u32,
    /// Orders of one state that are counted at most.
    pub census_max: u32,
}

impl Default for Policy {
    /// What the compiled-in configuration says.
    fn default() -> Self {
        Self {
            order_ttl: TimeDelta::minutes(30),
            claim_lease: TimeDelta::seconds(5),
            recheck_after: TimeDelta::seconds(10),
            recheck_max: TimeDelta::minutes(5),
            stuck_after: TimeDelta::seconds(30),
            keep: TimeDelta::hours(48),
            open_per_user_max: 100,
            timeline_max: 500,
            batch: 50,
            census_max: 10_000,
        }
    }
}

/// The use cases of the service.
pub struct OrderService {
    ports: Ports,
    policy: Policy,
    refunds_due: Arc<Notify>,
}

/// Whether a worker should look again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing more is due.
    Idle,
    /// The batch was full: there is probably more.
    More,
}

impl OrderService {
    /// Connects the use cases to the outside world.
    pub fn new(ports: Ports, policy: Policy) -> Self {
        Self { ports, policy, refunds_due: Arc::default() }
    }

    /// Rings when a refund was requested.
    pub fn refunds_due(&self) -> Arc<Notify> {
        Arc::clone(&self.refunds_due)
    }

    fn now(&self) -> DateTime<Utc> {
        self.ports.clock.now()
    }

    /// Gets an order for someone who may see it, and tells in which capacity they act on it.
    async fn get_order_for(
        &self,
        requester: Requester,
        id: OrderId,
    ) -> Result<(Order, Actor), OrderError> {
        let order = self.ports.orders.find_order(id).await?.ok_or(OrderError::OrderNotFound)?;
        let actor = requester.act_on(&order)?;
        Ok((order, actor))
    }

    /// What a worker takes on that calls payment-service.
    fn lease(&self) -> Lease {
        let now = self.now();
        let limit = self.policy.batch.min(CALLS_AT_ONCE);
        Lease { now, until: now + self.policy.recheck_after, limit }
    }
}

/// Whether a worker that could do `limit` at once, and did so many, should look again.
fn progress(done: usize, limit: u32) -> Progress {
    if done >= limit as usize { Progress::More } else { Progress::Idle }
}

/// What was to be decided on changed faster than it could be.
fn contended() -> OrderError {
    OrderError::Unavailable { source: Cause::from("what was decided on keeps changing") }
}
