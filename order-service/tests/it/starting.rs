//! The service as the process that is shipped: what it needs to start, what it does without being
//! asked, and what is left when it dies.

use chassis::grpc::{Channel, GrpcApp};
use chassis::messaging::Publisher;
use chassis::run::Service;
use chassis::testing::broker::TestBroker;
use chassis::testing::grpc::{Server, serve};
use chassis::testing::mysql::TestDatabase;
use chassis::testing::process::{Process, Program};
use chassis::testing::tokens::TestIssuer;
use order_service::App;
use order_service::api::consumer::QUEUE;
use proto::auth::v1::auth_service_server::{AuthService, AuthServiceServer};
use proto::auth::v1::{self as auth};
use proto::order::v1::order_service_client::OrderServiceClient;
use proto::order::v1::{self as pb, OrderStatus};
use proto::payment::v1::PaymentStatus;
use tonic::{Request, Response, Status};

use crate::calls::{cart, code, product, refund_of, refused};
use crate::harness::{PATIENCE, TEA, User};
use crate::notices::event;
use crate::payments::{Mood, Payments};

pub(crate) const PROGRAM: Program =
    Program { path: env!("CARGO_BIN_EXE_order-service"), env_prefix: App::ENV_PREFIX };

/// A stand-in for auth-service, which publishes the key of an issuer.
struct Keys(TestIssuer);

/// An empty schema and the services that a process calls.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) issuer: TestIssuer,
    pub(crate) payments: Payments,
    auth_service: Server,
    payment_service: Server,
    pub(crate) alice: User,
}

impl World {
    pub(crate) async fn new() -> Self {
        let (issuer, payments) = (TestIssuer::new(), Payments::new());
        let keys = AuthServiceServer::new(Keys(issuer.clone()));
        let (_, auth_service) = serve(GrpcApp::new(tonic::service::Routes::new(keys))).await;
        let (_, payment_service) = serve(payments.app()).await;
        let (database, alice) = (TestDatabase::empty().await, User::customer());
        Self { database, issuer, payments, auth_service, payment_service, alice }
    }

    fn start(&self, more: &[(&str, &str)]) -> Process {
        self.start_by(more, |settings| PROGRAM.start(settings))
    }

    /// Starts a process with the settings of this world and more.
    pub(crate) fn start_by(
        &self,
        more: &[(&str, &str)],
        start: impl FnOnce(&[(&str, &str)]) -> Process,
    ) -> Process {
        let auth_service = self.auth_service.address().to_string();
        let payment_service = self.payment_service.address().to_string();
        let settings = [
            ("DATABASE__URL", self.database.url()),
            ("DISCOVERY__STATIC__AUTH_SERVICE", auth_service.as_str()),
            ("DISCOVERY__STATIC__PAYMENT_SERVICE", payment_service.as_str()),
            ("SERVER__REQUEST_TIMEOUT_MS", "30000"),
        ];
        start(&[&settings, more].concat())
    }

    pub(crate) fn by<T>(&self, user: User, message: T) -> Request<T> {
        user.by(&self.issuer, message)
    }

    /// A client of a process that has tea to sell, once it serves.
    pub(crate) async fn shop(&self, process: &mut Process) -> OrderServiceClient<Channel> {
        let mut client = OrderServiceClient::new(process.serving().await);
        let tea = self.by(User::admin(), product(TEA, (1_990, "CNY"), 100));
        client.put_product(tea).await.unwrap();
        client
    }

    pub(crate) async fn place(
        &self,
        client: &OrderServiceClient<Channel>,
        method: &str,
    ) -> pb::Order {
        let request = self.by(self.alice, cart(&[(TEA, 1)], method));
        let reply = client.clone().create_order(request).await.unwrap();
        reply.into_inner().order.unwrap()
    }

