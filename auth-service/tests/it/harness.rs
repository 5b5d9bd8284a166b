//! An auth service on a schema and a port of its own, under a clock that stands still.

use std::sync::Arc;

use auth_service::App;
use auth_service::app::{Surroundings, assemble, grpc_app};
use auth_service::config::Config;
use auth_service::repository::MIGRATOR;
use auth_service::service::AuthService;
use auth_service::token::{KeyRingSource, RefreshSecret};
use chassis::auth::{Caller, GrpcKeySource, Verifier};
use chassis::db::{self, Pool};
use chassis::doorbell::Doorbell;
use chassis::error::RemoteError;
use chassis::grpc::Channel;
use chassis::messaging::memory::MemoryPublisher;
use chassis::outbox::{Outbox, Relay};
use chassis::testing::clock::FixedClock;
use chassis::testing::grpc::{Server, channel, serve};
use chassis::testing::mysql::TestDatabase;
use proto::auth::v1 as pb;
use proto::auth::v1::auth_service_client::AuthServiceClient;
use serde_json::Value;
use tokio::sync::Mutex;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::accounts::Accounts;

pub(crate) const EMAIL: &str = "alice@example.com";
pub(crate) const PASSWORD: &str = "correct horse battery";

/// One instance of the service.
pub(crate) struct Instance {
    pub(crate) channel: Channel,
    pub(crate) client: AuthServiceClient<Channel>,
    pub(crate) service: AuthService,
    /// Verifies tokens as every other service does: with the keys that this instance publishes.
    pub(crate) verifier: Verifier,
    server: Server,
}

/// What the service has told, taken out of the outbox by one relay: a second one would have to wait
/// until the server has noticed that the first is gone.
struct Told {
    publisher: Arc<MemoryPublisher>,
    relay: Relay,
    looked_at: usize,
}

impl Told {
    fn new(pool: &Pool, config: &Config) -> Mutex<Self> {
        let publisher = Arc::new(MemoryPublisher::new());
        let relay = Relay::new(pool.clone(), publisher.clone(), &config.outbox, &Outbox::new());
        Mutex::new(Self { publisher, relay, looked_at: 0 })
    }
}

