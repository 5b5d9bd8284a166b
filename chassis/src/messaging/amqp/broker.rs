//! The process' connection to RabbitMQ and its supervisor.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, Event};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::consumer::Consumer;
use super::dead::DeadLetterConsumer;
use super::depth::Depth;
use super::publisher::AmqpPublisher;
use super::topology::Topology;
use crate::backoff::Backoff;
use crate::config::AmqpConfig;
use crate::error::Chain;
use crate::messaging::{EventKeys, Graveyard, Handler, Signer, Trust};
use crate::shutdown::Shutdown;

/// The first pause before connecting again; the longest is configured.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Seconds between heartbeats unless the URL says otherwise. A broker that went silent is noticed
/// after two of them; RabbitMQ's own default of 60 would take two minutes.
const HEARTBEAT_S: u16 = 10;

/// How often the connection's state is looked at, should the event of its end get lost.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// AMQP's reply code for a close without an error.
const REPLY_SUCCESS: u16 = 200;

/// The broker's address cannot be used. What is wrong with it is not said: the parser repeats the
/// address, and with it the password.
#[derive(Debug, thiserror::Error)]
#[error("not an address of the form amqp://account:password@host:port/vhost")]
pub struct InvalidUrl;

/// Why nothing can be done on the broker now.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("no answer from the broker in time")]
    Timeout,
    #[error(transparent)]
    Broker(#[from] lapin::Error),
    #[error("the broker ended the consumer")]
    Cancelled,
}

/// The process' connection to RabbitMQ; clones share it.
#[derive(Clone)]
pub struct Broker {
    shared: Arc<Shared>,
}

struct Shared {
    uri: AMQPUri,
    config: AmqpConfig,
    topology: Topology,
    name: String,
    keys: EventKeys,
    link: watch::Sender<Option<Arc<Connection>>>,
    users: TaskTracker,
}

/// A claim on the connection: a process that stops does not close it while one exists.
#[derive(Clone)]
pub(super) struct Claim {
    pub(super) broker: Broker,
    _token: TaskTrackerToken,
}

