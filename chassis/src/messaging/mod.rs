//! Messaging: envelopes, and the ports through which events leave and enter a service.
//!
//! Events are written to the [`outbox`](crate::outbox) together with the state they tell of; its
//! relay hands them to a [`Publisher`]. On the other side a consumer collects batches and hands
//! them to a [`Handler`], which applies each batch in one transaction together with the
//! [`inbox`](crate::inbox). Delivery is at least once, effects are exactly once. Producers sign what
//! they publish ([`Signer`]); what no producer signed becomes a dead letter ([`Trust`]).

pub mod amqp;
mod dead;
mod envelope;
pub mod memory;
mod signature;
pub(crate) mod trace;

use async_trait::async_trait;

pub use dead::{DeadMessage, Graveyard};
pub use envelope::{Envelope, EnvelopeError};
pub use signature::{EventKeys, Signer, Trust, Untrusted};

/// Applies events; the in-port of a consumer.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Applies all of `batch` or nothing of it.
    ///
    /// After a failure the same events come again, one by one, so that one bad event does not hold
    /// up the others. A panic counts as [`HandleError::Retry`].
    async fn handle(&self, batch: &[Envelope]) -> Result<(), HandleError>;
}

/// Why a batch was not applied.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// The attempt failed for a reason that may pass; the event comes again after a pause, until
    /// the queue's delivery limit makes it a dead letter.
    #[error("the event cannot be applied now")]
    Retry(#[source] anyhow::Error),
    /// The event can never be applied; it becomes a dead letter at once.
    #[error("the event can never be applied: {0}")]
    Poison(String),
}

/// Publishes messages; the out-port of the outbox relay.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Publishes `batch` and answers for each message, in order, whether the broker has taken
    /// responsibility for it.
    async fn publish(&self, batch: &[OutboundMessage]) -> Vec<Result<(), PublishError>>;
}

/// A message to publish: an encoded [`Envelope`] and what the transport has to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundMessage {
    /// The event's id, by which consumers recognise a repetition.
    pub id: String,
    /// Where the message goes, such as `order.paid`.
    pub routing_key: String,
    /// The encoded envelope.
    pub payload: String,
    /// W3C trace context of the operation that caused the event.
    pub traceparent: Option<String>,
}

/// Why a message does not count as published. In every case it may still have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no connection to the broker, or it ended before the answer came.
    #[error("no connection to the broker")]
    Disconnected,
    /// The broker is short of memory or disk and takes no messages.
    #[error("the broker blocks publishers")]
    Blocked,
    /// The broker refused responsibility, for example because a queue is full.
    #[error("the broker refused the message")]
    Refused,
    /// No queue is bound for the message; its consumer may be yet to come.
    #[error("the message is unroutable: {0}")]
    Unroutable(String),
    /// The broker's answer did not come in time.
    #[error("the broker did not confirm in time")]
    Timeout,
}

impl PublishError {
    /// The kind of error, for spans.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
            Self::Unroutable(_) => "unroutable",
            Self::Timeout => "timeout",
        }
    }
}
