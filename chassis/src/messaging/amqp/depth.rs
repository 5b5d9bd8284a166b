//! How many messages wait in a queue, for operators: the consumer itself never needs to know.

use std::time::Duration;

use lapin::Connection;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use metrics::{Gauge, gauge};
use tokio_util::sync::CancellationToken;

use super::broker::{Broker, LinkError, within};
use crate::config::AmqpConfig;
use crate::error::Chain;

/// The shortest pause between two looks, whatever is configured.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// Looks at the queue of one consumer from time to time.
pub(super) struct Depth {
    broker: Broker,
    queue: String,
    config: AmqpConfig,
    messages: Gauge,
}

impl Depth {
    pub(super) fn new(broker: Broker, name: &str, config: &AmqpConfig) -> Self {
        let queue = broker.topology().queue(name);
        let messages = gauge!("eh_consumer_queue_messages", "queue" => queue.clone());
        Self { broker, queue, config: config.clone(), messages }
    }

    /// Looks until `stop` is cancelled. Without a connection the last figure stays.
    pub(super) async fn watch(self, stop: CancellationToken) {
        let work = async {
            loop {
                // First, because on the first day the consumer has yet to declare its queue.
                tokio::time::sleep(self.config.measure_every().max(PAUSE_MIN)).await;
                let connection = self.broker.connected().await;
                match within(self.config.connect_timeout(), self.look(&connection)).await {
                    Ok(messages) => self.messages.set(messages),
                    Err(error) => {
                        let queue = self.queue.as_str();
                        tracing::debug!(messaging.queue = queue, error = %Chain(&error), "queue not measured");
                    }
                }
            }
        };
        let _stopped: Option<()> = stop.run_until_cancelled(work).await;
    }

    /// Asks the broker, which counts messages that are ready; those handed out are not among them. On
    /// a channel of its own: the broker closes it when there is no such queue.
    async fn look(&self, connection: &Connection) -> Result<u32, LinkError> {
        let channel = connection.create_channel().await?;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found =
            channel.queue_declare(self.queue.as_str().into(), options, FieldTable::default());
        let messages = found.await?.message_count();
        channel.close(200, "looked".into()).await?;
        Ok(messages)
    }
}
