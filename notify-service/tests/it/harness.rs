//! A running service with its own schema, and clients of it.

use std::sync::Arc;

use chassis::messaging::{Envelope, Handler};
use chassis::testing::clock::FixedClock;
use chassis::testing::grpc::Server;
use chassis::testing::mysql::TestDatabase;
use chassis::testing::tokens::TestIssuer;
use notify_service::api::consumer::EventHandler;
use notify_service::app::{self, App};
use notify_service::config::Config;
use notify_service::repository::mysql::MIGRATOR;
use notify_service::service::NotifyService;
use proto::notify::v1::notify_service_client::NotifyServiceClient;
use serde_json::{Value, json};
use tonic::Request;
use uuid::Uuid;

pub(crate) type Client = NotifyServiceClient<chassis::grpc::Channel>;

pub(crate) struct Harness {
    pub(crate) service: Arc<NotifyService>,
    client: Client,
    issuer: TestIssuer,
    database: TestDatabase,
    _server: Server,
}

impl Harness {
    pub(crate) async fn start() -> Self {
        let database = TestDatabase::create(&MIGRATOR).await;
        let issuer = TestIssuer::new();
        let audit = chassis::testing::audit::log("notify-service");
        let service = app::service(database.pool(), Arc::new(FixedClock::default()), audit);
        let grpc = app::grpc_app(service.clone(), issuer.verifier().await, &config()).unwrap();
        let (channel, server) = chassis::testing::grpc::serve(grpc).await;
        let client = NotifyServiceClient::new(channel);
        Self { service, client, issuer, database, _server: server }
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(crate) fn user<T>(&self, user: Uuid, message: T) -> Request<T> {
        let mut request = Request::new(message);
        self.issuer.authorize(&mut request, user, &["customer"]);
        request
    }

    pub(crate) fn admin<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        self.issuer.authorize(&mut request, Uuid::from_u128(1), &["customer", "admin"]);
        request
    }

    /// Delivers the example of an event as the consumer would.
    pub(crate) async fn deliver(&self, event: &str, user: Uuid) -> Envelope {
        let envelope = envelope(event, user);
        self.handle(std::slice::from_ref(&envelope)).await;
        envelope
    }

    /// Delivers events as the consumer would.
    pub(crate) async fn handle(&self, batch: &[Envelope]) {
        EventHandler::new(self.service.clone()).handle(batch).await.unwrap();
    }

    pub(crate) fn pool(&self) -> chassis::db::Pool {
        self.database.pool()
    }

    pub(crate) async fn finish(self) {
        self.database.finish().await;
    }
}

/// The shipped defaults.
pub(crate) fn config() -> Config {
    chassis::testing::config::defaults_with::<App>([])
}

/// The example of an event's schema, about another user and aggregate.
pub(crate) fn envelope(event: &str, user: Uuid) -> Envelope {
    let schema: Value = serde_json::from_str(proto::events::schema(event).unwrap()).unwrap();
    let mut data = schema["examples"][0]["data"].clone();
    data["user_id"] = json!(user);
    told(event, chassis::id::new_id(), 2, data)
}

/// An event as a producer tells it.
pub(crate) fn told(event: &str, subject: Uuid, version: u64, data: Value) -> Envelope {
    let now = chrono::DateTime::from_timestamp_millis(1_767_323_045_678).unwrap();
    let producer = format!("{}-service", event.split('.').next().unwrap());
    Envelope::new(&producer, event, subject, version, now, data).unwrap()
}
