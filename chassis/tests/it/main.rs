//! Integration tests of the chassis: real sockets, and real middleware where a test says so.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "what helpers of tests cannot do is a failed test, and their tasks end with it"
)]

mod answers;
mod calls;
mod census;
mod certificates;
mod consul;
mod consumer;
mod election;
mod heads;
mod identity;
mod inbox;
mod migrations;
mod outbox;
mod patience;
mod probes;
mod proof;
mod proxy;
mod publisher;
mod revocations;
mod support;
mod transactions;
