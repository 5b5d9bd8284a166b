//! `[amqp]` and `[outbox]`: events between services.

use std::time::Duration;

use serde::Deserialize;

use super::Secret;

/// What RabbitMQ 4 itself takes for a quorum queue that names no limit.
const DELIVERY_LIMIT: u32 = 20;

/// The RabbitMQ broker and how this service consumes from it.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AmqpConfig {
    /// `amqp://account:password@host:port/vhost`; empty means no broker: events wait in the outbox.
    pub url: Secret,
    /// First part of the name of every exchange and queue.
    pub namespace: String,
    /// Messages that the broker hands out before it waits for acknowledgements.
    pub prefetch: u16,
    /// Messages applied in one transaction at most.
    pub batch_max: usize,
    /// Longest wait for a batch to fill.
    pub batch_wait_ms: u64,
    /// Redeliveries after which a message becomes a dead letter. Each crash of a consumer costs what
    /// it held one of them.
    pub delivery_limit: u32,
    /// Longest attempt to connect.
    pub connect_timeout_ms: u64,
    /// Longest wait for the broker's confirmation of a publication.
    pub confirm_timeout_ms: u64,
    /// Longest pause between two attempts to connect or to handle a message.
    pub retry_backoff_max_ms: u64,
    /// How often the messages that wait are counted.
    pub measure_every_ms: u64,
}

impl AmqpConfig {
    /// Longest wait for a batch to fill.
    pub fn batch_wait(&self) -> Duration {
        Duration::from_millis(self.batch_wait_ms)
    }

    /// Longest attempt to connect.
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    /// Longest wait for the broker's confirmation of a publication.
    pub fn confirm_timeout(&self) -> Duration {
        Duration::from_millis(self.confirm_timeout_ms)
    }

    /// Longest pause between two attempts to connect or to handle a message.
    pub fn retry_backoff_max(&self) -> Duration {
        Duration::from_millis(self.retry_backoff_max_ms)
    }

    /// How often the messages that wait are counted.
    pub fn measure_every(&self) -> Duration {
        Duration::from_millis(self.measure_every_ms)
    }
}

impl Default for AmqpConfig {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            namespace: "enterprisehub".to_owned(),
            prefetch: 200,
            batch_max: 100,
            batch_wait_ms: 20,
            delivery_limit: DELIVERY_LIMIT,
            connect_timeout_ms: 5_000,
            confirm_timeout_ms: 5_000,
            retry_backoff_max_ms: 10_000,
            measure_every_ms: 5_000,
        }
    }
}

/// How the outbox is emptied.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboxConfig {
    /// Events published in one go.
    pub batch: u32,
    /// How often the outbox is looked at when nobody rang the bell.
    pub poll_ms: u64,
}

impl OutboxConfig {
    /// How often the outbox is looked at when nobody rang the bell.
    pub fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self { batch: 200, poll_ms: 1_000 }
    }
}
