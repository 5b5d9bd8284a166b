//! What a service sees of its process while it is put together.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use sqlx::migrate::Migrator;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{
    Follower, FollowerParts, KeySource, LastGood, RevocationFeed, Revocations, Verifier,
};
use crate::clock::{Clock, SystemClock};
use crate::config::{
    AmqpConfig, ConfigError, DatabaseConfig, DiscoveryConfig, DiscoveryMode, EventsConfig, Profile,
    RedisConfig, RevocationConfig, TlsConfig, TokenConfig, UpstreamConfig,
};
use crate::db;
use crate::discovery::Registry;
use crate::discovery::cache::EndpointCache;
use crate::discovery::consul::ConsulRegistry;
use crate::discovery::fixed::FixedRegistry;
use crate::doorbell::{self, Doorbell};
use crate::grpc::Channel;
use crate::health::Health;
use crate::identity::Identity;
use crate::messaging::EventKeys;
use crate::messaging::amqp::Broker;
use crate::redis::{self, Redis};
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::Samplers;

/// The channel, in the name space of the installation, in which edges hear of revocations.
const REVOCATIONS_CHANNEL: &str = "revocations";
/// The channel in which replicas of the token issuer hear of changed keys.
const KEYS_CHANNEL: &str = "signing-keys";
/// Time for a pool to say goodbye to its server.
const POOL_CLOSE: Duration = Duration::from_secs(1);

/// What a verifier of access tokens at the edge learns from.
pub struct EdgeSources {
    /// Where keys are read.
    pub keys: Arc<dyn KeySource>,
    /// Where revocations are read.
    pub revocations: Arc<dyn RevocationFeed>,
    /// Where it is heard that there are new ones; `None`: they are found at the next look.
    pub redis: Option<Redis>,
}

/// The running process, as [`Service::build`](super::Service::build) sees it.
///
/// Everything made here is observed by the readiness, and taken down with the process.
pub struct Host {
    name: &'static str,
    profile: Profile,
    identity: Option<Arc<Identity>>,
    /// Somebody wants the process to stop: a signal, or a background task that broke down.
    asked: CancellationToken,
    /// The first background task that panicked.
    broken: Arc<OnceLock<&'static str>>,
    shutdown: Shutdown,
    tasks: TaskTracker,
    health: Health,
    clock: Arc<dyn Clock>,
    registry: Arc<dyn Registry>,
    pools: Mutex<Vec<db::Pool>>,
    samplers: Samplers,
}

impl Host {
    pub(super) fn new(
        name: &'static str,
        profile: Profile,
        discovery: &DiscoveryConfig,
        tls: &TlsConfig,
    ) -> anyhow::Result<Self> {
        let identity = Identity::load(name, tls)?;
        let shutdown = Shutdown::new();
        let tasks = TaskTracker::new();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let registry: Arc<dyn Registry> = match discovery.mode {
            DiscoveryMode::Static => {
                Arc::new(FixedRegistry::new(discovery)?.follow(&tasks, &shutdown.soft()))
            }
            DiscoveryMode::Consul => {
                let cache = EndpointCache::open(discovery, Arc::clone(&clock))?;
                let registry = ConsulRegistry::new(discovery, tasks.clone(), shutdown.soft())?;
                Arc::new(registry.remembering(cache))
            }
        };
        let host = Self {
            name,
            profile,
            identity: identity.clone(),
            asked: CancellationToken::new(),
            broken: Arc::default(),
            shutdown,
            tasks,
            health: Health::new(),
            clock,
            registry,
            pools: Mutex::default(),
            samplers: Samplers::default(),
        };
        if let Some(identity) = identity {
            if !identity.demands_proof() {
                tracing::warn!("callers without a certificate are let in, see tls.mode");
            }
            host.spawn("certificates", identity.keep_fresh(host.shutdown.soft()));
        }
        Ok(host)
    }

    /// Name of the service.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Who this instance is to the other services; `None` where the fleet speaks plain text.
    pub fn identity(&self) -> Option<Arc<Identity>> {
        self.identity.clone()
    }

