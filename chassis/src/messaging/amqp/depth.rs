//! How many messages wait in a queue, and in that of its dead letters, for operators: the consumer
//! itself never needs to know.

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

/// Looks at the queues of one consumer from time to time.
pub(super) struct Depth {
    broker: Broker,
    /// Each with the figure of it.
    queues: [(String, Gauge); 2],
    config: AmqpConfig,
}

impl Depth {
    pub(super) fn new(broker: Broker, name: &str, config: &AmqpConfig) -> Self {
        let (queue, dead) = (broker.topology().queue(name), broker.topology().dead_queue(name));
        let messages = gauge!("eh_consumer_queue_messages", "queue" => queue.clone());
        let letters = gauge!("eh_consumer_dead_queue_messages", "queue" => queue.clone());
        Self { broker, queues: [(queue, messages), (dead, letters)], config: config.clone() }
    }

    /// Looks until `stop` is cancelled. Without a connection the last figures stay.
    pub(super) async fn watch(self, stop: CancellationToken) {
        let work = async {
            loop {
                // First, because on the first day the consumer has yet to declare its queues.
                tokio::time::sleep(self.config.measure_every().max(PAUSE_MIN)).await;
                let connection = self.broker.connected().await;
                for (queue, figure) in &self.queues {
                    self.measure(&connection, queue, figure).await;
                }
            }
        };
        let _stopped: Option<()> = stop.run_until_cancelled(work).await;
    }

    async fn measure(&self, connection: &Connection, queue: &str, figure: &Gauge) {
        match within(self.config.connect_timeout(), look(connection, queue)).await {
            Ok(messages) => figure.set(messages),
            Err(error) => {
                tracing::debug!(messaging.queue = queue, error = %Chain(&error), "queue not measured");
            }
        }
    }
}

/// Asks the broker, which counts messages that are ready; those handed out are not among them. On a
/// channel of its own: the broker closes it when there is no such queue.
async fn look(connection: &Connection, queue: &str) -> Result<u32, LinkError> {
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let found = channel.queue_declare(queue.into(), options, FieldTable::default());
    let messages = found.await?.message_count();
    channel.close(200, "looked".into()).await?;
    Ok(messages)
}
