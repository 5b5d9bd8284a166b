//! gRPC between the services: one server stack, one client channel.
//!
//! [`GrpcApp`] is what a service serves; [`server`] puts the fleet's layers around it. [`Channel`]
//! is how a service calls another: it picks an instance, bounds the call and passes the caller's
//! [`context`] on. Retries happen in one place only, [`retry_idempotent`], chosen by the caller
//! that knows whether its operation may run twice. Who may call what is a table of each service,
//! [`Callers`]; who calls is known by [`crate::identity`].

pub mod context;
pub mod propagation;
pub mod server;

mod accept;
mod attempt;
mod budget;
mod callers;
mod channel;
mod connect;
mod failure;
mod greeting;
mod handshakes;
mod health;
mod layer;
mod link;
mod metrics;
mod picker;
mod reply;
mod retry;
mod timeout;
mod timestamp;
mod unsent;

pub use budget::RetryBudget;
pub use callers::{Callers, Line};
pub use channel::Channel;
pub use retry::retry_idempotent;
pub use server::GrpcApp;
pub use timestamp::timestamp;

/// Splits a request path into service and method: `/pkg.Service/Method`.
fn split_path(path: &str) -> (&str, &str) {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split_once('/').unwrap_or((path, ""))
}
