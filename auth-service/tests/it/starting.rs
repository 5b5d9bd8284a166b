//! What happens when processes start: schema, first signing key, events to the broker.

use std::sync::Arc;
use std::time::Duration;

use auth_service::App;
use auth_service::config::Config;
use chassis::auth::{GrpcKeySource, Verifier};
use chassis::clock::SystemClock;
use chassis::grpc::Channel;
use chassis::run::Service;
use chassis::testing::broker::TestBroker;
use chassis::testing::grpc::{Server, serve};
use chassis::testing::mysql::TestDatabase;
use chassis::testing::process::{Process, Program};
use proto::auth::v1 as pb;
use proto::auth::v1::auth_service_client::AuthServiceClient;

use crate::accounts::Accounts;
use crate::harness::{EMAIL, PASSWORD, config};

const PROGRAM: Program =
    Program { path: env!("CARGO_BIN_EXE_auth-service"), env_prefix: App::ENV_PREFIX };
const PATIENCE: Duration = Duration::from_secs(30);

/// An empty schema and a user service for processes.
struct World {
    accounts: Accounts,
    database: TestDatabase,
    user_service: Server,
    address: String,
    config: Config,
}

impl World {
    async fn new() -> Self {
        let accounts = Accounts::default();
        accounts.add(EMAIL, PASSWORD);
        let (_, user_service) = serve(accounts.app()).await;
        let address = user_service.address().to_string();
        let database = TestDatabase::empty().await;
        Self { accounts, database, user_service, address, config: config(&[]) }
    }

    fn start(&self, more: &[(&str, &str)]) -> Process {
        let user_service = ("DISCOVERY__STATIC__USER_SERVICE", self.address.as_str());
        let settings = [("DATABASE__URL", self.database.url()), user_service];
        PROGRAM.start(&[&settings, more].concat())
    }

    async fn count(&self, what: &'static str) -> i64 {
        sqlx::query_scalar(what).fetch_one(&self.database.pool()).await.unwrap()
    }

    /// Whether the process behind `channel` publishes the key of this token.
    async fn believes(&self, channel: &Channel, pair: &pb::TokenPair) -> bool {
        let source = Arc::new(GrpcKeySource::new(channel.clone(), &self.config.token));
        let verifier = Verifier::new(&self.config.token, source, Arc::new(SystemClock));
        verifier.verify(&pair.access_token).await.is_ok()
    }

    async fn finish(self) {
        self.user_service.kill();
        self.database.finish().await;
    }
}

