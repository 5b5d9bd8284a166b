//! What exists on the broker, and why each part is declared as it is.
//!
//! In namespace `N`, events go to the topic exchange `N.events`, and from there to one queue per
//! consuming service, `N.order-service`. What a consumer gives up goes through the direct exchange
//! `N.dead` to that queue's `N.order-service.dead`.
//!
//! An event that no queue takes comes back to its publisher and stays in the outbox. That is what
//! happens before a consumer has declared its queue for the first time, or after the broker has
//! lost its data, so an alternate exchange, which would accept the event instead, would lose it to
//! the consumer that is about to come. The price: every event needs a consumer that subscribes.
//!
//! What exists with other arguments, for example from before a change of `amqp.delivery_limit`, is
//! used as it is: an old limit is better than no consumer.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

/// Messages that a queue holds before it refuses more. Refused events stay in the outbox, where
/// there is more room and the backlog is measured.
const QUEUE_LENGTH: i64 = 1_000_000;

/// Dead letters that a queue holds before the main queue keeps them.
const DEAD_LENGTH: i64 = 100_000;

/// The names in one namespace.
#[derive(Debug, Clone)]
pub struct Topology {
    namespace: String,
}

impl Topology {
    /// The topology of `namespace`.
    pub fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned() }
    }

    /// The topic exchange to which every event is published.
    pub fn events(&self) -> String {
        format!("{}.events", self.namespace)
    }

    /// The direct exchange through which dead letters reach their queues.
    pub fn dead(&self) -> String {
        format!("{}.dead", self.namespace)
    }

    /// The queue of the consumer `name`.
    pub fn queue(&self, name: &str) -> String {
        format!("{}.{name}", self.namespace)
    }

    /// The queue of the dead letters of the consumer `name`.
    pub fn dead_queue(&self, name: &str) -> String {
        format!("{}.{name}.dead", self.namespace)
    }

    /// Declares what everybody shares.
    pub(super) async fn declare_shared(&self, connection: &Connection) -> lapin::Result<Channel> {
        let mut declaring = Declaring::on(connection).await?;
        declaring.exchange(&self.dead(), ExchangeKind::Direct).await?;
        // Topic: services subscribe by pattern, such as `payment.*`.
        declaring.exchange(&self.events(), ExchangeKind::Topic).await?;
        Ok(declaring.channel)
    }

    /// Declares the queues of the consumer `name`, which subscribes to `patterns`.
    pub(crate) async fn declare_consumer(
        &self,
        connection: &Connection,
        name: &str,
        patterns: &[String],
        delivery_limit: u32,
    ) -> lapin::Result<Channel> {
        let main = self.queue(name);
        let mut declaring = Declaring::on(connection).await?;
        // First, so that no letter is ever without its queue.
        self.add_dead_queue(&mut declaring, name).await?;
        declaring.queue(&main, self.main_arguments(&main, delivery_limit)).await?;
        for pattern in patterns {
            declaring.bind(&main, &self.events(), pattern).await?;
        }
        Ok(declaring.channel)
    }

    /// Declares the queue of the dead letters of the consumer `name`.
    pub(super) async fn declare_dead_queue(
        &self,
        connection: &Connection,
        name: &str,
    ) -> lapin::Result<Channel> {
        let mut declaring = Declaring::on(connection).await?;
        self.add_dead_queue(&mut declaring, name).await?;
        Ok(declaring.channel)
    }

    async fn add_dead_queue(&self, declaring: &mut Declaring<'_>, name: &str) -> lapin::Result<()> {
        let dead = self.dead_queue(name);
        declaring.queue(&dead, dead_arguments()).await?;
        declaring.bind(&dead, &self.dead(), &self.queue(name)).await
    }

    fn main_arguments(&self, main: &str, delivery_limit: u32) -> FieldTable {
        table([
            // Replicated over the cluster's majority, and fsynced before a confirm.
            ("x-queue-type", text("quorum")),
            // Before RabbitMQ 4.0 there is no limit unless declared, and a poisonous message would
            // circle for ever.
            ("x-delivery-limit", AMQPValue::LongLongInt(delivery_limit.into())),
            ("x-dead-letter-exchange", text(&self.dead())),
            // One direct exchange for all: the queue's name tells its letters apart.
            ("x-dead-letter-routing-key", text(main)),
            // The default may lose a letter on its way: at-least-once keeps it here until the dead
            // letter queue has confirmed it. Requires the next argument.
            ("x-dead-letter-strategy", text("at-least-once")),
            // A full queue refuses, so that the publisher knows, rather than drop its oldest.
            ("x-overflow", text("reject-publish")),
            ("x-max-length", AMQPValue::LongLongInt(QUEUE_LENGTH)),
        ])
    }
}

