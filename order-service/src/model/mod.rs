//! The vocabulary of the service: what an order is and what may happen to it.
//!
//! Everything here is pure. Constructors validate, so that a value that exists is a valid one; time
//! and identities come in as arguments. Never does I/O.

mod attempt;
mod cart;
mod chain;
mod change;
mod currency;
mod diagram;
mod error;
mod explanation;
#[cfg(any(test, feature = "testing"))]
pub mod fixtures;
mod history;
mod idempotency;
mod money;
mod order;
mod placement;
mod product;
mod refund;
mod requester;
mod state;

pub use attempt::{Attempt, Outcome, PaymentId, PaymentMethod};
pub use cart::{Cart, Line};
pub use chain::{HistoryRow, RowHash};
pub use change::{Change, Effect, Guard, PaymentCase, Transition};
pub use currency::Currency;
pub use diagram::mermaid;
pub use error::{CODES, Cause, OrderError};
pub use explanation::{Explanation, Language};
pub use history::{Actor, Mark, Timeline, TimelineEntry, TimelineKind};
pub use idempotency::{Claim, Fingerprint, IdempotencyKey, KeyUse, Operation, StoredClaim};
pub use money::{MAX_AMOUNT, Money};
pub use order::{Item, Order, OrderId, OrderParts, UserId};
pub use placement::Placement;
pub use product::{Product, ProductDraft, Sku};
pub use refund::{Refund, RefundId, RefundReason};
pub use requester::{Requester, Role};
pub use state::{OrderStatus, TRANSITIONS, Trigger};
