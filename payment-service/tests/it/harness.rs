//! A payment service on a schema and a port of its own, under a clock that stands still.

use std::sync::Arc;
use std::time::Duration;

use chassis::clock::Clock;
use chassis::db::Pool;
use chassis::error::RemoteError;
use chassis::grpc::Channel;
use chassis::messaging::memory::MemoryPublisher;
use chassis::outbox::{Outbox, Relay};
use chassis::testing::clock::FixedClock;
use chassis::testing::grpc::{Server, serve};
use chassis::testing::mysql::TestDatabase;
use chassis::testing::tokens::TestIssuer;
use payment_service::App;
use payment_service::app::{Assembly, MIGRATOR, assemble, endpoint};
use payment_service::config::Config;
use payment_service::model::{CallbackKeys, PaymentId};
use payment_service::service::PaymentService;
use proto::money::v1::Money;
use proto::payment::v1 as pb;
use proto::payment::v1::payment_service_client::PaymentServiceClient;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status};

/// The first configured key signs, the second one is about to be retired.
pub(crate) const KEYS: [&str; 2] =
    ["current-callback-key-0123456789abcdef", "retired-callback-key-0123456789abcdef"];

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running service, and everything a test wants to look into.
pub(crate) struct Harness {
    pub(crate) client: PaymentServiceClient<Channel>,
    pub(crate) service: Arc<PaymentService>,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) issuer: TestIssuer,
    pub(crate) config: Config,
    pub(crate) pool: Pool,
    pub(crate) keys: CallbackKeys,
    publisher: Arc<MemoryPublisher>,
    relay: Mutex<Relay>,
    database: TestDatabase,
    server: Server,
    _courier: DropGuard,
}

