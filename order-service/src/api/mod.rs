//! The ways in: gRPC for callers, RabbitMQ for events. Parse, call a use case, render.

pub mod callers;
pub mod consumer;
mod convert;
mod error;
pub mod grpc;
