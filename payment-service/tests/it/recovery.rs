//! What is left when a process dies at a bad moment, and how it is finished.

use std::sync::Arc;
use std::time::Duration;

use chassis::outbox::Outbox;
use payment_service::client::simulated::SimulatedProvider;
use payment_service::client::simulated::mysql::MySqlChargeBook;
use payment_service::client::{ChargeRequest, PaymentProvider, RefundRequest};
use payment_service::model::{Money, Payment, PaymentId, PaymentMethod, RefundId, Terms};
use payment_service::repository::mysql::MySqlPaymentRepository;
use payment_service::repository::{Cause, PaymentRepository, Save};
use proto::payment::v1::{self as pb, PaymentStatus};

use crate::harness::{Harness, refund_of, request};

const POSTINGS: &str = "SELECT COUNT(DISTINCT posting_id) FROM ledger_entries";

/// The parts of a process that dies between its steps.
struct Parts {
    repository: MySqlPaymentRepository,
    provider: SimulatedProvider,
    now: chrono::DateTime<chrono::Utc>,
}

impl Parts {
    fn of(harness: &Harness) -> Self {
        let book = Arc::new(MySqlChargeBook::new(harness.pool.clone()));
        let clock = harness.clock.clone();
        let now = chassis::clock::Clock::now(&*clock);
        let (provider, _lost) = SimulatedProvider::new(book, clock, Duration::from_millis(20));
        let audit = chassis::testing::audit::log("payment-service");
        let repository = MySqlPaymentRepository::new(harness.pool.clone(), Outbox::new(), audit);
        Self { repository, provider, now }
    }

    /// The first step of a payment: the intent.
    async fn intend(&self, wire: &pb::CreatePaymentRequest) -> Payment {
        let terms = Terms {
            order_id: wire.order_id.parse().unwrap(),
            user_id: wire.user_id.parse().unwrap(),
            amount: Money::parse("amount", 19_900, "CNY").unwrap(),
            method: PaymentMethod::parse("method", &wire.payment_method).unwrap(),
        };
        let payment = Payment::initiate(wire.attempt_id.parse().unwrap(), terms, self.now);
        self.repository.insert(&payment, Some(self.now)).await.unwrap();
        payment
    }

    /// The second step: the provider's.
    async fn capture(&self, payment: &Payment) {
        let request = ChargeRequest {
            reference: payment.id(),
            amount: payment.terms().amount,
            method: payment.terms().method.clone(),
        };
        self.provider.capture(&request).await.unwrap();
    }

