//! What is left when the process dies at the worst moments, and what the next one makes of it.

use std::path::PathBuf;
use std::time::Duration;

use chassis::grpc::GrpcApp;
use chassis::messaging::{Envelope, OutboundMessage, Publisher as _, Signer};
use chassis::run::Service as _;
use chassis::testing::broker::TestBroker;
use chassis::testing::grpc::{Server, serve};
use chassis::testing::mysql::TestDatabase;
use chassis::testing::process::{Process, Program};
use chassis::testing::tokens::TestIssuer;
use notify_service::app::App;
use proto::auth::v1::auth_service_server::AuthServiceServer;
use proto::notify::v1 as pb;
use proto::notify::v1::notify_service_client::NotifyServiceClient;
use tonic::Request;
use uuid::Uuid;

use crate::harness::envelope;
use crate::keys::Keys;

const PROGRAM: Program =
    Program { path: env!("CARGO_BIN_EXE_notify-service"), env_prefix: App::ENV_PREFIX };

/// How long a test waits for the broker and the process.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service that dies where a test says, on a broker and a schema of its own.
struct Site {
    database: TestDatabase,
    broker: TestBroker,
    issuer: TestIssuer,
    auth_service: Server,
    armed: PathBuf,
    process: Option<Process>,
}

impl Site {
    async fn open() -> Self {
        let (database, broker) = (TestDatabase::empty().await, TestBroker::new());
        broker.subscribe(App::NAME, &notify_service::api::consumer::BINDINGS).await;
        let armed = std::env::temp_dir().join(format!("crashes-{}", chassis::id::new_id()));
        std::fs::create_dir_all(&armed).unwrap();
        let issuer = TestIssuer::new();
        let keys = AuthServiceServer::new(Keys(issuer.clone()));
        let (_, auth_service) = serve(GrpcApp::new(tonic::service::Routes::new(keys))).await;
        let mut site = Self { database, broker, issuer, auth_service, armed, process: None };
        site.start();
        site
    }

    fn start(&mut self) {
        let (amqp, auth_service) = (self.broker.config(), self.auth_service.address().to_string());
        let settings = [
            ("DISCOVERY__STATIC__AUTH_SERVICE", auth_service.as_str()),
            ("DATABASE__URL", self.database.url()),
            ("AMQP__URL", amqp.url.expose()),
            ("AMQP__NAMESPACE", amqp.namespace.as_str()),
        ];
        self.process = Some(PROGRAM.start_armed(&settings, &self.armed));
    }

    async fn publish(&self, envelopes: &[Envelope]) {
        let messages: Vec<_> = envelopes.iter().map(|one| one.to_message().unwrap()).collect();
        self.send(&messages).await;
    }

    async fn send(&self, messages: &[OutboundMessage]) {
        for published in self.broker.broker().publisher().publish(messages).await {
            published.unwrap();
        }
    }

    /// Waits for the death of the process at this point, and starts the next one.
    async fn restart(&mut self, point: &str) {
        self.process.take().unwrap().died().await;
        assert!(!self.armed.join(point).exists(), "{point} was not what it died of");
        self.start();
    }

    fn admin<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        self.issuer.authorize(&mut request, Uuid::from_u128(1), &["customer", "admin"]);
        request
    }

    /// Counts rows; none while the process has not migrated the schema yet.
    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.database.pool()).await.unwrap_or_default()
    }

    async fn close(mut self) {
        self.process.take().unwrap().stop().await;
        self.auth_service.kill();
        self.broker.finish(&[App::NAME]).await;
        std::fs::remove_dir_all(&self.armed).unwrap();
        self.database.finish().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL and RabbitMQ: cargo ehub test"]
async fn an_event_is_told_once_wherever_the_process_dies() {
    for (point, deliveries) in
        [("consumer.received", 1), ("notify.before_commit", 1), ("consumer.committed", 2)]
    {
        // A site of its own: only an event before it could reach the point in its place.
        let mut site = Site::open().await;
        std::fs::write(site.armed.join(point), "").unwrap();
        site.publish(&[envelope("order.created", chassis::id::new_id())]).await;
        site.restart(point).await;
        let counted = async {
            let sql = "SELECT CAST(SUM(deliveries) AS SIGNED) FROM event_receipts";
            while site.count(sql).await != deliveries {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, counted).await.unwrap_or_else(|_| panic!("{point}"));
        assert_eq!(site.count("SELECT COUNT(*) FROM notifications").await, 1, "{point}");
        site.close().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL and RabbitMQ: cargo ehub test"]
async fn a_replay_that_the_process_dies_in_is_told_once_when_it_is_repeated() {
    let mut site = Site::open().await;
    // A letter that a replay can tell: the storage is where a test can make one of what died.
    let event = envelope("order.paid", chassis::id::new_id());
    let whole = event.to_message().unwrap();
    let half = OutboundMessage { payload: "{\"half\":".to_owned(), ..whole.clone() };
    site.send(&[half]).await;
    let died = async {
        while site.count("SELECT COUNT(*) FROM dead_letters").await < 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, died).await.unwrap();
    sqlx::query("UPDATE dead_letters SET payload = ?")
        .bind(Signer::for_anybody().sign(&whole.payload).into_bytes())
        .execute(&site.database.pool())
        .await
        .unwrap();
    let id: Uuid = sqlx::query_scalar("SELECT id FROM dead_letters")
        .fetch_one(&site.database.pool())
        .await
        .unwrap();
    let replay = pb::ReplayDeadLetterRequest { dead_letter_id: id.to_string() };
    let open = "SELECT COUNT(*) FROM dead_letters WHERE status = 'OPEN'";

    let point = "notify.replay.before_commit";
    std::fs::write(site.armed.join(point), "").unwrap();
    let request = site.admin(replay.clone());
    let channel = site.process.as_mut().unwrap().serving().await;
    assert!(NotifyServiceClient::new(channel).replay_dead_letter(request).await.is_err());
    site.restart(point).await;
    assert_eq!(site.count("SELECT COUNT(*) FROM notifications").await, 1, "it was told");
    assert_eq!(site.count(open).await, 1, "and is not decided");

    let request = site.admin(replay);
    let channel = site.process.as_mut().unwrap().serving().await;
    NotifyServiceClient::new(channel).replay_dead_letter(request).await.unwrap();
    assert_eq!(site.count("SELECT COUNT(*) FROM notifications").await, 1);
    assert_eq!(site.count(open).await, 0);
    site.close().await;
}