    /// Where this process runs.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The tokens that tell everything to stop.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Runs a background task, which ends when the soft token says so and is dropped at the hard
    /// token. The process waits for it before it exits.
    ///
    /// A task that panics takes the process with it, in order and with an exit code that makes a
    /// supervisor start it again: nobody would notice a process that serves and does half its work.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let hard = self.shutdown.hard();
        let (broken, asked) = (Arc::clone(&self.broken), self.asked.clone());
        // No span around it: everything that the task ever does would be one endless trace.
        let guarded = async move {
            let outcome = tokio::select! {
                outcome = AssertUnwindSafe(task).catch_unwind() => outcome,
                () = hard.cancelled() => {
                    tracing::warn!(task.name = name, "background task cut at the drain deadline");
                    Ok(())
                }
            };
            if outcome.is_err() {
                tracing::error!(task.name = name, "background task panicked");
                let _only_the_first = broken.set(name);
                asked.cancel();
            }
        };
        self.tasks.spawn(guarded);
    }

    /// The readiness, to add dependencies to.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The clock of the machine.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Where the other services are.
    pub fn registry(&self) -> Arc<dyn Registry> {
        Arc::clone(&self.registry)
    }

    /// Opens the service's schema: waits until the database answers, brings the schema up to date,
    /// and makes the instance's readiness depend on it.
    pub async fn database(
        &self,
        config: &DatabaseConfig,
        migrations: &'static Migrator,
    ) -> anyhow::Result<db::Pool> {
        if config.url.is_empty() {
            return Err(ConfigError::value("database.url", "must not be empty").into());
        }
        let pool = db::connect_and_migrate(config, migrations).await?;
        let checked = pool.clone();
        self.health.register("database", move || {
            let pool = checked.clone();
            async move { pool.ping().await.map_err(|error| error.to_string()) }
        });
        let sampled = pool.clone();
        self.samplers.add(move || sampled.sample());
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).push(pool.clone());
        Ok(pool)
    }

    /// Connects to the broker in the background; `None` when none is configured. The instance is
    /// ready without it: events wait in the outbox.
    #[expect(clippy::unused_async, reason = "connecting may have to be waited for one day")]
    pub async fn broker(
        &self,
        config: &AmqpConfig,
        events: &EventsConfig,
    ) -> anyhow::Result<Option<Broker>> {
        if config.url.is_empty() {
            tracing::info!("no broker configured, events wait in the outbox");
            return Ok(None);
        }
        let keys = EventKeys::new(self.name, events)?;
        let broker = Broker::new(config, self.name, keys)
            .map_err(|error| ConfigError::value("amqp.url", error.to_string()))?;
        let observed = broker.clone();
        self.health.register_optional("broker", move || {
            let connected = observed.is_connected();
            async move { if connected { Ok(()) } else { Err("not connected".to_owned()) } }
        });
        self.spawn("broker", broker.clone().supervise(self.shutdown.clone()));
        Ok(Some(broker))
    }

    /// Prepares the connection to Redis; `None` when none is configured. The instance is ready
    /// without it.
    pub fn redis(&self, config: &RedisConfig) -> anyhow::Result<Option<Redis>> {
        let redis = redis::connect(config)
            .map_err(|error| ConfigError::value("redis.url", error.to_string()))?;
        if let Some(redis) = redis.clone() {
            self.health.register_optional("redis", move || {
                let redis = redis.clone();
                async move { redis.ping().await }
            });
        }
        Ok(redis)
    }

    /// A channel to another service, wherever its instances are.
    pub fn channel(&self, service: &'static str, config: &UpstreamConfig) -> Channel {
        let endpoints = self.registry.watch(service);
        let channel = Channel::with_identity(service, config, endpoints, self.identity.clone());
        self.samplers.add(channel.sampler());
        channel
    }

    /// A verifier of access tokens, which keeps its keys current in the background.
    pub fn token_verifier(&self, config: &TokenConfig, keys: Arc<dyn KeySource>) -> Arc<Verifier> {
        let verifier = Arc::new(Verifier::new(config, keys, self.clock()));
        let refreshed = Arc::clone(&verifier);
        self.spawn("token-keys", refreshed.keep_fresh(self.shutdown.soft()));
        verifier
    }

    /// A verifier for the edge: it also refuses revoked tokens, and begins with the last good keys
    /// and revocations when the issuer is away. The instance is not ready until revocations are known.
    pub fn edge_verifier(
        &self,
        token: &TokenConfig,
        config: &RevocationConfig,
        sources: EdgeSources,
    ) -> anyhow::Result<Arc<Verifier>> {
        let last_good = config.folder().map(|folder| {
            LastGood::open(folder, config.max_age_s, self.clock())
                .map(Arc::new)
                .map_err(|error| ConfigError::value("revocations.folder", format!("{error:#}")))
        });
        let last_good = last_good.transpose()?;
        let revocations = Arc::new(Revocations::new(self.clock()));
        let mut verifier =
            Verifier::new(token, sources.keys, self.clock()).refusing(Arc::clone(&revocations));
        if let Some(last_good) = &last_good {
            verifier = verifier.keeping(Arc::clone(last_good));
        }
        let verifier = Arc::new(verifier);
        self.spawn("token-keys", Arc::clone(&verifier).keep_fresh(self.shutdown.soft()));
        let bell = self.hear(REVOCATIONS_CHANNEL, sources.redis);
        let observed = Arc::clone(&revocations);
        self.health.register("revocations", move || {
            let is_loaded = observed.is_loaded();
            async move { if is_loaded { Ok(()) } else { Err("not read yet".to_owned()) } }
        });
        let follower = Follower::new(FollowerParts {
            revocations,
            verifier: Arc::clone(&verifier),
            feed: sources.revocations,
            bell,
            last_good: last_good.clone(),
            config: config.clone(),
        });
        let followed = CancellationToken::new();
        if let Some(last_good) = last_good {
            let written = followed.clone();
            self.spawn("last good set", async move { last_good.keep(written).await });
        }
        let stop = self.shutdown.soft();
        self.spawn("revocations", async move {
            // What the follower saves at its end is still to be written.
            let _ended = followed.drop_guard();
            follower.run(stop).await;
        });
        Ok(verifier)
    }

    /// The bell that tells edges of new revocations.
    pub fn revocation_bell(&self, redis: Option<Redis>) -> Doorbell {
        self.bell(REVOCATIONS_CHANNEL, redis)
    }

    /// The bell that tells replicas of the token issuer of changed keys, and what is rung when it, or
    /// that of another replica, was.
    pub fn key_bell(&self, redis: Option<Redis>) -> (Doorbell, Arc<Notify>) {
        (self.bell(KEYS_CHANNEL, redis.clone()), self.hear(KEYS_CHANNEL, redis))
    }

    /// A bell that is heard in `channel`; without Redis by nobody.
    fn bell(&self, channel: &'static str, redis: Option<Redis>) -> Doorbell {
        let bell = Doorbell::new();
        if let Some(redis) = redis {
            let key = redis.key(channel);
            let carried = bell.clone().carry(redis, key, self.shutdown.soft());
            self.spawn("doorbell", carried);
        }
        bell
    }

    /// What is rung when a bell of `channel` was; without Redis never.
    fn hear(&self, channel: &'static str, redis: Option<Redis>) -> Arc<Notify> {
        let rung = Arc::new(Notify::new());
        if let Some(redis) = redis {
            let key = redis.key(channel);
            let listener = doorbell::listen(redis, key, Arc::clone(&rung), self.shutdown.soft());
            self.spawn("doorbell listener", listener);
        }
        rung
    }

    /// What is measured when somebody asks for the metrics.
    pub(super) fn samplers(&self) -> Samplers {
        self.samplers.clone()
    }

    /// The token that asks the process to stop; the soft token follows when callers know.
    pub(super) fn asked(&self) -> CancellationToken {
        self.asked.clone()
    }

    /// Whether every background task has done its work so far.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        match self.broken.get() {
            Some(name) => anyhow::bail!("background task `{name}` panicked"),
            None => Ok(()),
        }
    }

    /// Waits for the background tasks.
    pub(super) async fn tasks_ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Closes what the process holds open.
    pub(super) async fn close(&self) {
        let pools = std::mem::take(&mut *self.pools.lock().unwrap_or_else(PoisonError::into_inner));
        for pool in pools {
            let closed = tokio::time::timeout(POOL_CLOSE, pool.close()).await;
            if closed.is_err() {
                tracing::warn!("database connections not closed in time");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn host() -> Host {
        let discovery =
            DiscoveryConfig { mode: DiscoveryMode::Static, ..DiscoveryConfig::default() };
        Host::new("test-service", Profile::Development, &discovery, &TlsConfig::default()).unwrap()
    }

    #[tokio::test]
    async fn background_tasks_are_waited_for_also_when_they_panic() {
        let host = host();
        let soft = host.shutdown().soft();
        host.spawn("patient", async move { soft.cancelled().await });
        host.spawn("clumsy", async { panic!("a defect") });
        host.shutdown().begin();
        host.tasks_ended().await;
        assert!(host.asked().is_cancelled());
        assert_eq!(host.verdict().unwrap_err().to_string(), "background task `clumsy` panicked");
    }

    #[tokio::test]
    async fn a_task_that_ignores_the_soft_token_is_dropped_at_the_hard_one() {
        let host = host();
        host.spawn("stubborn", std::future::pending());
        host.shutdown().force();
        host.tasks_ended().await;
    }

    #[tokio::test]
    async fn optional_dependencies_are_absent_when_not_configured() {
        let host = host();
        assert!(
            host.broker(&AmqpConfig::default(), &EventsConfig::default()).await.unwrap().is_none()
        );
        assert!(host.redis(&RedisConfig::default()).unwrap().is_none());
        assert!(host.health().report().dependencies.is_empty());
    }

    #[tokio::test]
    async fn a_malformed_address_of_the_broker_is_refused_without_its_password() {
        for url in ["amqp:guest:s3cret@broker", "amqq://guest:s3cret@broker", "s3cret"] {
            let config = AmqpConfig { url: Secret::new(url), ..AmqpConfig::default() };
            let error = host().broker(&config, &EventsConfig::default()).await.err().unwrap();
            assert!(error.is::<ConfigError>(), "{error:#}");
            let said = format!("{error:?} {error:#}");
            assert!(said.contains("amqp.url") && !said.contains("s3cret"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_missing_database_address_is_a_configuration_error() {
        static NONE: std::sync::LazyLock<Migrator> =
            std::sync::LazyLock::new(|| Migrator::with_migrations(Vec::new()));
        let error = host().database(&DatabaseConfig::default(), &NONE).await.unwrap_err();
        assert!(error.is::<ConfigError>(), "{error:#}");
    }
}
