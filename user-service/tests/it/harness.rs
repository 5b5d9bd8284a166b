//! A user service on a schema and a port of its own, under a clock that stands still.

use std::sync::Arc;

use chassis::config::UpstreamConfig;
use chassis::db::Pool;
use chassis::error::RemoteError;
use chassis::grpc::Channel;
use chassis::messaging::memory::MemoryPublisher;
use chassis::outbox::{Outbox, Relay};
use chassis::testing::clock::FixedClock;
use chassis::testing::grpc::{Server, channel};
use chassis::testing::mysql::TestDatabase;
use chassis::testing::tokens::TestIssuer;
use proto::user::v1 as pb;
use proto::user::v1::user_service_client::UserServiceClient;
use serde_json::Value;
use tokio::sync::Mutex;
use tonic::{Request, Response, Status};
use user_service::App;
use user_service::app::{grpc_app, service};
use user_service::config::Config;
use user_service::repository::MIGRATOR;
use user_service::service::UserService;

/// The password of every account that a test does not choose one for.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// The address of the administrator who is there from the start.
pub(crate) const ADMIN: &str = "admin@example.com";

/// The key that the shipped defaults seal with.
pub(crate) const MAIL_KEY: &str = "development-only-mail-key-0123456789abcdef";

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
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) pool: Pool,
    /// The id of the administrator.
    pub(crate) admin: String,
    client: UserServiceClient<Channel>,
    issuer: TestIssuer,
    service: UserService,
    told: Mutex<Told>,
    database: TestDatabase,
    server: Server,
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts with settings beside those of every test.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create(&MIGRATOR).await;
        let (clock, pool) = (Arc::new(FixedClock::default()), database.pool());
        let config = config(settings);
        let service = service(pool.clone(), Outbox::new(), None, &config, clock.clone()).unwrap();
        let admin = config.bootstrap.first_admin().unwrap().unwrap();
        service.bootstrap(admin).await.unwrap();
        let issuer = TestIssuer::with_clock(clock.clone());
        let app = grpc_app(service.clone(), &config).auth(issuer.verifier().await);
        let server = Server::start(app, config.server.clone()).await;
        let mut client = client(&server);
        let admin = identify(&mut client, ADMIN, PASSWORD).await.unwrap().user_id;
        let told = Told::new(&pool, &config);
        Self { clock, pool, admin, client, issuer, service, told, database, server }
    }

    pub(crate) fn client(&self) -> UserServiceClient<Channel> {
        self.client.clone()
    }

    /// Registers an account with [`PASSWORD`].
    pub(crate) async fn register(&self, email: &str) -> pb::User {
        self.try_register(registration(email)).await.unwrap()
    }

    pub(crate) async fn try_register(
        &self,
        request: pb::RegisterRequest,
    ) -> Result<pb::User, RemoteError> {
        Ok(refused(self.client().register(request).await)?.user.unwrap())
    }

    /// Reads an account as the administrator.
    pub(crate) async fn get(&self, id: &str) -> pb::User {
        let request = self.by_admin(pb::GetUserRequest { user_id: id.to_owned() });
        refused(self.client().get_user(request).await).unwrap().user.unwrap()
    }

    /// Asks what auth-service asks at a login.
    pub(crate) async fn identify(
        &self,
        email: &str,
        password: &str,
    ) -> Result<pb::VerifyCredentialsResponse, RemoteError> {
        identify(&mut self.client(), email, password).await
    }

    /// Asks what auth-service asks at a refresh.
    pub(crate) async fn access(&self, id: &str) -> Result<pb::GetAccessResponse, RemoteError> {
        let request = pb::GetAccessRequest { user_id: id.to_owned() };
        refused(self.client().get_access(request).await)
    }

    pub(crate) async fn set_status(
        &self,
        id: &str,
        status: pb::UserStatus,
    ) -> Result<pb::User, RemoteError> {
        let message = pb::SetStatusRequest { user_id: id.to_owned(), status: status.into() };
        let reply = self.client().set_status(self.by_admin(message)).await;
        Ok(refused(reply)?.user.unwrap())
    }

    pub(crate) async fn set_roles(
        &self,
        id: &str,
        roles: &[&str],
    ) -> Result<pb::User, RemoteError> {
        let reply = self.client().set_roles(self.by_admin(roles_of(id, roles))).await;
        Ok(refused(reply)?.user.unwrap())
    }

    /// Answers requests for another password as the worker does.
    pub(crate) async fn answer_recovery_requests(&self) {
        while self.service.answer_recovery_requests(2).await.unwrap() {}
    }

    /// A request with the token of a customer.
    pub(crate) fn by<T>(&self, id: &str, message: T) -> Request<T> {
        self.authorized(id, &["customer"], message)
    }

    /// A request with the administrator's token.
    pub(crate) fn by_admin<T>(&self, message: T) -> Request<T> {
        self.authorized(&self.admin, &["admin", "customer"], message)
    }

    pub(crate) fn authorized<T>(&self, id: &str, roles: &[&str], message: T) -> Request<T> {
        let mut request = Request::new(message);
        self.issuer.authorize(&mut request, id.parse().unwrap(), roles);
        request
    }

    pub(crate) async fn count(&self, what: &'static str) -> i64 {
        sqlx::query_scalar(what).fetch_one(&self.pool).await.unwrap()
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

    /// The ids of the events told about one account, oldest first.
    pub(crate) async fn events_of(&self, id: &str) -> Vec<String> {
        let events = self.events().await;
        let about = events.iter().filter(|event| event["subject"] == id);
        about.map(|event| event["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Stops a service whose schema cannot be looked at any more.
    pub(crate) async fn discard(self) {
        self.server.stop().await;
        self.database.finish().await;
    }

    /// Stops the service after a look at what it leaves behind.
    pub(crate) async fn finish(self) {
        for (what, query) in AUDIT {
            assert_eq!(self.count(query).await, 0, "{what}");
        }
        self.events().await;
        self.server.stop().await;
        self.database.finish_published().await;
    }
}

/// What must not be there, whatever happened.
const AUDIT: [(&str, &str); 2] = [
    (
        "accounts without a role",
        "SELECT COUNT(*) FROM users u WHERE NOT EXISTS \
         (SELECT 1 FROM user_roles r WHERE r.user_id = u.id)",
    ),
    (
        "passwords that are kept otherwise than as argon2id",
        "SELECT COUNT(*) FROM users WHERE password_hash NOT LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'",
    ),
];

/// A client of `server` that is patient: on a busy machine a password takes its time.
fn client(server: &Server) -> UserServiceClient<Channel> {
    let patient = UpstreamConfig { timeout_ms: 30_000, ..UpstreamConfig::default() };
    UserServiceClient::new(channel(&[server.endpoint()], &patient))
}

pub(crate) async fn identify(
    client: &mut UserServiceClient<Channel>,
    email: &str,
    password: &str,
) -> Result<pb::VerifyCredentialsResponse, RemoteError> {
    let (email, password) = (email.to_owned(), password.to_owned());
    refused(client.verify_credentials(pb::VerifyCredentialsRequest { email, password }).await)
}

pub(crate) fn refused<T>(reply: Result<Response<T>, Status>) -> Result<T, RemoteError> {
    reply.map(Response::into_inner).map_err(|status| RemoteError::from_status(&status))
}

/// The code of a refusal.
pub(crate) fn code<T>(reply: Result<T, RemoteError>) -> String {
    reply.map(|_| "none").unwrap_err().reason
}

/// The fields at fault of a refusal, in order.
pub(crate) fn fields(refusal: &RemoteError) -> Vec<&str> {
    refusal.violations.iter().map(|found| found.field.as_str()).collect()
}

pub(crate) fn registration(email: &str) -> pb::RegisterRequest {
    pb::RegisterRequest {
        email: email.to_owned(),
        password: PASSWORD.to_owned(),
        display_name: "Alice Liddell".to_owned(),
        locale: None,
    }
}

pub(crate) fn roles_of(id: &str, roles: &[&str]) -> pb::SetRolesRequest {
    let roles = roles.iter().map(ToString::to_string).collect();
    pb::SetRolesRequest { user_id: id.to_owned(), roles }
}

/// The shipped defaults, with more patience and an administrator.
fn config(settings: &[(&str, &str)]) -> Config {
    let common = [
        ("SERVER__REQUEST_TIMEOUT_MS", "30000"),
        ("PASSWORDS__WAIT_MS", "20000"),
        ("PASSWORDS__NICENESS", "0"),
        ("BOOTSTRAP__ADMIN_EMAIL", ADMIN),
        ("BOOTSTRAP__ADMIN_PASSWORD", PASSWORD),
    ];
    chassis::testing::config::defaults_with::<App>(common.iter().chain(settings).copied())
}

fn checked(routing_key: &str, payload: &str) -> Value {
    let event: Value = serde_json::from_str(payload).unwrap();
    let schema: Value = serde_json::from_str(proto::events::schema(routing_key).unwrap()).unwrap();
    if let Err(error) = jsonschema::validate(&schema, &event) {
        panic!("{routing_key}: {error}");
    }
    assert!(!payload.contains('@'), "{routing_key}: an address must not travel");
    event
}