    /// Waits until an order has this status; `meanwhile` is done before each look.
    pub(crate) async fn until<F: Future<Output = ()>>(
        &self,
        client: &OrderServiceClient<Channel>,
        (order, status): (&pb::Order, OrderStatus),
        meanwhile: impl Fn() -> F,
    ) {
        let reached = async {
            loop {
                meanwhile().await;
                let request = pb::GetOrderRequest { order_id: order.id.clone() };
                let reply = client.clone().get_order(self.by(self.alice, request)).await.unwrap();
                if reply.into_inner().order.unwrap().status() == status {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap();
    }

    pub(crate) async fn count(&self, what: &'static str) -> i64 {
        sqlx::query_scalar(what).fetch_one(&self.database.pool()).await.unwrap()
    }

    pub(crate) async fn finish(self) {
        self.auth_service.kill();
        self.payment_service.kill();
        self.database.finish().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn processes_that_start_at_once_make_one_schema() {
    let world = World::new().await;
    let mut processes = [(); 3].map(|()| world.start(&[]));
    let mut clients = Vec::new();
    for process in &mut processes {
        clients.push(world.shop(process).await);
    }
    let applied = "SELECT COUNT(*) FROM _sqlx_migrations WHERE success";
    assert_eq!(world.count(applied).await, 10);
    let order = world.place(&clients[0], "pm_ok").await;
    for client in &clients {
        world.until(client, (&order, OrderStatus::Paid), async || ()).await;
    }
    for process in processes {
        process.stop().await;
    }
    world.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_workers_do_what_is_due() {
    let world = World::new().await;
    let mut process = world.start(&[
        ("WORKERS__RECOVERY_EVERY_MS", "50"),
        ("WORKERS__RECHECK_AFTER_MS", "200"),
        ("WORKERS__EXPIRY_EVERY_MS", "50"),
        ("WORKERS__SWEEP_EVERY_S", "1"),
    ]);
    let client = world.shop(&mut process).await;
    let waiting = world.place(&client, "pm_never").await;
    world.payments.decide(&waiting.payment_id, PaymentStatus::Succeeded);
    world.until(&client, (&waiting, OrderStatus::Paid), async || ()).await;
    let request = world.by(world.alice, refund_of(&waiting));
    client.clone().refund_order(request).await.unwrap();
    world.until(&client, (&waiting, OrderStatus::Refunded), async || ()).await;

    let unpaid = world.place(&client, "pm_declined").await;
    let old = "UPDATE orders SET expires_at = created_at WHERE status = 'PAYMENT_FAILED'";
    sqlx::query(old).execute(&world.database.pool()).await.unwrap();
    world.until(&client, (&unpaid, OrderStatus::Expired), async || ()).await;

    let old = "UPDATE idempotency_claims SET created_at = created_at - INTERVAL 1 YEAR";
    sqlx::query(old).execute(&world.database.pool()).await.unwrap();
    let swept = async {
        while world.count("SELECT COUNT(*) FROM idempotency_claims").await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, swept).await.unwrap();
    process.stop().await;
    world.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL and RabbitMQ: cargo ehub test"]
async fn events_come_and_go_by_the_broker() {
    let (world, broker) = (World::new().await, TestBroker::new());
    broker.subscribe("notify-service", &["order.*"]).await;
    let amqp = broker.config();
    let mut process =
        world.start(&[("AMQP__URL", amqp.url.expose()), ("AMQP__NAMESPACE", &amqp.namespace)]);
    let client = world.shop(&mut process).await;
    let order = world.place(&client, "pm_never").await;
    broker.connected().await;
    let publisher = broker.broker().publisher();
    let capture = [event("payment.succeeded", &order, 3).to_message().unwrap()];
    // Again and again, because what comes before the queue is bound is not kept for it.
    let publish = async || {
        let _may_come_too_early = publisher.publish(&capture).await;
    };
    world.until(&client, (&order, OrderStatus::Paid), publish).await;
    let told = async {
        while world.count("SELECT COUNT(*) FROM outbox").await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
    process.stop().await;
    broker.finish(&[QUEUE, "notify-service"]).await;
    world.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_a_killed_process_began_another_one_finishes() {
    let world = World::new().await;
    let mut first = world.start(&[]);
    let mut client = world.shop(&mut first).await;
    world.payments.set_mood(Mood::Held);
    let request = cart(&[(TEA, 1)], "pm_ok");
    let lost = tokio::join!(client.create_order(world.by(world.alice, request.clone())), async {
        world.payments.until_calls(1).await;
        drop(first);
    });
    assert_eq!(code(refused(lost.0)), "SERVICE_UNAVAILABLE");
    world.payments.until_idle().await;
    world.payments.set_mood(Mood::Well);
    assert_eq!(world.count("SELECT COUNT(*) FROM orders WHERE status = 'CREATED'").await, 1);

    let mut second = world.start(&[]);
    let mut client = OrderServiceClient::new(second.serving().await);
    let finished = async {
        loop {
            let again = world.by(world.alice, request.clone());
            match refused(client.create_order(again).await) {
                Ok(reply) => return reply,
                Err(refusal) => assert_eq!(refusal.reason, "IDEMPOTENCY_IN_PROGRESS"),
            }
        }
    };
    let reply = tokio::time::timeout(PATIENCE, finished).await.unwrap();
    let order = reply.order.unwrap();
    assert_eq!((order.status(), order.version), (OrderStatus::Paid, 2));
    assert_eq!(world.payments.that_are(PaymentStatus::Succeeded), [order.payment_id]);
    assert_eq!(world.count("SELECT COUNT(*) FROM orders").await, 1);
    second.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn a_bad_configuration_is_refused_by_the_name_of_its_key() {
    for (key, value, named) in [
        ("WORKERS__BATCH", "0", "workers.batch"),
        ("WORKERS__RECOVERY_EVERY_MS", "often", "workers.recovery_every_ms"),
        ("ORDERS__TTL_S", "-1", "orders.ttl_s"),
        ("ORDERS__KEEP_H", "23", "orders.keep_h"),
        ("ORDERS__LIFETIME", "1800", "orders.lifetime"),
        ("PAGING__SECRET", "guessable", "paging.secret"),
    ] {
        let url = ("DATABASE__URL", "mysql://nobody@127.0.0.1:9/none");
        let (status, said) = PROGRAM.start(&[url, (key, value)]).refused().await;
        assert_eq!(status.code(), Some(64), "{said}");
        assert!(said.contains(named) && !said.contains("guessable"), "{said}");
    }
}

#[tonic::async_trait]
impl AuthService for Keys {
    async fn get_jwks(
        &self,
        _: Request<auth::GetJwksRequest>,
    ) -> Result<Response<auth::GetJwksResponse>, Status> {
        let jwks = serde_json::to_string(&self.0.key_set()).unwrap();
        Ok(Response::new(auth::GetJwksResponse { jwks }))
    }

    async fn login(
        &self,
        _: Request<auth::LoginRequest>,
    ) -> Result<Response<auth::LoginResponse>, Status> {
        Err(Status::unimplemented("order-service logs nobody in"))
    }

    async fn refresh(
        &self,
        _: Request<auth::RefreshRequest>,
    ) -> Result<Response<auth::RefreshResponse>, Status> {
        Err(Status::unimplemented("order-service refreshes nothing"))
    }

    async fn logout(
        &self,
        _: Request<auth::LogoutRequest>,
    ) -> Result<Response<auth::LogoutResponse>, Status> {
        Err(Status::unimplemented("order-service logs nobody out"))
    }

    async fn list_sessions(
        &self,
        _: Request<auth::ListSessionsRequest>,
    ) -> Result<Response<auth::ListSessionsResponse>, Status> {
        Err(Status::unimplemented("nobody asks for this here"))
    }

    async fn revoke_session(
        &self,
        _: Request<auth::RevokeSessionRequest>,
    ) -> Result<Response<auth::RevokeSessionResponse>, Status> {
        Err(Status::unimplemented("nobody asks for this here"))
    }

    async fn revoke_all_sessions(
        &self,
        _: Request<auth::RevokeAllSessionsRequest>,
    ) -> Result<Response<auth::RevokeAllSessionsResponse>, Status> {
        Err(Status::unimplemented("nobody asks for this here"))
    }

    async fn revoke_user_sessions(
        &self,
        _: Request<auth::RevokeUserSessionsRequest>,
    ) -> Result<Response<auth::RevokeUserSessionsResponse>, Status> {
        Err(Status::unimplemented("nobody asks for this here"))
    }

    async fn list_revocations(
        &self,
        _: Request<auth::ListRevocationsRequest>,
    ) -> Result<Response<auth::ListRevocationsResponse>, Status> {
        Err(Status::unimplemented("nobody asks for this here"))
    }

    async fn list_keys(
        &self,
        _: Request<auth::ListKeysRequest>,
    ) -> Result<Response<auth::ListKeysResponse>, Status> {
        Err(Status::unimplemented("nobody asks for this here"))
    }

    async fn rotate_keys(
        &self,
        _: Request<auth::RotateKeysRequest>,
    ) -> Result<Response<auth::RotateKeysResponse>, Status> {
        Err(Status::unimplemented("nobody asks for this here"))
    }
}
