//! Composition root: the only file that names concrete adapters.

use std::sync::Arc;

use anyhow::Context as _;
use chassis::audit::AuditLog;
use chassis::auth::GrpcKeySource;
use chassis::clock::Clock;
use chassis::config::Secret;
use chassis::db::Pool;
use chassis::error::{Kind, ServiceError as _};
use chassis::grpc::GrpcApp;
use chassis::outbox::{Outbox, Relay};
use chassis::page::PageCodec;
use chassis::redis::Redis;
use chassis::run::{Endpoint, Host, Service, until_available};
use chassis::sealing::{Sealer, Tagger, Use};
use chassis::sweep;
use chassis::throttle::{AttemptStore, RedisAttempts, Throttle};
use proto::user::v1::user_service_server::UserServiceServer;

use crate::api::{CALLERS, UserApi};
use crate::config::Config;
use crate::hasher::Argon2Hasher;
use crate::repository::{MIGRATOR, MySqlUserRepository};
use crate::service::{Bootstrapped, PasswordPolicy, Ports, TokenPorts, UserService};

/// What needs no token: registering, the questions of auth-service, which come before there is a token
/// or when it may be over already, and what a one-time token is asked for or stands for.
const PUBLIC: &[&str] = &[
    "/enterprisehub.user.v1.UserService/Register",
    "/enterprisehub.user.v1.UserService/VerifyCredentials",
    "/enterprisehub.user.v1.UserService/GetAccess",
    "/enterprisehub.user.v1.UserService/ListAccessChanges",
    "/enterprisehub.user.v1.UserService/VerifyEmail",
    "/enterprisehub.user.v1.UserService/RequestPasswordRecovery",
    "/enterprisehub.user.v1.UserService/RecoverPassword",
];

/// Separates the names of addresses from what else the mail key is for.
const ADDRESSES: &[u8] = b"names of addresses, v1";

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
        serve_links(&service, &config, host);

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
    let mail = token_ports(users.clone(), &config.mail.sealing_key)?;
    let grants = config.links.policy(&config.throttle);
    let passwords = &config.passwords;
    let limits = passwords.limits();
    let hasher = Argon2Hasher::new(passwords.cost(), limits).context("cannot hash passwords")?;
    let store = redis.map(|redis| Arc::new(RedisAttempts::new(redis)) as Arc<dyn AttemptStore>);
    let settings = &config.throttle;
    let throttle = Throttle::new(store, settings.key_capacity, settings.redis_pause());
    let change = settings.password_change.rule();
    let policy = PasswordPolicy { score_min: passwords.score_min, change };
    let ports = Ports { users, hasher: Arc::new(hasher), clock, throttle, mail };
    Ok(UserService::new(ports, policy, grants))
}

fn token_ports(tokens: Arc<MySqlUserRepository>, key: &Secret) -> anyhow::Result<TokenPorts> {
    let (salt, purpose) = proto::events::SEALED;
    let sealer = Sealer::new(key, Use { salt, purpose });
    let tagger = Tagger::new(key, Use { salt, purpose: ADDRESSES });
    let wrong = "no key can be derived from `mail.sealing_key`";
    let (sealer, tagger) = (sealer.context(wrong)?, tagger.context(wrong)?);
    Ok(TokenPorts { tokens, sealer: Arc::new(sealer), tagger: Arc::new(tagger) })
}

/// Answers requests for another password, and forgets what is over.
fn serve_links(service: &UserService, config: &Config, host: &Host) {
    let (answering, every, batch) =
        (service.clone(), config.links.answer_every(), config.links.answer_batch.get());
    let stop = host.shutdown().soft();
    host.spawn("recovery requests", async move {
        let answer = || answering.answer_recovery_requests(batch);
        sweep::repeat("recovery requests", every, stop, answer).await;
    });
    let (sweeping, every, batch) =
        (service.clone(), config.links.sweep_every(), config.links.sweep_batch.get());
    let stop = host.shutdown().soft();
    host.spawn("link sweep", async move {
        let forget = || sweeping.forget_tokens(batch);
        sweep::repeat("links", every, stop, forget).await;
    });
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
