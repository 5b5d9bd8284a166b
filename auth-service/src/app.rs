//! Composition root: the only file that names concrete adapters.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use chassis::audit::AuditLog;
use chassis::auth::Verifier;
use chassis::clock::Clock;
use chassis::config::FormerKey;
use chassis::db::Pool;
use chassis::doorbell::Doorbell;
use chassis::grpc::{Channel, GrpcApp};
use chassis::outbox::{Outbox, Relay};
use chassis::redis::Redis;
use chassis::run::{Endpoint, Host, Service, until_available};
use chassis::throttle::{AttemptStore, RedisAttempts, Throttle};
use proto::auth::v1::auth_service_server::AuthServiceServer;

use crate::api::{AuthApi, CALLERS};
use crate::client::GrpcCredentialChecker;
use crate::config::{Config, FORMER};
use crate::repository::{
    KeyRepository, MIGRATOR, MySqlDeviceRepository, MySqlKeyRepository, MySqlRevocationRepository,
    MySqlSessionRepository,
};
use crate::service::{AccountFollower, AuthService, LoginThrottle};
use crate::token::{AccessTokens, KeyError, KeyRing, KeyRingSource, KeySealer};

/// What needs no token: whoever calls these has none yet or one that is over, or is a service that asks
/// in nobody's name. Logging out verifies its token itself, because it may be over.
const PUBLIC: &[&str] = &[
    "/enterprisehub.auth.v1.AuthService/Login",
    "/enterprisehub.auth.v1.AuthService/Refresh",
    "/enterprisehub.auth.v1.AuthService/Logout",
    "/enterprisehub.auth.v1.AuthService/GetJwks",
    "/enterprisehub.auth.v1.AuthService/ListRevocations",
];

/// The auth service as a process.
pub struct App;

impl Service for App {
    const NAME: &'static str = "auth-service";
    const ENV_PREFIX: &'static str = "EH_AUTH";
    const DEFAULTS: &'static str = include_str!("../config/default.toml");
    const FORMER_KEYS: &'static [FormerKey] = &[FORMER];
    const METRICS: &'static str = include_str!("../metrics.toml");
    type Config = Config;

    async fn build(config: Config, host: &Host) -> anyhow::Result<Endpoint> {
        let pool = host.database(&config.database, &MIGRATOR).await?;
        let outbox = Outbox::new();
        if let Some(broker) = host.broker(&config.amqp, &config.events).await? {
            let relay =
                Relay::new(pool.clone(), Arc::new(broker.publisher()), &config.outbox, &outbox);
            host.spawn("outbox relay", relay.run(host.shutdown().soft()));
        }
        let redis = host.redis(&config.redis)?;
        let bell = host.revocation_bell(redis.clone());
        let (key_bell, keys_rung) = host.key_bell(redis.clone());
        let surroundings = Surroundings {
            pool,
            outbox,
            bell: bell.clone(),
            key_bell: key_bell.clone(),
            user_service: host.channel("user-service", &config.upstream),
            redis,
            clock: host.clock(),
        };
        let service = assemble(surroundings, &config).await?;
        let housekeeper = service.clone().keep_house(
            config.sessions.purge_interval(),
            config.sessions.retention(),
            host.shutdown().soft(),
        );
        host.spawn("session housekeeping", housekeeper);
        let follower = AccountFollower::new(service.clone());
        let pace = config.revocations.accounts_poll();
        host.spawn("account changes", follower.run(pace, host.shutdown().soft()));
        let (keys, plan, stop) = (service.keys.clone(), service.rotation, host.shutdown().soft());
        let ring = move || {
            bell.ring();
            key_bell.ring();
        };
        let rotation = async move { keys.keep(&plan, (keys_rung.as_ref(), ring), stop).await };
        host.spawn("key rotation", rotation);
        let source = Arc::new(KeyRingSource::new(Arc::clone(&service.keys)));
        let verifier = host.token_verifier(&config.token, source);
        Ok(Endpoint::Grpc(grpc_app(service, &config, verifier)))
    }
}

/// What the use cases are connected to.
pub struct Surroundings {
    /// The schema.
    pub pool: Pool,
    /// Where events are left.
    pub outbox: Outbox,
    /// Rung when there are new revocations, and for edges when the keys changed.
    pub bell: Doorbell,
    /// Rung for the other replicas when the keys changed.
    pub key_bell: Doorbell,
    /// The way to user-service.
    pub user_service: Channel,
    /// Where all replicas count wrong passwords together.
    pub redis: Option<Redis>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Connects the use cases; makes the first signing key when there is none.
pub async fn assemble(surroundings: Surroundings, config: &Config) -> anyhow::Result<AuthService> {
    let Surroundings { pool, outbox, bell, key_bell, user_service, redis, clock } = surroundings;
    let sealer = KeySealer::new(&config.keys.sealing_keys)
        .context("no key can be derived from one of `keys.sealing_keys`")?;
    let sealer = Arc::new(sealer);
    let audit = AuditLog::new(&config.audit, App::NAME, Arc::clone(&clock));
    let stored: Arc<dyn KeyRepository> =
        Arc::new(MySqlKeyRepository::new(pool.clone(), audit.clone()));
    let keys = until_available(
        "the signing key",
        || KeyRing::open(stored.clone(), Arc::clone(&sealer), Arc::clone(&clock)),
        KeyError::is_transient,
    );
    let keys = Arc::new(keys.await?);
    let lifetime_s = config.sessions.access_token_s;
    let sessions = MySqlSessionRepository::new(pool.clone(), outbox, bell.clone(), audit);
    Ok(AuthService {
        throttle: Arc::new(throttle(&pool, redis, config)?),
        sessions: Arc::new(sessions),
        revocations: Arc::new(MySqlRevocationRepository::new(pool)),
        accounts: Arc::new(GrpcCredentialChecker::new(user_service)),
        access_tokens: AccessTokens::new(Arc::clone(&keys), &config.token, lifetime_s),
        keys,
        rotation: config.rotation_plan(),
        lifetimes: config.sessions.lifetimes(),
        per_user_max: config.sessions.per_user_max,
        keep_revocations_s: config.longest_token_s(),
        bell,
        key_bell,
        clock,
    })
}

/// Counts wrong passwords in Redis, or in this process while there is none.
fn throttle(pool: &Pool, redis: Option<Redis>, config: &Config) -> anyhow::Result<LoginThrottle> {
    let store = redis.map(|redis| Arc::new(RedisAttempts::new(redis)) as Arc<dyn AttemptStore>);
    let settings = &config.throttle;
    let throttle = Throttle::new(store, settings.key_capacity, settings.redis_pause());
    let devices = Arc::new(MySqlDeviceRepository::new(pool.clone()));
    LoginThrottle::new(throttle, devices, settings.patience(), &config.keys.sealing_keys)
        .ok_or_else(|| anyhow!("`keys.sealing_keys` names no key"))
}

/// The rpcs over the use cases; `verifier` checks the tokens that come with them.
pub fn grpc_app(service: AuthService, config: &Config, verifier: Arc<Verifier>) -> GrpcApp {
    let api = AuthApi::new(service, Arc::clone(&verifier));
    let server =
        AuthServiceServer::new(api).max_decoding_message_size(config.server.max_message_bytes);
    GrpcApp::new(tonic::service::Routes::new(server))
        .reflection(proto::FILE_DESCRIPTOR_SET)
        .public(PUBLIC)
        .callers(CALLERS)
        .auth(verifier)
}