    /// The first step of a refund: the intent.
    async fn intend_refund(&self, id: PaymentId) -> Payment {
        let payment = self.repository.find(id).await.unwrap().unwrap();
        let reason = "late_capture".to_owned();
        let change = payment.request_refund(RefundId::generate(), reason, self.now).unwrap();
        let check_at = Some(self.now);
        let save = Save { change: &change, cause: Cause::Request, check_at, callback: None };
        self.repository.save(save).await.unwrap();
        change.payment
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn dying_before_the_provider_was_asked_asks_it_later() {
    let harness = Harness::start().await;
    let payment = Parts::of(&harness).intend(&request("pm_ok")).await;
    assert_eq!(harness.count("SELECT COUNT(*) FROM provider_charges").await, 0);
    harness.reconcile_later().await;
    let settled = harness.get(&payment.id().to_string()).await;
    assert_eq!(settled.status(), PaymentStatus::Succeeded);
    assert_eq!(harness.count(POSTINGS).await, 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn dying_after_the_capture_books_it_once() {
    let harness = Harness::start().await;
    let parts = Parts::of(&harness);
    let payment = parts.intend(&request("pm_ok")).await;
    parts.capture(&payment).await;
    assert_eq!(harness.get(&payment.id().to_string()).await.status(), PaymentStatus::Initiated);
    harness.reconcile_later().await;
    harness.reconcile_later().await;
    let settled = harness.get(&payment.id().to_string()).await;
    assert_eq!((settled.status(), settled.version), (PaymentStatus::Succeeded, 2));
    assert_eq!(harness.count(POSTINGS).await, 1);
    assert_eq!(harness.events().await.len(), 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_provider_that_did_not_answer_is_asked_later() {
    let harness = Harness::start().await;
    let request = request("pm_timeout");
    let payment = harness.create(&request).await;
    assert_eq!(payment.status(), PaymentStatus::Initiated);
    assert_eq!(harness.create(&request).await, payment);
    harness.reconcile_later().await;
    assert_eq!(harness.get(&payment.id).await.status(), PaymentStatus::Succeeded);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_call_that_is_dropped_halfway_is_finished_later() {
    let harness = Harness::start().await;
    let message = request("pm_timeout");
    let charged = async {
        while harness.count("SELECT COUNT(*) FROM provider_charges").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = harness.try_create(message.clone()) => panic!("answered: {answer:?}"),
        () = charged => {}
    }
    harness.until(&message.attempt_id, PaymentStatus::Initiated).await;
    harness.reconcile_later().await;
    let settled = harness.until(&message.attempt_id, PaymentStatus::Succeeded).await;
    assert_eq!(settled.version, 2);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_lost_callback_is_made_up_for() {
    let harness = Harness::start().await;
    let parts = Parts::of(&harness);
    let payment = parts.intend(&request("pm_pending_then_failed")).await;
    parts.capture(&payment).await;
    let id = payment.id().to_string();
    // At first the provider is still undecided; the payment is looked at again.
    harness.service.reconcile().await.unwrap();
    assert_eq!(harness.get(&id).await.status(), PaymentStatus::Pending);
    harness.reconcile_later().await;
    assert_eq!(harness.get(&id).await.failure_reason, "card_declined");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_is_never_decided_stays_pending() {
    let harness = Harness::start().await;
    let payment = harness.create(&request("pm_never")).await;
    for _ in 0..5 {
        assert_eq!(harness.reconcile_later().await, 1);
    }
    assert_eq!(harness.get(&payment.id).await, payment);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_refund_that_was_interrupted_is_finished_once() {
    for provider_was_asked in [false, true] {
        let harness = Harness::start().await;
        let parts = Parts::of(&harness);
        let captured = harness.create(&request("pm_ok")).await;
        let payment = parts.intend_refund(captured.id.parse().unwrap()).await;
        let refund = payment.refund().unwrap();
        if provider_was_asked {
            let reference = payment.id();
            let (refund_id, amount) = (refund.id, refund.amount);
            let request = RefundRequest { reference, refund_id, amount };
            parts.provider.refund(&request).await.unwrap();
        }
        let refusal = harness.refund(refund_of(&captured)).await.unwrap_err();
        assert_eq!(refusal.code(), "PAYMENT_STATE_CONFLICT");
        harness.reconcile_later().await;
        assert_eq!(harness.get(&captured.id).await.status(), PaymentStatus::Refunded);
        assert_eq!(harness.count(POSTINGS).await, 2);
        harness.finish().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn two_workers_share_the_work_and_do_nothing_twice() {
    const STUCK: usize = 50;
    let harness = Harness::start().await;
    let parts = Parts::of(&harness);
    for at in 0..STUCK {
        let payment = parts.intend(&request("pm_ok")).await;
        if at % 2 == 0 {
            parts.capture(&payment).await;
        }
    }
    let work = |service: Arc<payment_service::service::PaymentService>| async move {
        let mut looked_at = 0;
        loop {
            let round = service.reconcile().await.unwrap();
            looked_at += round.looked_at;
            if round.looked_at == 0 {
                return looked_at;
            }
        }
    };
    let (one, other) = tokio::join!(work(harness.replica()), work(harness.replica()));
    assert_eq!(one + other, STUCK);
    let settled = "SELECT COUNT(*) FROM payments WHERE status = 'SUCCEEDED' AND version = 2";
    assert_eq!(harness.count(settled).await, i64::try_from(STUCK).unwrap());
    assert_eq!(harness.events().await.len(), STUCK);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_callback_and_a_worker_at_once_settle_once() {
    let harness = Harness::start().await;
    let parts = Parts::of(&harness);
    for _ in 0..20 {
        let payment = parts.intend(&request("pm_ok")).await;
        parts.capture(&payment).await;
        let wire = harness.get(&payment.id().to_string()).await;
        let body =
            crate::harness::callback(&format!("evt_{}", wire.id), "payment.succeeded", &wire);
        let (called, reconciled) =
            tokio::join!(harness.call_back(&body), harness.service.reconcile());
        called.unwrap();
        reconciled.unwrap();
        assert_eq!(harness.get(&wire.id).await.version, 2);
    }
    harness.finish().await;
}
