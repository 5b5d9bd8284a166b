//! An order service on a schema and a port of its own, with a stand-in for payment-service, under a
//! clock that stands still.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::db::{self, Pool};
use chassis::grpc::Channel;
use chassis::messaging::memory::MemoryPublisher;
use chassis::messaging::{Envelope, Handler};
use chassis::outbox::{Outbox, Relay};
use chassis::testing::clock::FixedClock;
use chassis::testing::grpc::{Server, channel};
use chassis::testing::mysql::TestDatabase;
use chassis::testing::tokens::TestIssuer;
use chrono::TimeDelta;
use order_service::App;
use order_service::api::consumer::PaymentEvents;
use order_service::app::{Surroundings, grpc_app, service};
use order_service::config::Config;
use order_service::repository::mysql::MIGRATOR;
use order_service::service::{OrderService, Policy};
use proto::order::v1 as pb;
use proto::order::v1::order_service_client::OrderServiceClient;
use serde_json::Value;
use tonic::Request;
use uuid::Uuid;

use crate::audit;
use crate::payments::Payments;

/// What every test may order.
pub(crate) const TEA: &str = "TEA";
/// What a piece of it costs, in fen.
pub(crate) const PRICE: i64 = 1_990;
/// How many pieces of it there are.
pub(crate) const STOCK: u32 = 1_000;
/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody with a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    roles: &'static [&'static str],
}

impl User {
    pub(crate) fn customer() -> Self {
        Self { id: chassis::id::new_id(), roles: &["customer"] }
    }

    pub(crate) fn admin() -> Self {
        Self { id: chassis::id::new_id(), roles: &["customer", "admin"] }
    }

    /// A request with the user's token, as this issuer signs it.
    pub(crate) fn by<T>(self, issuer: &TestIssuer, message: T) -> Request<T> {
        let mut request = Request::new(message);
        issuer.authorize(&mut request, self.id, self.roles);
        request
    }
}

