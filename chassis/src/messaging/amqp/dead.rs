//! The consumer of a queue of dead letters.
//!
//! Dead letters are few and precious: one is handled at a time, and one that cannot be kept is
//! tried again here, unacknowledged, instead of being returned to the queue, where a delivery limit
//! could drop it.

use std::sync::Arc;

use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection};
use tokio_util::sync::CancellationToken;

use super::broker::{Claim, FIRST_PAUSE, LinkError, within};
use crate::backoff::Backoff;
use crate::config::AmqpConfig;
use crate::error::Chain;
use crate::messaging::{DeadMessage, Graveyard, Trust, Untrusted};

/// Letters on their way at once.
const PREFETCH: u16 = 10;

/// The header in which the broker tells how a message died, newest death first.
const DEATHS: &str = "x-death";

/// Keeps the dead letters of one consumer.
pub(super) struct DeadLetterConsumer {
    claim: Claim,
    name: String,
    graveyard: Arc<dyn Graveyard>,
    config: AmqpConfig,
}

impl DeadLetterConsumer {
    pub(super) fn new(
        claim: Claim,
        name: &str,
        graveyard: Arc<dyn Graveyard>,
        config: &AmqpConfig,
    ) -> Self {
        // From the start, so that the first one is a rise that an alert sees.
        metrics::counter!("eh_consumer_dead_letters_total", "queue" => name.to_owned())
            .increment(0);
        Self { claim, name: name.to_owned(), graveyard, config: config.clone() }
    }

    /// Keeps dead letters until `stop` is cancelled. A letter under way then goes back to its queue.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_PAUSE, self.config.retry_backoff_max());
        let work = async {
            loop {
                let connection = self.claim.broker.connected().await;
                let Err(error) = self.consume(&connection).await;
                let queue = self.name.as_str();
                tracing::warn!(messaging.queue = queue, error = %Chain(&error), "dead letter consumer ended");
                backoff.pause().await;
            }
        };
        stop.run_until_cancelled(work).await;
    }

    async fn consume(
        &self,
        connection: &Connection,
    ) -> Result<std::convert::Infallible, LinkError> {
        let (_channel, mut deliveries) =
            within(self.config.connect_timeout(), self.subscribe(connection)).await?;
        loop {
            let delivery = deliveries.next().await.ok_or(LinkError::Cancelled)??;
            self.keep(&delivery).await;
            delivery.acker.ack(BasicAckOptions::default()).await?;
        }
    }

    async fn keep(&self, delivery: &Delivery) {
        let mut backoff = Backoff::new(FIRST_PAUSE, self.config.retry_backoff_max());
        let message = read(delivery, self.claim.broker.trust());
        while let Err(error) = self.graveyard.bury(message.clone()).await {
            tracing::warn!(error = %Chain(&error), "dead letter not kept yet");
            backoff.pause().await;
        }
        metrics::counter!("eh_consumer_dead_letters_total", "queue" => self.name.clone())
            .increment(1);
    }

    async fn subscribe(
        &self,
        connection: &Connection,
    ) -> Result<(Channel, lapin::Consumer), LinkError> {
        let topology = self.claim.broker.topology();
        let channel = topology.declare_dead_queue(connection, &self.name).await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let queue = topology.dead_queue(&self.name);
        let options = BasicConsumeOptions::default();
        let consumer = channel
            .basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default())
            .await?;
        Ok((channel, consumer))
    }
}

/// The broker says only that a message was rejected. If nobody vouches for it, that is why, and
/// whoever decides on it has to know.
fn reason(broker: String, payload: &[u8], trust: &Trust) -> String {
    match trust.open(payload) {
        Ok(_) | Err(Untrusted::NoEvent(_)) => broker,
        Err(untrusted) => format!("{broker}: {untrusted}"),
    }
}

fn read(delivery: &Delivery, trust: &Trust) -> DeadMessage {
    let death = delivery.properties.headers().as_ref().and_then(newest_death);
    let value = |key: &str| death.and_then(|death| death.inner().get(key));
    DeadMessage {
        // The dead letter exchange routes by the queue's name; the key of old is in the header.
        routing_key: match value("routing-keys") {
            Some(AMQPValue::FieldArray(keys)) => {
                keys.as_slice().first().map(text).unwrap_or_default()
            }
            _ => delivery.routing_key.to_string(),
        },
        reason: reason(value("reason").map(text).unwrap_or_default(), &delivery.data, trust),
        deaths: value("count").map_or(1, number),
        died_at: value("time").map_or(0, number),
        payload: delivery.data.clone(),
    }
}

fn newest_death(headers: &FieldTable) -> Option<&FieldTable> {
    let AMQPValue::FieldArray(deaths) = headers.inner().get(DEATHS)? else {
        return None;
    };
    match deaths.as_slice().first()? {
        AMQPValue::FieldTable(death) => Some(death),
        _ => None,
    }
}

fn text(value: &AMQPValue) -> String {
    match value {
        AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        AMQPValue::ShortString(text) => text.to_string(),
        _ => String::new(),
    }
}

fn number(value: &AMQPValue) -> u64 {
    match value {
        AMQPValue::Timestamp(seconds) => *seconds,
        AMQPValue::LongLongInt(count) => u64::try_from(*count).unwrap_or(0),
        AMQPValue::LongInt(count) => u64::try_from(*count).unwrap_or(0),
        AMQPValue::LongUInt(count) => (*count).into(),
        _ => 0,
    }
}
