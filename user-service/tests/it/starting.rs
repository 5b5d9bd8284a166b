//! What happens when processes start: schema, first administrator, events to the broker.

use std::time::Duration;

use chassis::config::{BaseConfig, Profile};
use chassis::run::Service;
use chassis::testing::broker::TestBroker;
use chassis::testing::config::defaults_with;
use chassis::testing::mysql::TestDatabase;
use chassis::testing::process::Program;
use proto::user::v1::user_service_client::UserServiceClient;
use user_service::App;

use crate::harness::{code, identify, registration};

const PROGRAM: Program =
    Program { path: env!("CARGO_BIN_EXE_user-service"), env_prefix: App::ENV_PREFIX };
const EMAIL: &str = "root@example.com";
const PASSWORD: &str = "the first of passwords";
const PATIENCE: Duration = Duration::from_secs(30);

fn settings<'s>(url: &'s str, password: &'s str) -> [(&'s str, &'s str); 3] {
    let email = ("BOOTSTRAP__ADMIN_EMAIL", EMAIL);
    [("DATABASE__URL", url), email, ("BOOTSTRAP__ADMIN_PASSWORD", password)]
}

async fn count(database: &TestDatabase, what: &'static str) -> i64 {
    sqlx::query_scalar(what).fetch_one(&database.pool()).await.unwrap()
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn processes_that_start_at_once_make_one_schema_and_one_administrator() {
    let database = TestDatabase::empty().await;
    let settings = settings(database.url(), PASSWORD);
    let mut processes = [(); 3].map(|()| PROGRAM.start(&settings));
    let mut ids = Vec::new();
    for process in &mut processes {
        let mut client = UserServiceClient::new(process.serving().await);
        let identity = identify(&mut client, EMAIL, PASSWORD).await.unwrap();
        assert_eq!(identity.roles, ["admin", "customer"]);
        ids.push(identity.user_id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    let makers =
        processes.iter().filter(|process| process.has_logged("first administrator created"));
    assert_eq!(makers.count(), 1);
    assert_eq!(count(&database, "SELECT COUNT(*) FROM users").await, 1);
    assert_eq!(count(&database, "SELECT COUNT(*) FROM outbox").await, 2);
    for process in processes {
        process.stop().await;
    }
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_later_start_leaves_the_administrator_as_they_are() {
    let database = TestDatabase::empty().await;
    for password in [PASSWORD, "another configured one"] {
        let mut process = PROGRAM.start(&settings(database.url(), password));
        let mut client = UserServiceClient::new(process.serving().await);
        assert_eq!(process.has_logged("first administrator created"), password == PASSWORD);
        identify(&mut client, EMAIL, PASSWORD).await.unwrap();
        let other = identify(&mut client, EMAIL, "another configured one").await;
        assert_eq!(code(other), "CREDENTIALS_INVALID");
        process.stop().await;
    }
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_guessable_administrators_password_prevents_the_start() {
    let database = TestDatabase::empty().await;
    let (status, said) = PROGRAM.start(&settings(database.url(), "password1")).refused().await;
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("first administrator") && said.contains("easily guessed"), "{said}");
    assert!(!said.contains("password1"), "{said}");
    assert_eq!(count(&database, "SELECT COUNT(*) FROM users").await, 0);
    database.finish().await;
}

#[tokio::test]
async fn half_an_administrator_is_a_bad_configuration() {
    let process = PROGRAM.start(&settings("mysql://nobody@127.0.0.1:9/none", ""));
    let (status, said) = process.refused().await;
    assert_eq!(status.code(), Some(64));
    assert!(said.contains("bootstrap.admin_password"), "{said}");
}

#[test]
fn a_sealing_key_that_a_list_of_keys_would_tear_apart_is_refused() {
    const KEY: &str = "Vb4uPqf0sYx1mCe8ZkTg3nRwJh6dLa7Q";
    let check = |key: &str| {
        let config = defaults_with::<App>([("MAIL__SEALING_KEY", key)]);
        config.validate(Profile::Development).map_err(|error| error.to_string())
    };
    assert_eq!(check(KEY), Ok(()));
    for (before, after) in [("", ","), (",", ""), (KEY, ","), (" ", ""), ("", " "), ("", "\t")] {
        let refusal = check(&format!("{before}{KEY}{after}")).unwrap_err();
        assert!(refusal.contains("mail.sealing_key"), "{refusal}");
        assert!(refusal.contains("no comma") && !refusal.contains(KEY), "{refusal}");
    }
}

#[tokio::test]
#[ignore = "needs MySQL and RabbitMQ: cargo ehub test"]
async fn events_leave_for_the_broker() {
    let (database, broker) = (TestDatabase::empty().await, TestBroker::new());
    broker.subscribe("notify-service", &["user.*"]).await;
    let amqp = broker.config();
    let settings = [
        ("DATABASE__URL", database.url()),
        ("AMQP__URL", amqp.url.expose()),
        ("AMQP__NAMESPACE", &amqp.namespace),
    ];
    let mut process = PROGRAM.start(&settings);
    let mut client = UserServiceClient::new(process.serving().await);
    client.register(registration("alice@example.com")).await.unwrap();
    let left = async {
        while count(&database, "SELECT COUNT(*) FROM outbox").await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, left).await.unwrap();
    process.stop().await;
    database.finish_published().await;
    broker.finish(&["notify-service"]).await;
}