impl Broker {
    /// Prepares the connection; [`supervise`](Self::supervise) makes it. `name` shows up in the
    /// broker's list of connections; `keys` sign what is published and verify what is consumed.
    pub fn new(config: &AmqpConfig, name: &str, keys: EventKeys) -> Result<Self, InvalidUrl> {
        let mut uri: AMQPUri = config.url.expose().parse().map_err(|_repeats_it| InvalidUrl)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        let shared = Shared {
            uri,
            config: config.clone(),
            topology: Topology::new(&config.namespace),
            name: name.to_owned(),
            keys,
            link: watch::Sender::new(None),
            users: TaskTracker::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Keeps the process connected until it stops and nobody needs the connection any more, or its
    /// time to finish is over.
    pub async fn supervise(self, shutdown: Shutdown) {
        let mut backoff = Backoff::new(FIRST_PAUSE, self.shared.config.retry_backoff_max());
        let over = self.released(&shutdown);
        tokio::pin!(over);
        loop {
            let connected = tokio::select! {
                connected = self.connect() => connected,
                () = &mut over => return,
            };
            match connected {
                Ok(connection) => {
                    tracing::info!("broker connected");
                    backoff.reset();
                    let finished = self.serve(connection, &mut over).await;
                    if finished {
                        return;
                    }
                }
                Err(error) => tracing::warn!(error = %Chain(&error), "waiting for the broker"),
            }
            metrics::counter!("eh_broker_reconnects_total").increment(1);
            tokio::select! {
                () = backoff.pause() => {}
                () = &mut over => return,
            }
        }
    }

    /// Waits for a connection.
    pub async fn wait_connected(&self) {
        self.connected().await;
    }

    /// Says whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        self.connection().is_some()
    }

    /// The names of the exchanges and queues.
    pub fn topology(&self) -> &Topology {
        &self.shared.topology
    }

    /// Signs what is published.
    pub(super) fn signer(&self) -> &Signer {
        &self.shared.keys.signer
    }

    /// Verifies what is consumed.
    pub(super) fn trust(&self) -> &Trust {
        &self.shared.keys.trust
    }

    /// Returns a publisher of events, which signs them.
    pub fn publisher(&self) -> AmqpPublisher {
        AmqpPublisher::new(self.claim())
    }

    /// Consumes the queue `name`, which receives the events that match `bindings`, until `stop` is
    /// cancelled; then finishes what it has begun.
    ///
    /// The claim on the connection begins with this call, not with the first poll of the future.
    pub fn consume(
        &self,
        name: &str,
        bindings: &[&str],
        handler: Arc<dyn Handler>,
        config: &AmqpConfig,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let depth = Depth::new(self.clone(), name, config).watch(stop.clone());
        let consumer = Consumer::new(self.claim(), name, bindings, handler, config).run(stop);
        async move {
            tokio::join!(consumer, depth);
        }
    }

    /// Hands the dead letters of the consumer `name` to `graveyard` until `stop` is cancelled.
    pub fn keep_dead_letters(
        &self,
        name: &str,
        graveyard: Arc<dyn Graveyard>,
        config: &AmqpConfig,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        DeadLetterConsumer::new(self.claim(), name, graveyard, config).run(stop)
    }

    /// Returns the connection that is there now.
    pub(super) fn connection(&self) -> Option<Arc<Connection>> {
        let connection = self.shared.link.borrow().clone()?;
        connection.status().connected().then_some(connection)
    }

    /// Waits for a connection and returns it.
    pub(super) async fn connected(&self) -> Arc<Connection> {
        let mut link = self.shared.link.subscribe();
        loop {
            if let Some(connection) = link.borrow_and_update().clone() {
                return connection;
            }
            if link.changed().await.is_err() {
                // Cannot happen: the sender lives in what `self` shares.
                std::future::pending::<()>().await;
            }
        }
    }

    pub(super) fn config(&self) -> &AmqpConfig {
        &self.shared.config
    }

    fn claim(&self) -> Claim {
        Claim { broker: self.clone(), _token: self.shared.users.token() }
    }

    /// Ends when the process stops and nobody claims the connection any more.
    async fn released(&self, shutdown: &Shutdown) {
        shutdown.soft().cancelled().await;
        self.shared.users.close();
        let hard = shutdown.hard();
        tokio::select! {
            () = self.shared.users.wait() => {}
            () = hard.cancelled() => {}
        }
    }

    async fn connect(&self) -> Result<Arc<Connection>, LinkError> {
        let properties =
            ConnectionProperties::default().with_connection_name(self.shared.name.as_str().into());
        within(self.shared.config.connect_timeout(), async {
            let connection = Connection::connect_uri(self.shared.uri.clone(), properties).await?;
            let channel = self.shared.topology.declare_shared(&connection).await?;
            channel.close(REPLY_SUCCESS, "declared".into()).await?;
            Ok(Arc::new(connection))
        })
        .await
    }

    /// Offers `connection` until it ends; true when it is no longer needed.
    async fn serve(&self, connection: Arc<Connection>, over: impl Future<Output = ()>) -> bool {
        let finished = {
            let lost = lost(&connection);
            self.shared.link.send_replace(Some(Arc::clone(&connection)));
            metrics::gauge!("eh_broker_connected").set(1.0);
            tokio::select! {
                () = lost => false,
                () = over => true,
            }
        };
        self.shared.link.send_replace(None);
        metrics::gauge!("eh_broker_connected").set(0.0);
        // Also after a loss: what still uses this connection learns at once that it is over.
        let closing = connection.close(REPLY_SUCCESS, "bye".into());
        let _ = tokio::time::timeout(CHECK_INTERVAL, closing).await;
        finished
    }
}

/// Ends when `connection` has ended; logs when the broker blocks publishers meanwhile.
async fn lost(connection: &Connection) {
    let mut events = connection.events_listener();
    while connection.status().connected() {
        match tokio::time::timeout(CHECK_INTERVAL, events.next()).await {
            Ok(Some(Event::ConnectionBlocked(reason))) => {
                tracing::warn!(broker.reason = reason, "broker blocks publishers");
                metrics::gauge!("eh_broker_blocked").set(1.0);
            }
            Ok(Some(Event::ConnectionUnblocked)) => {
                tracing::info!("broker takes messages again");
                metrics::gauge!("eh_broker_blocked").set(0.0);
            }
            Ok(Some(Event::Error(error))) => {
                tracing::warn!(error = %Chain(&error), "broker connection failed");
            }
            Ok(Some(_)) | Err(_) => {}
            Ok(None) => return,
        }
    }
}

/// Awaits `work` no longer than `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(LinkError::Timeout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn an_address_that_is_none_is_refused() {
        let config = AmqpConfig { url: Secret::new("http://localhost"), ..AmqpConfig::default() };
        assert!(Broker::new(&config, "test", EventKeys::for_anybody()).is_err());
    }

    #[tokio::test]
    async fn the_supervisor_ends_with_the_process_even_without_a_broker() {
        // Port 9 (discard) refuses connections.
        let url = Secret::new("amqp://guest:guest@127.0.0.1:9/%2f");
        let config = AmqpConfig { url, ..AmqpConfig::default() };
        let broker = Broker::new(&config, "test", EventKeys::for_anybody()).unwrap();
        let publisher = broker.publisher();
        let shutdown = Shutdown::new();
        let stop = async {
            shutdown.begin();
            drop(publisher);
        };
        tokio::join!(broker.supervise(shutdown.clone()), stop);
    }
}
