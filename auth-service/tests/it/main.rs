//! The auth service as its callers see it: over gRPC, on a real database, with a stand-in for
//! user-service on a port of its own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test cannot go on without fails it")]

mod accounts;
mod catalogue;
mod harness;
mod housekeeping;
mod keys;
mod login;
mod logout;
mod refreshing;
mod reuse;
mod revocations;
mod sessions;
mod starting;
mod throttling;
