//! The payment service as its callers see it: over gRPC, on a real database.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what helpers of tests cannot do is a failed test"
)]

mod callbacks;
mod closing;
mod creating;
mod harness;
mod ledgers;
mod reading;
mod recovery;
mod refunding;
mod surplus;
