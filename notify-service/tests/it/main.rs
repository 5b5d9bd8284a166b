//! Notify-service over a loopback gRPC connection and real MySQL.

#![expect(clippy::unwrap_used, reason = "what helpers of tests cannot do is a failed test")]

#[cfg(feature = "failpoints")]
mod crashes;
mod dead_letters;
mod dead_mails;
mod harness;
mod inbox;
mod keys;
mod mails;
mod poison;
mod receipts;
mod refusals;
