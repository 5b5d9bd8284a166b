//! `[amqp]` and `[outbox]`: events between services.

use std::time::Duration;

use serde::Deserialize;

use super::bounds::at_least_one;
use super::{ConfigError, Secret};

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

    /// Refuses what the broker would take for "without a bound" (`prefetch`), or nothing could be done
    /// within.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.namespace.is_empty() {
            return Err(ConfigError::value("amqp.namespace", "must not be empty"));
        }
        at_least_one([
            ("amqp.prefetch", self.prefetch == 0),
            ("amqp.batch_max", self.batch_max == 0),
            ("amqp.delivery_limit", self.delivery_limit == 0),
            ("amqp.connect_timeout_ms", self.connect_timeout_ms == 0),
            ("amqp.confirm_timeout_ms", self.confirm_timeout_ms == 0),
            ("amqp.retry_backoff_max_ms", self.retry_backoff_max_ms == 0),
            ("amqp.measure_every_ms", self.measure_every_ms == 0),
        ])
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

    /// Refuses a relay that would publish nothing, or never pause.
    pub fn validate(&self) -> Result<(), ConfigError> {
        at_least_one([("outbox.batch", self.batch == 0), ("outbox.poll_ms", self.poll_ms == 0)])
    }
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self { batch: 200, poll_ms: 1_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bounds_nothing_is_refused_by_name() {
        let good = AmqpConfig::default();
        good.validate().unwrap();
        for (key, bad) in [
            ("namespace", AmqpConfig { namespace: String::new(), ..good.clone() }),
            ("prefetch", AmqpConfig { prefetch: 0, ..good.clone() }),
            ("batch_max", AmqpConfig { batch_max: 0, ..good.clone() }),
            ("delivery_limit", AmqpConfig { delivery_limit: 0, ..good.clone() }),
            ("connect_timeout_ms", AmqpConfig { connect_timeout_ms: 0, ..good.clone() }),
            ("confirm_timeout_ms", AmqpConfig { confirm_timeout_ms: 0, ..good.clone() }),
            ("retry_backoff_max_ms", AmqpConfig { retry_backoff_max_ms: 0, ..good.clone() }),
            ("measure_every_ms", AmqpConfig { measure_every_ms: 0, ..good.clone() }),
        ] {
            let error = bad.validate().unwrap_err().to_string();
            assert!(error.contains(&format!("amqp.{key}")), "{error}");
        }
    }

    #[test]
    fn a_relay_that_publishes_nothing_or_never_pauses_is_refused_by_name() {
        let good = OutboxConfig::default();
        good.validate().unwrap();
        let idle = OutboxConfig { batch: 0, ..good.clone() }.validate().unwrap_err();
        assert!(idle.to_string().contains("outbox.batch"), "{idle}");
        let restless = OutboxConfig { poll_ms: 0, ..good }.validate().unwrap_err();
        assert!(restless.to_string().contains("outbox.poll_ms"), "{restless}");
    }
}
