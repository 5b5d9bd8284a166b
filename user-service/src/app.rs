//! Composition root: the only file that names concrete adapters.

use std::sync::Arc;

use anyhow::Context as _;
use chassis::audit::AuditLog;
use chassis::auth::GrpcKeySource;
use chassis::clock::Clock;
use chassis::db::Pool;
use chassis::error::{Kind, ServiceError as _};
use chassis::grpc::GrpcApp;
use chassis::outbox::{Outbox, Relay};
use chassis::page::PageCodec;
use chassis::redis::Redis;
use chassis::run::{Endpoint, Host, Service, until_available};
use chassis::throttle::{AttemptStore, RedisAttempts, Throttle};
use proto::user::v1::user_service_server::UserServiceServer;

use crate::api::{CALLERS, UserApi};
use crate::config::Config;
use crate::hasher::{Argon2Hasher, HashingLimits};
use crate::repository::{MIGRATOR, MySqlUserRepository};
use crate::service::{Bootstrapped, PasswordPolicy, Ports, UserService};

/// What needs no token: registering, and the questions of auth-service, which come before there is
/// a token or when it may be over already.
const PUBLIC: &[&str] = &[
    "/enterprisehub.user.v1.UserService/Register",
    "/enterprisehub.user.v1.UserService/VerifyCredentials",
    "/enterprisehub.user.v1.UserService/GetAccess",
    "/enterprisehub.user.v1.UserService/ListAccessChanges",
];

/// The user service as a process.
pub struct App;

impl Service for App {
    const NAME: &'static str = "user-service";
    const ENV_PREFIX: &'static str = "EH_USER";
    const DEFAULTS: &'static str = include_str!("../config/default.toml");
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
        let service = service(pool, outbox, redis, &config, host.clock())?;
        let (service, rehashing) = service.with_rehashing();
        host.spawn("rehashing", rehashing.run(host.shutdown().soft()));
        bootstrap(&service, &config).await?;

        let auth_service = host.channel("auth-service", &config.upstream);
        let keys = GrpcKeySource::new(auth_service, &config.token);
        let verifier = host.token_verifier(&config.token, Arc::new(keys));
        Ok(Endpoint::Grpc(grpc_app(service, &config).auth(verifier)))
    }
}

/// Connects the use cases to the schema in `pool`.
pub fn service(
    pool: Pool,
    outbox: Outbox,
    redis: Option<Redis>,
    config: &Config,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<UserService> {
    let audit = AuditLog::new(&config.audit, App::NAME, Arc::clone(&clock));
    let users = Arc::new(MySqlUserRepository::new(pool, outbox, audit));
    let passwords = &config.passwords;
    let limits = HashingLimits::for_this_machine(passwords.waiting_max, passwords.wait());
    let hasher = Argon2Hasher::new(passwords.cost(), limits).context("cannot hash passwords")?;
    let store = redis.map(|redis| Arc::new(RedisAttempts::new(redis)) as Arc<dyn AttemptStore>);
    let settings = &config.throttle;
    let throttle = Throttle::new(store, settings.key_capacity, settings.redis_pause());
    let change = settings.password_change.rule();
    let policy = PasswordPolicy { score_min: passwords.score_min, change };
    let ports = Ports { users, hasher: Arc::new(hasher), clock, throttle };
    Ok(UserService::new(ports, policy))
}

/// The rpcs over the use cases; whoever serves them adds the verification of tokens.
pub fn grpc_app(service: UserService, config: &Config) -> GrpcApp {
    let api = UserApi::new(service, PageCodec::new(&config.paging.secret));
    let server =
        UserServiceServer::new(api).max_decoding_message_size(config.server.max_message_bytes);
    GrpcApp::new(tonic::service::Routes::new(server))
        .reflection(proto::FILE_DESCRIPTOR_SET)
        .public(PUBLIC)
        .callers(CALLERS)
}

async fn bootstrap(service: &UserService, config: &Config) -> anyhow::Result<()> {
    let Some(admin) = config.bootstrap.first_admin()? else { return Ok(()) };
    let made = until_available(
        "the first administrator",
        || service.bootstrap(admin.clone()),
        |error| error.code().kind == Kind::Unavailable,
    );
    let outcome = made.await.context("cannot make the first administrator")?;
    if outcome == Bootstrapped::Created {
        tracing::info!("first administrator created");
    }
    Ok(())
}
