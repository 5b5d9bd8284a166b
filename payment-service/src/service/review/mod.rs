//! Comparing the books with the provider's, a step at a time.
//!
//! The steps walk the provider's ledger first, page by page, and then ask about payments whose
//! provider reference is not known, because only a callback told of them. No step holds more than a
//! page, and a walk can be interrupted and continued at any step.

mod cursor;
mod report;
mod step;
mod walk;

pub use cursor::Cursor;
pub use report::{ClassReport, GetReconciliation, Reconciliation};
pub use walk::{Walk, WalkSummary};
