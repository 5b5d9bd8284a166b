//! Composition root: the only file that names concrete adapters.

use std::sync::Arc;

use anyhow::anyhow;
use chassis::clock::Clock;
use chassis::db::Pool;
use chassis::grpc::{Channel, GrpcApp};
use chassis::outbox::{Outbox, Relay};
use chassis::run::{Endpoint, Host, Service, until_available};
use proto::auth::v1::auth_service_server::AuthServiceServer;

use crate::api::AuthApi;
use crate::client::GrpcCredentialChecker;
use crate::config::Config;
use crate::repository::{KeyRepository, MIGRATOR, MySqlKeyRepository, MySqlSessionRepository};
use crate::service::AuthService;
use crate::token::{AccessTokens, KeyError, KeyRing, KeyRingSource, Sealer};

/// What needs no token: whoever calls these has none yet, or one that is over.
const PUBLIC: &[&str] = &[
    "/enterprisehub.auth.v1.AuthService/Login",
    "/enterprisehub.auth.v1.AuthService/Refresh",
    "/enterprisehub.auth.v1.AuthService/GetJwks",
];

/// The auth service as a process.
pub struct App;

impl Service for App {
    const NAME: &'static str = "auth-service";
    const ENV_PREFIX: &'static str = "EH_AUTH";
    const DEFAULTS: &'static str = include_str!("../config/default.toml");
    type Config = Config;

    async fn build(config: Config, host: &Host) -> anyhow::Result<Endpoint> {
        let pool = host.database(&config.database, &MIGRATOR).await?;
        let outbox = Outbox::new();
        if let Some(broker) = host.broker(&config.amqp).await? {
            let relay =
                Relay::new(pool.clone(), Arc::new(broker.publisher()), &config.outbox, &outbox);
            host.spawn("outbox relay", relay.run(host.shutdown().soft()));
        }
        let surroundings = Surroundings {
            pool,
            outbox,
            user_service: host.channel("user-service", &config.upstream),
            clock: host.clock(),
        };
        let assembly = assemble(surroundings, &config).await?;
        let housekeeper = assembly.service.clone().keep_house(
            config.sessions.purge_interval(),
            config.sessions.retention(),
            host.shutdown().soft(),
        );
        host.spawn("session housekeeping", housekeeper);
        let source = Arc::new(KeyRingSource::new(Arc::clone(&assembly.keys)));
        let verifier = host.token_verifier(&config.token, source);
        Ok(Endpoint::Grpc(assembly.grpc_app(&config).auth(verifier)))
    }
}

/// What the use cases are connected to.
pub struct Surroundings {
    /// The schema.
    pub pool: Pool,
    /// Where events are left.
    pub outbox: Outbox,
    /// The way to user-service.
    pub user_service: Channel,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The use cases, connected.
pub struct Assembly {
    /// The use cases.
    pub service: AuthService,
    /// The keys that sign and are published.
    pub keys: Arc<KeyRing>,
}

/// Connects the use cases; makes the first signing key when there is none.
pub async fn assemble(surroundings: Surroundings, config: &Config) -> anyhow::Result<Assembly> {
    let Surroundings { pool, outbox, user_service, clock } = surroundings;
    let sealer = Sealer::new(&config.keys.sealing_key)
        .map_err(|_| anyhow!("no key can be derived from `keys.sealing_key`"))?;
    let stored: Arc<dyn KeyRepository> = Arc::new(MySqlKeyRepository::new(pool.clone()));
    let keys = until_available(
        "the signing key",
        || KeyRing::open(stored.clone(), &sealer, Arc::clone(&clock)),
        KeyError::is_transient,
    );
    let keys = Arc::new(keys.await?);
    let lifetime_s = config.sessions.access_token_s;
    let service = AuthService {
        sessions: Arc::new(MySqlSessionRepository::new(pool, outbox)),
        accounts: Arc::new(GrpcCredentialChecker::new(user_service)),
        access_tokens: AccessTokens::new(Arc::clone(&keys), &config.token, lifetime_s),
        lifetimes: config.sessions.lifetimes(),
        clock,
    };
    Ok(Assembly { service, keys })
}

impl Assembly {
    /// The rpcs over the use cases; whoever serves them adds the verification of tokens.
    pub fn grpc_app(self, config: &Config) -> GrpcApp {
        let api = AuthApi::new(self.service, self.keys);
        let server =
            AuthServiceServer::new(api).max_decoding_message_size(config.server.max_message_bytes);
        GrpcApp::new(tonic::service::Routes::new(server))
            .reflection(proto::FILE_DESCRIPTOR_SET)
            .public(PUBLIC)
    }
}
