//! Payment service: takes money for orders through a payment provider and gives it back.
//!
//! It owns one payment per attempt, moved by a declared state machine, with a double-entry ledger
//! beside it. What the provider did is never guessed: an outcome that is not known stays unknown
//! until the provider's answer, its signed callback, or the reconciliation settles it, once.

pub mod model;

pub mod client;
pub mod repository;

pub mod service;

pub mod api;

pub mod config;

pub mod app;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use app::App;
