//! The user service as its callers see it: over gRPC, on a real database.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test cannot go on without fails it")]

mod administering;
mod audit_log;
mod catalogue;
mod credentials;
mod harness;
mod links;
mod passwords;
mod profiles;
mod registering;
mod starting;
mod trouble;
