//! The ways in: gRPC, the timers of reconciliation and ledger walk, and the simulated provider's callbacks.

pub mod callbacks;
pub mod callers;
mod convert;
mod error;
pub mod grpc;
pub mod ledger_walker;
pub mod reconciler;