async fn login(channel: &Channel) -> pb::TokenPair {
    let mut client = AuthServiceClient::new(channel.clone());
    let (email, password) = (EMAIL.to_owned(), PASSWORD.to_owned());
    let request = pb::LoginRequest { email, password, ..pb::LoginRequest::default() };
    client.login(request).await.unwrap().into_inner().tokens.unwrap()
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn processes_that_start_at_once_make_one_schema_and_one_key() {
    let world = World::new().await;
    let mut processes = [(); 2].map(|()| world.start(&[]));
    let mut channels = Vec::new();
    for process in &mut processes {
        channels.push(process.serving().await);
    }
    let makers = processes.iter().filter(|process| process.has_logged("first signing key created"));
    assert_eq!(makers.count(), 1);
    assert_eq!(world.count("SELECT COUNT(*) FROM signing_keys").await, 1);
    for (one, other) in [(0, 1), (1, 0)] {
        let pair = login(&channels[one]).await;
        assert!(world.believes(&channels[other], &pair).await);
    }
    for process in processes {
        process.stop().await;
    }
    world.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_process_that_starts_again_signs_with_the_same_key() {
    let world = World::new().await;
    let mut first = world.start(&[]);
    let channel = first.serving().await;
    let pair = login(&channel).await;
    first.stop().await;
    let mut second = world.start(&[]);
    let channel = second.serving().await;
    assert!(!second.has_logged("first signing key created"));
    assert!(world.believes(&channel, &pair).await);
    let refresh_token = pair.refresh_token;
    AuthServiceClient::new(channel)
        .refresh(pb::RefreshRequest { refresh_token, ..pb::RefreshRequest::default() })
        .await
        .unwrap();
    second.stop().await;
    world.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_process_with_another_sealing_key_says_so_and_ends() {
    let world = World::new().await;
    let mut first = world.start(&[]);
    first.serving().await;
    first.stop().await;
    let secret = "another-sealing-key-0123456789abcdef";
    let (status, said) = world.start(&[("KEYS__SEALING_KEYS", secret)]).refused().await;
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("keys.sealing_keys") && !said.contains(secret), "{said}");
    world.finish().await;
}

#[tokio::test]
async fn a_short_sealing_key_is_a_bad_configuration_under_either_name() {
    for name in ["KEYS__SEALING_KEYS", "KEYS__SEALING_KEY"] {
        let settings = [("DATABASE__URL", "mysql://nobody@127.0.0.1:9/none"), (name, "too short")];
        let (status, said) = PROGRAM.start(&settings).refused().await;
        assert_eq!(status.code(), Some(64));
        assert!(said.contains("keys.sealing_keys") && !said.contains("too short"), "{said}");
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn each_refused_login_leaves_a_line_that_says_why_and_names_nobody() {
    let world = World::new().await;
    let disabled = world.accounts.add("carol@example.com", PASSWORD);
    world.accounts.alter(disabled, |account| account.is_active = false);
    let meter = [("THROTTLE__ACCOUNT__FREE", "2"), ("THROTTLE__ACCOUNT__PAUSE_S", "60")];
    let mut process = world.start(&meter);
    let mut client = AuthServiceClient::new(process.serving().await);
    for (email, password) in [
        (EMAIL, "wrong password"),
        ("nobody@example.com", PASSWORD),
        ("ALICE@example.com", "wrong password"),
        (EMAIL, PASSWORD),
        ("carol@example.com", PASSWORD),
    ] {
        let (email, password) = (email.to_owned(), password.to_owned());
        let client_address = "192.0.2.77".to_owned();
        let request =
            pb::LoginRequest { email, password, client_address, ..pb::LoginRequest::default() };
        client.login(request).await.unwrap_err();
    }
    let log = process.stop().await;
    let lines: Vec<_> = log.iter().filter(|line| line["message"] == "login refused").collect();
    let why: Vec<_> = lines.iter().map(|line| line["login.refusal"].as_str().unwrap()).collect();
    assert_eq!(why, ["credentials", "credentials", "credentials", "throttled", "disabled"]);
    assert_eq!((&lines[3]["throttle.by"], &lines[3]["level"]), (&"account".into(), &"INFO".into()));
    let accounts: Vec<_> = lines.iter().map(|line| line["account.digest"].as_str()).collect();
    assert!(accounts[0].is_some_and(|digest| digest.len() == 16), "{accounts:?}");
    assert!(accounts[2..4].iter().all(|digest| *digest == accounts[0]), "{accounts:?}");
    assert!(accounts[1] != accounts[0] && accounts[4] != accounts[0], "{accounts:?}");
    assert!(lines.iter().all(|line| line["client.digest"] == lines[0]["client.digest"]));
    let text = serde_json::to_string(&log).unwrap().to_lowercase();
    for personal in ["alice", "nobody@", "carol", "192.0.2.77", "wrong password", PASSWORD] {
        assert!(!text.contains(personal), "{personal} is in the log");
    }
    world.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL and RabbitMQ: cargo ehub test"]
async fn events_leave_for_the_broker_and_old_sessions_are_forgotten() {
    let (world, broker) = (World::new().await, TestBroker::new());
    broker.subscribe("notify-service", &["auth.*"]).await;
    let amqp = broker.config();
    let mut process = world.start(&[
        ("AMQP__URL", amqp.url.expose()),
        ("AMQP__NAMESPACE", &amqp.namespace),
        ("SESSIONS__ABSOLUTE_S", "1"),
        ("SESSIONS__RETENTION_S", "0"),
        ("SESSIONS__PURGE_INTERVAL_S", "1"),
    ]);
    login(&process.serving().await).await;
    for rest in ["SELECT COUNT(*) FROM outbox", "SELECT COUNT(*) FROM sessions"] {
        let gone = async {
            while world.count(rest).await > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.unwrap();
    }
    process.stop().await;
    broker.finish(&["notify-service"]).await;
    world.finish().await;
}
