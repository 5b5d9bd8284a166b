//! The order service as its callers see it: over gRPC, on a real database, with a stand-in for
//! payment-service on a port of its own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test cannot go on without fails it")]

mod audit;
mod audit_log;
mod barrier;
mod calls;
mod cancelling;
mod catalogue;
mod chain;
#[cfg(feature = "failpoints")]
#[cfg(feature = "failpoints")]
mod crashes;
mod expiring;
mod fulfilling;
mod gateway;
mod harness;
mod idempotency;
mod keys;
mod notices;
mod paying;
mod payments;
mod placing;
mod pricing;
mod products;
mod races;
mod reading;
mod recovery;
mod refunding;
mod refusals;
mod starting;
mod trouble;
