//! The domain: payments, their state machine, the ledger, and what a provider says about a charge.
//!
//! Everything here is a pure function of its input: no I/O, no clock, no transport.

mod callback;
mod charge;
mod difference;
mod error;
mod event;
mod id;
mod ledger;
mod listing;
mod method;
mod money;
mod payment;
mod refund;
mod signature;
mod status;
mod surplus;

pub use callback::{Callback, CallbackReceipt, CallbackRecord, Notice, Ruling};
pub use charge::{Charge, Outcome, Reason};
pub use difference::{
    Booked, Comparison, Difference, DifferenceClass, charged_again, compare, compare_absent,
    compare_unreadable,
};
pub use error::{CODES, PaymentError};
pub use event::{EventKind, PaymentEvent};
pub use id::{OrderId, PaymentId, RefundId, UserId};
pub use ledger::{Account, Entry, Posting};
pub use listing::{ChargePage, ListedCharge, ListedRefund, UnreadableCharge};
pub use method::PaymentMethod;
pub use money::{Currency, Money};
pub use payment::{Change, Payment, Snapshot, Terms, Verdict};
pub use refund::{Refund, RefundStatus};
pub use signature::{CallbackKeys, KeysInvalid};
pub use status::{BEGINNINGS, PaymentStatus, TRANSITIONS, Trigger, mermaid};
pub use surplus::SurplusChange;