/// A running service, and everything a test wants to look into.
pub(crate) struct Harness {
    pub(crate) accounts: Accounts,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) config: Config,
    pub(crate) pool: Pool,
    pub(crate) instance: Instance,
    /// The id of the account with [`EMAIL`] and [`PASSWORD`].
    pub(crate) alice: Uuid,
    user_service: Server,
    told: Mutex<Told>,
    database: TestDatabase,
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts with settings beside the shipped defaults.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create(&MIGRATOR).await;
        let (clock, mut config) = (Arc::new(FixedClock::default()), config(settings));
        // Verifiers wait by the clock on the wall, which the tests do not move.
        config.token.jwks_min_interval_s = 0;
        let accounts = Accounts::default();
        let alice = accounts.add(EMAIL, PASSWORD);
        let (_, user_service) = serve(accounts.app()).await;
        let pool = database.pool();
        let instance = Instance::start(&config, &pool, &clock, &user_service).await.unwrap();
        let told = Told::new(&pool, &config);
        Self { accounts, clock, config, pool, instance, alice, user_service, told, database }
    }

    /// Another instance over the same schema, with connections of its own: a replica, or the same
    /// one after a restart.
    pub(crate) async fn replica(&self) -> Instance {
        self.try_replica(&self.config).await.unwrap()
    }

    pub(crate) async fn try_replica(&self, config: &Config) -> anyhow::Result<Instance> {
        let pool = db::connect(&self.database.config())?;
        Instance::start(config, &pool, &self.clock, &self.user_service).await
    }

    /// A replica whose clock is not that of the others.
    pub(crate) async fn replica_under(&self, clock: &Arc<FixedClock>) -> Instance {
        let pool = db::connect(&self.database.config()).unwrap();
        Instance::start(&self.config, &pool, clock, &self.user_service).await.unwrap()
    }

    /// Lets the exchange of a token have happened so many seconds earlier, by the clock of the
    /// database.
    pub(crate) async fn antedate_exchange(&self, pair: &pb::TokenPair, seconds: u32) {
        let digest = RefreshSecret::parse(&pair.refresh_token).unwrap().digest();
        let done = sqlx::query(
            "UPDATE refresh_tokens SET spent_at = spent_at - INTERVAL ? SECOND WHERE digest = ?",
        )
        .bind(seconds)
        .bind(digest.as_bytes().as_slice())
        .execute(&self.pool)
        .await
        .unwrap();
        assert_eq!(done.rows_affected(), 1);
    }

    pub(crate) async fn login(&self) -> pb::TokenPair {
        self.instance.login(EMAIL, PASSWORD).await.unwrap()
    }

    pub(crate) async fn refresh(&self, pair: &pb::TokenPair) -> Result<pb::TokenPair, RemoteError> {
        self.instance.refresh(&pair.refresh_token).await
    }

    pub(crate) async fn count(&self, what: &'static str) -> i64 {
        sqlx::query_scalar(what).fetch_one(&self.pool).await.unwrap()
    }

    /// What has become of a refresh token.
    pub(crate) async fn state_of(&self, pair: &pb::TokenPair) -> String {
        let digest = RefreshSecret::parse(&pair.refresh_token).unwrap().digest();
        sqlx::query_scalar("SELECT state FROM refresh_tokens WHERE digest = ?")
            .bind(digest.as_bytes().as_slice())
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// The events told since the last look, taken out of the outbox as the relay does; each follows
    /// its schema.
    pub(crate) async fn events(&self) -> Vec<Value> {
        let mut told = self.told.lock().await;
        while told.relay.run_once().await.unwrap() > 0 {}
        let all = told.publisher.published();
        let new = all[told.looked_at..].iter();
        told.looked_at = all.len();
        new.map(|message| checked(&message.routing_key, &message.payload)).collect()
    }

    /// The same, in short: name and version, and the reason when there is one.
    pub(crate) async fn told(&self) -> Vec<String> {
        let events = self.events().await;
        let short = |event: &Value| {
            let name = event["id"].as_str().unwrap().split(':').next().unwrap().to_owned();
            let reason = event["data"]["reason"].as_str().map(|reason| format!(" {reason}"));
            format!("{name} {}{}", event["data"]["version"], reason.unwrap_or_default())
        };
        events.iter().map(short).collect()
    }

    /// Stops the service after a look at what it leaves behind.
    pub(crate) async fn finish(self) {
        for (what, query) in AUDIT {
            assert_eq!(self.count(query).await, 0, "{what}");
        }
        self.events().await;
        self.instance.server.stop().await;
        self.user_service.kill();
        self.database.finish_published().await;
    }

    /// Stops a service whose schema cannot be looked at any more.
    pub(crate) async fn discard(self) {
        self.instance.server.stop().await;
        self.database.finish().await;
    }
}

/// What must not be there, whatever happened.
const AUDIT: [(&str, &str); 3] = [
    (
        "sessions with more than one live refresh token",
        "SELECT COUNT(*) FROM (SELECT session_id FROM refresh_tokens WHERE state = 'LIVE' \
         GROUP BY session_id HAVING COUNT(*) > 1) AS odd",
    ),
    (
        "sessions that ended without a reason or a time, and others with one",
        "SELECT COUNT(*) FROM sessions WHERE (status = 'ENDED') <> (end_reason IS NOT NULL) \
         OR (status = 'ENDED') <> (ended_at IS NOT NULL)",
    ),
    (
        "schemas without exactly one key that signs",
        "SELECT COUNT(*) - 1 FROM signing_keys WHERE signs",
    ),
];

impl Instance {
    async fn start(
        config: &Config,
        pool: &Pool,
        clock: &Arc<FixedClock>,
        user_service: &Server,
    ) -> anyhow::Result<Self> {
        let surroundings = Surroundings {
            pool: pool.clone(),
            outbox: Outbox::new(),
            bell: Doorbell::new(),
            key_bell: Doorbell::new(),
            user_service: channel(&[user_service.endpoint()], &config.upstream),
            redis: chassis::redis::connect(&config.redis)?,
            clock: clock.clone(),
        };
        let service = assemble(surroundings, config).await?;
        let own = Arc::new(KeyRingSource::new(Arc::clone(&service.keys)));
        let own = Arc::new(Verifier::new(&config.token, own, clock.clone()));
        let (channel, server) = serve(grpc_app(service.clone(), config, own)).await;
        let verifier = verifier(&channel, config, clock);
        let client = AuthServiceClient::new(channel.clone());
        Ok(Self { channel, client, service, verifier, server })
    }

