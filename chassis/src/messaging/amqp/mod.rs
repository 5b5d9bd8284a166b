//! The RabbitMQ adapter: one connection per process, supervised.
//!
//! [`Broker`] is the process' connection. Its supervisor connects, declares the shared topology,
//! and connects again whenever the connection ends, for as long as the process lives; nobody waits
//! for it at start. [`AmqpPublisher`] and consumers use whichever connection is there and begin
//! anew on the next one. The client library's own recovery stays off: it would retry the first
//! connection silently, and replay a topology instead of declaring it.

mod apply;
mod batch;
mod broker;
mod consumer;
mod dead;
mod depth;
mod failure;
mod publisher;
mod tally;
mod topology;

pub use broker::Broker;
pub use publisher::AmqpPublisher;
pub use topology::Topology;
