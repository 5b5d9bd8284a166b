//! Ports to storage: what the use cases need to know of it, and nothing of how it is done.
//!
//! A use case reads, decides in the model, and stores the decision. A decision is a
//! [`Change`]; storing it is one transaction that holds only if what was
//! read is still true, together with its history, its event and the answer of the call.
//!
//! To add an adapter, implement the three traits and run it through the suite in `contract`. To
//! add a query, put it on the trait of the question it answers: the price list, one order, or what
//! is due.

mod audit;
#[cfg(any(test, feature = "testing"))]
pub mod contract;
mod envelope;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
pub mod mysql;
mod tally;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::model::{
    Change, Claim, KeyUse, Order, OrderError, OrderId, OrderStatus, PaymentCase, PaymentId,
    Placement, Product, ProductDraft, Refund, RefundId, Sku, StoredClaim, Timeline, UserId,
};

/// The price list.
#[async_trait]
pub trait ProductRepository: Send + Sync {
    /// Lists up to `limit` products in SKU order, after `after`.
    async fn list_products(
        &self,
        after: Option<&Sku>,
        limit: u32,
    ) -> Result<Vec<Product>, OrderError>;

    /// Finds a product.
    async fn find_product(&self, sku: &Sku) -> Result<Option<Product>, OrderError>;

    /// Creates the product of a draft, or replaces the one that is there.
    async fn put_product(
        &self,
        draft: &ProductDraft,
        now: DateTime<Utc>,
    ) -> Result<StoredProduct, OrderError>;
}

/// A product as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredProduct {
    /// There was none before.
    Created(Product),
    /// There was one before.
    Replaced(Product),
}

/// Orders, and the claims of the calls that change them.
#[async_trait]
pub trait OrderRepository: Send + Sync {
    /// Places an order in one transaction: claims the key, prices the lines, reserves their stock
    /// in SKU order, and stores the order with its first attempt, history and event. A line is sold
    /// at the price that its stock was offered at, or not at all. A refusal leaves nothing behind.
    ///
    /// A user with [`Placement::open_max`] unpaid orders is refused. They are counted when the stock is
    /// reserved: orders of one product wait for each other there, and none is missed. Orders that are
    /// placed at the same time and have no product in common may not see each other: as many more may
    /// come to pass as there are such calls at once.
    async fn place(&self, placement: &Placement) -> Result<Placed, OrderError>;

    /// Stores a change in one transaction with what it does to the claim of its call.
    ///
    /// An attempt that would be the second open one is [`OrderError::PaymentInProgress`].
    async fn save(&self, change: &Change, key: KeyUse<'_>) -> Result<Saved, OrderError>;

    /// Stores what follows from events in one transaction with their inbox rows. The change of an
    /// event that was applied before is left out.
    async fn save_events(
        &self,
        effects: &[EventEffect],
        now: DateTime<Utc>,
    ) -> Result<Saved, OrderError>;

    /// Finds an order.
    async fn find_order(&self, id: OrderId) -> Result<Option<Order>, OrderError>;

    /// Lists a user's orders, newest first.
    async fn list_orders(&self, query: &OrderQuery) -> Result<Vec<Order>, OrderError>;

    /// Tells what happened to an order lately: up to `limit` things, oldest first.
    async fn find_timeline(&self, id: OrderId, limit: u32) -> Result<Timeline, OrderError>;

    /// Finds payments with their orders; unknown ones are left out.
    async fn find_cases(&self, ids: &[PaymentId]) -> Result<Vec<PaymentCase>, OrderError>;

    /// Finds what is stored under the key of a claim.
    async fn find_claim(&self, claim: &Claim) -> Result<Option<StoredClaim>, OrderError>;

    /// Takes over a claim whose lease is `expired`; false when somebody else was faster.
    async fn take_over(
        &self,
        claim: &Claim,
        expired: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<bool, OrderError>;
}

/// How placing an order went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// The order is stored; this is its first attempt.
    Fresh(Box<PaymentCase>),
    /// The key was claimed before; nothing was stored.
    KeyTaken,
    /// A product changed after its price was read; nothing was stored.
    Stale,
}

/// How storing a change went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is stored.
    Done,
    /// What it was decided on is no longer true; nothing was stored.
    Stale,
    /// Another call with the same key stored its claim or answer first, which is the one that
    /// counts. A change that was to complete a claim is stored all the same.
    KeyTaken,
}

/// What follows from one event.
#[derive(Clone, Debug)]
pub struct EventEffect {
    /// Identity of the event.
    pub event_id: String,
    /// What it changes; `None` when it has no effect here.
    pub change: Option<Change>,
}

/// Which orders to list.
#[derive(Clone, Copy, Debug)]
pub struct OrderQuery {
    /// Whose orders.
    pub user_id: UserId,
    /// Only those in this state.
    pub status: Option<OrderStatus>,
    /// Only those before this one.
    pub before: Option<OrderId>,
    /// How many at most.
    pub limit: u32,
}

/// What is due: the questions of the background workers.
///
/// Leasing moves the due time of what is handed out to `until`, so that any number of replicas
/// share the work and what a dead one held comes up again.
#[async_trait]
pub trait WorkRepository: Send + Sync {
    /// Leases unsettled attempts that are due to be asked about.
    async fn lease_attempts(&self, lease: Lease) -> Result<Vec<PaymentCase>, OrderError>;

    /// Says that an attempt is not settled yet, and when to ask next.
    async fn postpone_attempt(&self, id: PaymentId, until: DateTime<Utc>)
    -> Result<(), OrderError>;

    /// Leases refunds that are due to be asked for.
    async fn lease_refunds(&self, lease: Lease) -> Result<Vec<Refund>, OrderError>;

    /// Says that a refund is not made yet, and when to ask next.
    async fn postpone_refund(&self, id: RefundId, until: DateTime<Utc>) -> Result<(), OrderError>;

    /// Lists unpaid orders whose time is over, the longest overdue first.
    async fn list_overdue(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<Order>, OrderError>;

    /// Lists orders with an attempt that is unsettled since `since` or longer, oldest order first.
    async fn list_stuck(
        &self,
        since: DateTime<Utc>,
        after: Option<OrderId>,
        limit: u32,
    ) -> Result<Vec<Order>, OrderError>;

    /// Counts the orders that are not over, by state and no further than `limit` each. A state without
    /// any is missing.
    async fn count_open(&self, limit: u32) -> Result<Vec<(OrderStatus, u32)>, OrderError>;

    /// Counts the refunds that were asked for and are not made yet, no further than `limit`.
    async fn count_owed(&self, limit: u32) -> Result<u32, OrderError>;

    /// Forgets up to `limit` claims and up to `limit` inbox rows from before `before`; returns how
    /// many.
    async fn sweep(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, OrderError>;
}

/// How much due work to hand out, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// What is due at this time.
    pub now: DateTime<Utc>,
    /// When it comes up again unless it is settled before.
    pub until: DateTime<Utc>,
    /// How much at most.
    pub limit: u32,
}