impl Harness {
    pub(crate) async fn start() -> Self {
        let database = TestDatabase::create(&MIGRATOR).await;
        let clock = Arc::new(FixedClock::default());
        let config = config();
        let pool = database.pool();
        let Assembly { service, courier, outgoing } = build(&config, &pool, &clock);
        let stop = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "the test's runtime ends the task")]
        tokio::spawn(courier.run(outgoing, stop.clone()));
        let issuer = TestIssuer::with_clock(clock.clone());
        let app = endpoint(service.clone(), &config).auth(issuer.verifier().await);
        let (channel, server) = serve(app).await;
        let publisher = Arc::new(MemoryPublisher::new());
        let relay = Relay::new(pool.clone(), publisher.clone(), &config.outbox, &Outbox::new());
        Self {
            client: PaymentServiceClient::new(channel),
            service,
            clock,
            issuer,
            config,
            pool,
            keys: CallbackKeys::new(KEYS.map(str::as_bytes)).unwrap(),
            publisher,
            relay: Mutex::new(relay),
            database,
            server,
            _courier: stop.drop_guard(),
        }
    }

    /// The use cases of another process over the same schema: one that started anew, or a second
    /// replica. Nobody delivers the callbacks of its provider.
    pub(crate) fn replica(&self) -> Arc<PaymentService> {
        build(&self.config, &self.pool, &self.clock).service
    }

    pub(crate) async fn create(&self, request: &pb::CreatePaymentRequest) -> pb::Payment {
        self.try_create(request.clone()).await.unwrap()
    }

    pub(crate) async fn try_create(
        &self,
        request: impl tonic::IntoRequest<pb::CreatePaymentRequest>,
    ) -> Result<pb::Payment, Refusal> {
        let reply = self.client.clone().create_payment(request).await;
        refused(reply).map(|reply| reply.payment.unwrap())
    }

    pub(crate) async fn get(&self, id: &str) -> pb::Payment {
        let request = pb::GetPaymentRequest { payment_id: id.to_owned() };
        let request = self.as_admin(request);
        refused(self.client.clone().get_payment(request).await).unwrap().payment.unwrap()
    }

    pub(crate) fn as_admin<T>(&self, message: T) -> Request<T> {
        self.authorized(message, &request("pm_ok").user_id, &["admin"])
    }

    pub(crate) async fn refund(
        &self,
        request: impl tonic::IntoRequest<pb::RefundPaymentRequest>,
    ) -> Result<pb::Payment, Refusal> {
        let reply = self.client.clone().refund_payment(request).await;
        refused(reply).map(|reply| reply.payment.unwrap())
    }

    /// Sends a callback that is signed now.
    pub(crate) async fn call_back(&self, body: &Value) -> Result<(), Refusal> {
        let body = body.to_string().into_bytes();
        let signature = self.keys.sign(&body, self.clock.now());
        self.send(body, &signature).await
    }

    pub(crate) async fn send(&self, body: Vec<u8>, signature: &str) -> Result<(), Refusal> {
        let request = pb::HandleCallbackRequest { body, signature: signature.to_owned() };
        refused(self.client.clone().handle_callback(request).await).map(|_| ())
    }

    /// Signs a request as `user`.
    pub(crate) fn authorized<T>(&self, message: T, user: &str, roles: &[&str]) -> Request<T> {
        let mut request = Request::new(message);
        self.issuer.authorize(&mut request, user.parse().unwrap(), roles);
        request
    }

    /// Waits until the payment has this status.
    pub(crate) async fn until(&self, id: &str, status: pb::PaymentStatus) -> pb::Payment {
        let settled = async {
            loop {
                let payment = self.get(id).await;
                if payment.status() == status {
                    return payment;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.unwrap()
    }

    /// Lets so much time pass that every payment that waits is due, and reconciles.
    pub(crate) async fn reconcile_later(&self) -> usize {
        self.clock.advance(chrono::TimeDelta::seconds(61));
        self.service.reconcile().await.unwrap().looked_at
    }

    pub(crate) async fn count(&self, what: &'static str) -> i64 {
        sqlx::query_scalar(what).fetch_one(&self.pool).await.unwrap()
    }

    /// The events told so far, taken out of the outbox by the relay; each follows its schema.
    pub(crate) async fn events(&self) -> Vec<Value> {
        while self.relay.lock().await.run_once().await.unwrap() > 0 {}
        let told = self.publisher.published();
        told.iter().map(|message| checked(&message.routing_key, &message.payload)).collect()
    }

    /// Stops the service after an audit of what it leaves behind.
    pub(crate) async fn finish(self) {
        self.audit().await;
        self.events().await;
        self.server.stop().await;
        self.database.finish_published().await;
    }

    async fn audit(&self) {
        for (what, query) in AUDIT {
            assert_eq!(self.count(query).await, 0, "{what}");
        }
    }
}

/// What must not be there, whatever happened.
const AUDIT: [(&str, &str); 5] = [
    (
        "postings that do not sum to zero",
        "SELECT COUNT(*) FROM (SELECT posting_id FROM ledger_entries \
         GROUP BY posting_id, currency HAVING SUM(amount) <> 0) AS odd",
    ),
    (
        "captured payments without exactly one posting, and others with one",
        "SELECT COUNT(*) FROM payments p WHERE \
         (SELECT COUNT(DISTINCT posting_id) FROM ledger_entries e WHERE e.payment_id = p.id) <> \
         CASE p.status WHEN 'SUCCEEDED' THEN 1 WHEN 'REFUNDING' THEN 1 WHEN 'REFUNDED' THEN 2 \
         ELSE (SELECT COALESCE(SUM(IF(r.status = 'SUCCEEDED', 2, 1)), 0) FROM refunds r \
         WHERE r.payment_id = p.id) END",
    ),
    (
        "histories with gaps",
        "SELECT COUNT(*) FROM payments p WHERE p.version <> \
         (SELECT COUNT(*) FROM payment_history h WHERE h.payment_id = p.id)",
    ),
    (
        "captures that the provider does not know",
        "SELECT COUNT(*) FROM payments p LEFT JOIN provider_charges c ON c.reference = p.id \
         WHERE p.status IN ('SUCCEEDED', 'REFUNDED') AND (c.captured IS NULL OR NOT c.captured \
         OR (c.refund_id IS NULL) <> (p.status = 'SUCCEEDED'))",
    ),
    (
        "settled payments that are still looked at, and others that are not",
        "SELECT COUNT(*) FROM payments p WHERE (next_check_at IS NULL) <> \
         (status IN ('SUCCEEDED', 'FAILED', 'REFUNDED') AND NOT EXISTS \
         (SELECT 1 FROM refunds r WHERE r.payment_id = p.id AND r.status = 'PENDING'))",
    ),
];

/// Code and sentence of an error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) RemoteError);

impl Refusal {
    pub(crate) fn code(&self) -> &str {
        &self.0.reason
    }
}

pub(crate) fn refused<T>(reply: Result<Response<T>, Status>) -> Result<T, Refusal> {
    reply.map(Response::into_inner).map_err(|status| Refusal(RemoteError::from_status(&status)))
}

/// A new attempt to pay a new order.
pub(crate) fn request(method: &str) -> pb::CreatePaymentRequest {
    let id = || PaymentId::generate().to_string();
    pb::CreatePaymentRequest {
        attempt_id: id(),
        order_id: id(),
        user_id: id(),
        amount: Some(Money { amount: 19_900, currency: "CNY".to_owned() }),
        payment_method: method.to_owned(),
        only_settle: false,
    }
}

/// A request to refund `payment` under a new id.
pub(crate) fn refund_of(payment: &pb::Payment) -> pb::RefundPaymentRequest {
    pb::RefundPaymentRequest {
        payment_id: payment.id.clone(),
        refund_id: PaymentId::generate().to_string(),
        reason: "customer_request".to_owned(),
    }
}

/// The body of a callback about `payment`.
pub(crate) fn callback(id: &str, kind: &str, payment: &pb::Payment) -> Value {
    let amount = payment.amount.clone().unwrap();
    json!({
        "id": id,
        "type": kind,
        "reference": payment.id,
        "amount": amount.amount,
        "currency": amount.currency,
    })
}

/// The shipped defaults, with shorter waits and keys that a test knows.
fn config() -> Config {
    chassis::testing::config::defaults_with::<App>([
        ("PROVIDER__TIMEOUT_MS", "400"),
        ("PROVIDER__CALLBACK_DELAY_MS", "20"),
        ("CALLBACK__KEYS", KEYS.join(",").as_str()),
    ])
}

fn build(config: &Config, pool: &Pool, clock: &Arc<FixedClock>) -> Assembly {
    let clock: Arc<dyn Clock> = clock.clone();
    assemble(config, pool, &Outbox::new(), &clock).unwrap()
}

fn checked(routing_key: &str, payload: &str) -> Value {
    let event: Value = serde_json::from_str(payload).unwrap();
    let schema: Value = serde_json::from_str(proto::events::schema(routing_key).unwrap()).unwrap();
    if let Err(error) = jsonschema::validate(&schema, &event) {
        panic!("{routing_key}: {error}");
    }
    event
}