    pub(crate) async fn login(
        &self,
        email: &str,
        password: &str,
    ) -> Result<pb::TokenPair, RemoteError> {
        let (email, password) = (email.to_owned(), password.to_owned());
        let request = pb::LoginRequest { email, password, ..pb::LoginRequest::default() };
        Ok(refused(self.client.clone().login(request).await)?.tokens.unwrap())
    }

    pub(crate) async fn refresh(&self, token: &str) -> Result<pb::TokenPair, RemoteError> {
        let request =
            pb::RefreshRequest { refresh_token: token.to_owned(), ..pb::RefreshRequest::default() };
        Ok(refused(self.client.clone().refresh(request).await)?.tokens.unwrap())
    }

    pub(crate) async fn logout(&self, access_token: &str) -> Result<(), RemoteError> {
        let mut request = Request::new(pb::LogoutRequest {});
        let value = format!("Bearer {access_token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        refused(self.client.clone().logout(request).await).map(|_| ())
    }

    /// A request in the name of the holder of a pair.
    pub(crate) fn request<T>(pair: &pb::TokenPair, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let value = format!("Bearer {}", pair.access_token).parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        request
    }

    pub(crate) async fn sessions(&self, pair: &pb::TokenPair) -> Vec<pb::Session> {
        let request = Self::request(pair, pb::ListSessionsRequest {});
        refused(self.client.clone().list_sessions(request).await).unwrap().sessions
    }

    pub(crate) async fn revoke(&self, pair: &pb::TokenPair, id: &str) -> Result<(), RemoteError> {
        let message = pb::RevokeSessionRequest { session_id: id.to_owned() };
        let request = Self::request(pair, message);
        refused(self.client.clone().revoke_session(request).await).map(|_| ())
    }

    pub(crate) async fn revocations(&self, cursor: &str) -> pb::ListRevocationsResponse {
        let request = pb::ListRevocationsRequest { cursor: cursor.to_owned() };
        refused(self.client.clone().list_revocations(request).await).unwrap()
    }

    pub(crate) async fn jwks(&self) -> Value {
        let reply = refused(self.client.clone().get_jwks(pb::GetJwksRequest {}).await).unwrap();
        serde_json::from_str(&reply.jwks).unwrap()
    }

    /// Whom an access token names.
    pub(crate) async fn caller(&self, pair: &pb::TokenPair) -> Caller {
        self.verifier.verify(&pair.access_token).await.unwrap()
    }
}

/// A verifier that asks the instance behind `channel` for its keys, as other services do.
pub(crate) fn verifier(channel: &Channel, config: &Config, clock: &Arc<FixedClock>) -> Verifier {
    let source = Arc::new(GrpcKeySource::new(channel.clone(), &config.token));
    Verifier::new(&config.token, source, clock.clone())
}

pub(crate) fn refused<T>(reply: Result<Response<T>, Status>) -> Result<T, RemoteError> {
    reply.map(Response::into_inner).map_err(|status| RemoteError::from_status(&status))
}

/// The code of a refusal.
pub(crate) fn code<T>(reply: Result<T, RemoteError>) -> String {
    reply.map(|_| "none").unwrap_err().reason
}

/// The shipped defaults, and what a test wants otherwise.
pub(crate) fn config(settings: &[(&str, &str)]) -> Config {
    chassis::testing::config::defaults_with::<App>(settings.iter().copied())
}

fn checked(routing_key: &str, payload: &str) -> Value {
    let event: Value = serde_json::from_str(payload).unwrap();
    let schema: Value = serde_json::from_str(proto::events::schema(routing_key).unwrap()).unwrap();
    if let Err(error) = jsonschema::validate(&schema, &event) {
        panic!("{routing_key}: {error}");
    }
    event
}
