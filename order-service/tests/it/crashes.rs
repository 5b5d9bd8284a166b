//! What is left when the process dies at the worst moments, and what the next one makes of it.

use std::path::{Path, PathBuf};

use chassis::error::RemoteError;
use chassis::grpc::Channel;
use chassis::testing::process::Process;
use proto::order::v1::order_service_client::OrderServiceClient;
use proto::order::v1::{self as pb, OrderStatus};
use proto::payment::v1::PaymentStatus;

use crate::audit;
use crate::calls::{cancel_of, cart, refund_of, refused};
use crate::harness::{PATIENCE, TEA};
use crate::payments::Mood;
use crate::starting::{PROGRAM, World};

/// Nobody waits for long in a test.
const IMPATIENT: [(&str, &str); 4] = [
    ("ORDERS__CLAIM_LEASE_MS", "500"),
    ("WORKERS__RECOVERY_EVERY_MS", "50"),
    ("WORKERS__RECHECK_AFTER_MS", "500"),
    ("WORKERS__EXPIRY_EVERY_MS", "50"),
];

type Client = OrderServiceClient<Channel>;

/// A shop whose process dies where a test says.
struct Site {
    world: World,
    armed: PathBuf,
    process: Option<Process>,
    client: Client,
}

impl Site {
    async fn open() -> Self {
        let world = World::new().await;
        let armed = std::env::temp_dir().join(format!("crashes-{}", chassis::id::new_id()));
        std::fs::create_dir_all(&armed).unwrap();
        let mut process = Self::start(&world, &armed);
        let client = world.shop(&mut process).await;
        Self { world, armed, process: Some(process), client }
    }

    fn start(world: &World, armed: &Path) -> Process {
        world.start_by(&IMPATIENT, |settings| PROGRAM.start_armed(settings, armed))
    }

    fn arm(&self, point: &str) {
        std::fs::write(self.armed.join(point), "").unwrap();
    }

    /// Waits for the death of the process, and starts the next one.
    async fn restart(&mut self, point: &str) {
        self.process.take().unwrap().died().await;
        assert!(!self.armed.join(point).exists(), "{point} was not what it died of");
        let mut process = Self::start(&self.world, &self.armed);
        self.client = OrderServiceClient::new(process.serving().await);
        self.process = Some(process);
    }

    /// Does a call, during which the process dies, and repeats it until it is answered.
    async fn survive<T, F: Future<Output = Result<T, RemoteError>>>(
        &mut self,
        point: &str,
        call: impl Fn(Client) -> F,
    ) -> T {
        self.arm(point);
        let lost = call(self.client.clone()).await;
        assert!(lost.is_err(), "{point}: the answer of a dead process");
        self.world.payments.set_mood(Mood::Well);
        self.restart(point).await;
        let answered = async {
            loop {
                match call(self.client.clone()).await {
                    Ok(answer) => return answer,
                    Err(refusal) => {
                        assert_eq!(refusal.reason, "IDEMPOTENCY_IN_PROGRESS", "{point}");
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, answered).await.unwrap()
    }

    async fn until(&self, order: &pb::Order, status: OrderStatus) {
        self.world.until(&self.client, (order, status), async || ()).await;
    }

    /// Checks that everything fits together and that each step of an order is told once.
    async fn close(mut self) {
        self.process.take().unwrap().stop().await;
        let pool = self.world.database.pool();
        audit::of_orders(&pool).await;
        audit::of_stock(&pool, &[(TEA.to_owned(), 100)].into()).await;
        let told = self.world.count("SELECT COUNT(DISTINCT event_id) FROM outbox").await;
        assert_eq!(told, self.world.count("SELECT COUNT(*) FROM order_history").await);
        assert_eq!(self.world.payments.complaints(), [""; 0]);
        std::fs::remove_dir_all(&self.armed).unwrap();
        self.world.finish().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_order_is_placed_and_paid_once_wherever_the_process_dies() {
    let mut site = Site::open().await;
    let mut placed = 0;
    for point in [
        "order.place.before_insert",
        "order.place.before_commit",
        "order.place.committed",
        "order.pay.before_call",
        "order.pay.in_call",
        "order.pay.answered",
        "order.settled",
        "order.answer.stored",
    ] {
        if point == "order.pay.in_call" {
            site.world.payments.set_mood(Mood::Held);
        }
        let (world, request) = (&site.world, cart(&[(TEA, 1)], "pm_ok"));
        let (issuer, alice) = (world.issuer.clone(), world.alice);
        let answer = site
            .survive(point, |mut client| {
                let request = alice.by(&issuer, request.clone());
                async move { refused(client.create_order(request).await) }
            })
            .await;
        placed += 1;
        let order = answer.order.unwrap();
        site.until(&order, OrderStatus::Paid).await;
        let captured = site.world.payments.that_are(PaymentStatus::Succeeded);
        assert_eq!(captured.len(), placed, "{point}");
        let orders = site.world.count("SELECT COUNT(*) FROM orders").await;
        assert_eq!(orders, i64::try_from(placed).unwrap(), "{point}");
    }
    site.close().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_cancellation_is_made_once_wherever_the_process_dies() {
    let mut site = Site::open().await;
    for point in ["order.cancel.before_commit", "order.cancel.committed"] {
        let order = site.world.place(&site.client, "pm_declined").await;
        let (issuer, alice) = (site.world.issuer.clone(), site.world.alice);
        let request = cancel_of(&order);
        let answer = site
            .survive(point, |mut client| {
                let request = alice.by(&issuer, request.clone());
                async move { refused(client.cancel_order(request).await) }
            })
            .await;
        assert_eq!(answer.order.unwrap().status(), OrderStatus::Cancelled);
        assert_eq!(answer.replayed, point == "order.cancel.committed");
    }
    site.close().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_refund_is_made_once_wherever_the_process_dies() {
    let mut site = Site::open().await;
    for point in ["order.refund.committed", "order.refund.answered"] {
        let order = site.world.place(&site.client, "pm_ok").await;
        site.arm(point);
        let request = refund_of(&order);
        // The worker may be faster than the answer, or the other way round.
        let _either_way =
            site.client.refund_order(site.world.by(site.world.alice, request.clone())).await;
        site.restart(point).await;
        let again = site.client.refund_order(site.world.by(site.world.alice, request)).await;
        let again = again.unwrap().into_inner();
        assert_eq!(again.order.unwrap().status(), OrderStatus::Refunding);
        assert!(again.replayed, "{point}");
        site.until(&order, OrderStatus::Refunded).await;
        let refunds = site.world.payments.find(&order.payment_id).unwrap().refunds;
        assert_eq!(refunds.len(), 1, "{point}");
    }
    site.close().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_expiry_that_died_is_made_by_the_next_process() {
    let mut site = Site::open().await;
    let order = site.world.place(&site.client, "pm_declined").await;
    site.arm("order.expire.before_commit");
    let old = "UPDATE orders SET expires_at = created_at";
    sqlx::query(old).execute(&site.world.database.pool()).await.unwrap();
    site.restart("order.expire.before_commit").await;
    site.until(&order, OrderStatus::Expired).await;
    site.close().await;
}