/// A running service, and everything a test wants to look into.
pub(crate) struct Harness {
    pub(crate) service: Arc<OrderService>,
    pub(crate) payments: Payments,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) pool: Pool,
    pub(crate) policy: Policy,
    pub(crate) admin: User,
    /// What the price list began with, by SKU.
    pub(crate) shelved: Mutex<BTreeMap<String, u32>>,
    client: OrderServiceClient<Channel>,
    issuer: TestIssuer,
    config: Config,
    publisher: Arc<MemoryPublisher>,
    relay: tokio::sync::Mutex<Relay>,
    database: TestDatabase,
    server: Server,
    payment_service: Server,
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts with settings beside those of every test.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create(&MIGRATOR).await;
        let (clock, config) = (Arc::new(FixedClock::default()), config(settings));
        let payments = Payments::new();
        let payment_service = Server::start(payments.app(), config.server.clone()).await;
        let pool = database.pool();
        let service = assemble(&config, &pool, &clock, &payment_service);
        let issuer = TestIssuer::with_clock(clock.clone());
        let app = grpc_app(service.clone(), &config).auth(issuer.verifier().await);
        let server = Server::start(app, config.server.clone()).await;
        let publisher = Arc::new(MemoryPublisher::new());
        let relay = Relay::new(pool.clone(), publisher.clone(), &config.outbox, &Outbox::new());
        let harness = Self {
            service,
            payments,
            clock,
            pool,
            policy: config.policy(),
            admin: User::admin(),
            shelved: Mutex::default(),
            client: client(&server),
            issuer,
            config,
            publisher,
            relay: tokio::sync::Mutex::new(relay),
            database,
            server,
            payment_service,
        };
        harness.shelve(TEA, PRICE, STOCK).await;
        harness
    }

    /// The use cases of another process over the same schema, with connections of its own.
    pub(crate) fn replica(&self) -> Arc<OrderService> {
        let pool = db::connect(&self.database.config()).unwrap();
        assemble(&self.config, &pool, &self.clock, &self.payment_service)
    }

    pub(crate) fn client(&self) -> OrderServiceClient<Channel> {
        self.client.clone()
    }

    /// A request with the user's token.
    pub(crate) fn by<T>(&self, user: User, message: T) -> Request<T> {
        user.by(&self.issuer, message)
    }

    /// Delivers events of payment-service as the consumer does.
    pub(crate) async fn deliver(&self, events: &[Envelope]) {
        PaymentEvents::new(self.service.clone()).handle(events).await.unwrap();
    }

    pub(crate) fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    /// Lets so much time pass that what is unsettled is due, and asks about it.
    pub(crate) async fn recover_later(&self) {
        self.advance(self.policy.recheck_after);
        self.service.recover_payments().await.unwrap();
    }

    /// Lets so much time pass that unpaid orders are over, and expires them.
    pub(crate) async fn expire_later(&self) {
        self.advance(self.policy.order_ttl);
        self.service.expire_orders().await.unwrap();
    }

    pub(crate) async fn count(&self, what: &'static str) -> i64 {
        sqlx::query_scalar(what).fetch_one(&self.pool).await.unwrap()
    }

    /// The events told so far, taken out of the outbox as the relay does; each follows its schema.
    pub(crate) async fn events(&self) -> Vec<Value> {
        let mut relay = self.relay.lock().await;
        while relay.run_once().await.unwrap() > 0 {}
        let told = self.publisher.published();
        told.iter().map(|message| checked(&message.routing_key, &message.payload)).collect()
    }

    /// The events told about one order, in short: `paid 2`.
    pub(crate) async fn told(&self, order: &pb::Order) -> Vec<String> {
        let events = self.events().await;
        let about = events.iter().filter(|event| event["subject"] == order.id);
        let short = |event: &Value| {
            let (name, _) = event["id"].as_str().unwrap().split_once(':').unwrap();
            format!("{} {}", name.strip_prefix("order.").unwrap(), event["data"]["version"])
        };
        about.map(short).collect()
    }

    /// Stops a service whose schema cannot be looked at any more.
    pub(crate) async fn discard(self) {
        self.server.stop().await;
        self.database.finish().await;
    }

    /// Stops the service after an audit of what it leaves behind.
    pub(crate) async fn finish(self) {
        audit::of_orders(&self.pool).await;
        audit::of_events(&self.pool, &self.events().await).await;
        let shelved = self.shelved.lock().unwrap().clone();
        audit::of_stock(&self.pool, &shelved).await;
        assert_eq!(self.payments.complaints(), [""; 0]);
        self.server.stop().await;
        self.database.finish_published().await;
    }
}

/// A client of `server` that is patient: on a busy machine things take their time.
pub(crate) fn client(server: &Server) -> OrderServiceClient<Channel> {
    OrderServiceClient::new(channel(&[server.endpoint()], &config(&[]).upstream))
}

/// The shipped defaults with more patience, and what a test wants otherwise.
fn config(settings: &[(&str, &str)]) -> Config {
    let common = [("SERVER__REQUEST_TIMEOUT_MS", "30000"), ("UPSTREAM__TIMEOUT_MS", "20000")];
    chassis::testing::config::defaults_with::<App>(common.iter().chain(settings).copied())
}

fn assemble(
    config: &Config,
    pool: &Pool,
    clock: &Arc<FixedClock>,
    payment_service: &Server,
) -> Arc<OrderService> {
    let surroundings = Surroundings {
        pool: pool.clone(),
        outbox: Outbox::new(),
        payment_service: channel(&[payment_service.endpoint()], &config.upstream),
        clock: clock.clone(),
    };
    service(&surroundings, config)
}

pub(crate) fn checked(routing_key: &str, payload: &str) -> Value {
    let event: Value = serde_json::from_str(payload).unwrap();
    let schema: Value = serde_json::from_str(proto::events::schema(routing_key).unwrap()).unwrap();
    if let Err(error) = jsonschema::validate(&schema, &event) {
        panic!("{routing_key}: {error}");
    }
    event
}