fn dead_arguments() -> FieldTable {
    table([
        ("x-queue-type", text("quorum")),
        // Full means refuse: the letter then stays in the main queue instead of pushing out
        // another one that nobody has looked at.
        ("x-overflow", text("reject-publish")),
        ("x-max-length", AMQPValue::LongLongInt(DEAD_LENGTH)),
    ])
}

/// A channel on which things are declared. The broker closes it when it refuses one of them, and
/// the next one goes on.
struct Declaring<'c> {
    connection: &'c Connection,
    channel: Channel,
}

impl<'c> Declaring<'c> {
    async fn on(connection: &'c Connection) -> lapin::Result<Self> {
        Ok(Self { connection, channel: connection.create_channel().await? })
    }

    async fn exchange(&mut self, name: &str, kind: ExchangeKind) -> lapin::Result<()> {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let arguments = FieldTable::default();
        let declared =
            self.channel.exchange_declare(name.into(), kind.clone(), options, arguments).await;
        match declared {
            Err(error) if exists_otherwise(&error) => {
                tracing::error!(
                    messaging.exchange = name,
                    %error,
                    "exchange differs and is used as it is, delete it to have it declared anew"
                );
                let options = ExchangeDeclareOptions { passive: true, ..options };
                self.channel = self.connection.create_channel().await?;
                self.channel
                    .exchange_declare(name.into(), kind, options, FieldTable::default())
                    .await
            }
            declared => declared,
        }
    }

    async fn queue(&mut self, name: &str, arguments: FieldTable) -> lapin::Result<()> {
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        match self.channel.queue_declare(name.into(), options, arguments).await {
            Err(error) if exists_otherwise(&error) => {
                tracing::error!(
                    messaging.queue = name,
                    %error,
                    "queue differs and is used as it is, delete it when empty to have it declared anew"
                );
                let options = QueueDeclareOptions { passive: true, ..options };
                self.channel = self.connection.create_channel().await?;
                let found = self.channel.queue_declare(name.into(), options, FieldTable::default());
                found.await.map(|_| ())
            }
            declared => declared.map(|_| ()),
        }
    }

    async fn bind(&self, queue: &str, exchange: &str, key: &str) -> lapin::Result<()> {
        let options = QueueBindOptions::default();
        let (queue, exchange) = (queue.into(), exchange.into());
        self.channel.queue_bind(queue, exchange, key.into(), options, FieldTable::default()).await
    }
}

/// Says whether the broker refuses a declaration because what is there has other arguments (406).
fn exists_otherwise(error: &lapin::Error) -> bool {
    const DIFFERS: AMQPErrorKind = AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED);
    matches!(error.kind(), ErrorKind::ProtocolError(refusal) if *refusal.kind() == DIFFERS)
}

fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in entries {
        table.insert(key.into(), value);
    }
    table
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_of_the_namespace() {
        let topology = Topology::new("enterprisehub");
        assert_eq!(topology.events(), "enterprisehub.events");
        assert_eq!(topology.dead_queue("order-service"), "enterprisehub.order-service.dead");
    }

    #[test]
    fn a_consumers_queue_never_drops_silently() {
        let arguments = Topology::new("n").main_arguments("n.order-service", 5);
        let get = |key: &str| arguments.inner().get(key).cloned();
        assert_eq!(get("x-queue-type"), Some(text("quorum")));
        assert_eq!(get("x-dead-letter-strategy"), Some(text("at-least-once")));
        assert_eq!(get("x-overflow"), Some(text("reject-publish")));
        assert_eq!(get("x-delivery-limit"), Some(AMQPValue::LongLongInt(5)));
    }
}
