//! The ways in: gRPC calls, consumed events, and the messages that the broker gave up on.

pub mod callers;
pub mod consumer;
mod convert;
pub mod dead_letters;
mod error;
pub mod grpc;
