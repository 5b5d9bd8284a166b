//! Isolated RabbitMQ namespaces for tests.

#![expect(clippy::panic, reason = "a test without its middleware cannot go on")]

use std::time::Duration;

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::task::JoinHandle;

use crate::config::{AmqpConfig, Secret};
use crate::id::new_id;
use crate::messaging::EventKeys;
use crate::messaging::amqp::{Broker, Topology};
use crate::shutdown::Shutdown;

/// The variable that holds the broker's URL.
const URL: &str = "EH_TEST_AMQP_URL";

/// How long tests wait for the broker.
const PATIENCE: Duration = Duration::from_secs(20);

/// A random namespace on the broker that `EH_TEST_AMQP_URL` points to, and a connection to it.
///
/// Ends with [`finish`](Self::finish), which deletes what the namespace holds.
pub struct TestBroker {
    config: AmqpConfig,
    broker: Broker,
    shutdown: Shutdown,
    supervisor: JoinHandle<()>,
}

impl TestBroker {
    /// Picks a namespace and starts to connect. The pauses before repetitions are short.
    ///
    /// # Panics
    ///
    /// When the variable is not set or is no AMQP URL.
    #[expect(clippy::disallowed_methods, reason = "tests have no tracked spawner")]
    pub fn new() -> Self {
        let config = AmqpConfig {
            url: Secret::new(super::variable(URL)),
            namespace: format!("eh-test-{}", new_id().simple()),
            retry_backoff_max_ms: 100,
            ..AmqpConfig::default()
        };
        let shutdown = Shutdown::new();
        let broker = Broker::new(&config, "test", EventKeys::for_anybody())
            .unwrap_or_else(|error| panic!("{URL}: {error}"));
        let supervisor = tokio::spawn(broker.clone().supervise(shutdown.clone()));
        Self { config, broker, shutdown, supervisor }
    }

    /// The configuration by which a service would use the namespace.
    pub fn config(&self) -> AmqpConfig {
        self.config.clone()
    }

    /// The connection. What is published by it is signed, with the key for development of whomever
    /// the event says that it is from.
    pub fn broker(&self) -> Broker {
        self.broker.clone()
    }

    /// Waits until the broker is connected.
    ///
    /// # Panics
    ///
    /// When that takes too long.
    pub async fn connected(&self) {
        let waited = tokio::time::timeout(PATIENCE, self.broker.wait_connected()).await;
        assert!(waited.is_ok(), "{URL}: no connection");
    }

    /// Declares the queue of a consumer that does not run: what it subscribes to waits in there,
    /// instead of coming back to its publisher.
    ///
    /// # Panics
    ///
    /// When the broker does not do it.
    pub async fn subscribe(&self, name: &str, patterns: &[&str]) {
        self.connected().await;
        // Channels end with their connection; one that is dropped before it is in its way.
        let (connection, _first) = open(&self.config).await;
        let patterns: Vec<_> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let limit = self.config.delivery_limit;
        let topology = self.broker.topology();
        let _second = topology
            .declare_consumer(&connection, name, &patterns, limit)
            .await
            .unwrap_or_else(failed);
        connection.close(200, "bye".into()).await.unwrap_or_else(failed);
    }

    /// Opens a channel on a connection of its own, to look at the namespace from outside.
    ///
    /// # Panics
    ///
    /// When the broker does not do it.
    pub async fn channel(&self) -> Channel {
        open(&self.config).await.1
    }

    /// Stops the connection and deletes the exchanges, and the queues of the consumers `names`.
    ///
    /// # Panics
    ///
    /// When the broker does not do it.
    pub async fn finish(self, names: &[&str]) {
        self.shutdown.force();
        self.supervisor.await.unwrap_or_else(|error| panic!("supervisor: {error}"));
        let topology = Topology::new(&self.config.namespace);
        let (connection, channel) = open(&self.config).await;
        for queue in names.iter().flat_map(|name| [topology.queue(name), topology.dead_queue(name)])
        {
            let options = QueueDeleteOptions::default();
            channel.queue_delete(queue.as_str().into(), options).await.unwrap_or_else(failed);
        }
        for exchange in [topology.events(), topology.dead()] {
            let options = ExchangeDeleteOptions::default();
            channel.exchange_delete(exchange.as_str().into(), options).await.unwrap_or_else(failed);
        }
        connection.close(200, "bye".into()).await.unwrap_or_else(failed);
    }
}

impl Default for TestBroker {
    fn default() -> Self {
        Self::new()
    }
}

async fn open(config: &AmqpConfig) -> (Connection, Channel) {
    let connection = Connection::connect(config.url.expose(), ConnectionProperties::default());
    let connection = connection.await.unwrap_or_else(failed);
    let channel = connection.create_channel().await.unwrap_or_else(failed);
    (connection, channel)
}

#[expect(clippy::needless_pass_by_value, reason = "stands where errors are handed over")]
fn failed<T>(error: lapin::Error) -> T {
    panic!("{URL}: {error}")
}
