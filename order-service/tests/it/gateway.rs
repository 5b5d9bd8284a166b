//! The way to payment-service, over a real connection: what its answers mean, and that no answer
//! means nothing.

use std::time::Duration;

use chassis::config::UpstreamConfig;
use chassis::error::codes;
use chassis::grpc::context::{self, CallContext};
use chassis::testing::grpc::{Server, channel, serve};
use chrono::DateTime;
use order_service::client::payment::GrpcPaymentGateway;
use order_service::client::{PaymentGateway, PaymentStanding, RefundStanding};
use order_service::model::{
    Actor, Attempt, Currency, Item, Money, Order, OrderId, OrderParts, OrderStatus, Outcome,
    PaymentCase, PaymentId, PaymentMethod, Refund, RefundId, RefundReason, Sku, UserId,
};
use proto::payment::v1::PaymentStatus;

use crate::harness::{Harness, User};
use crate::payments::{Mood, Payments, Provider};

/// A gateway to a payment-service of its own.
struct Line {
    gateway: GrpcPaymentGateway,
    payments: Payments,
    server: Server,
}

impl Line {
    async fn open() -> Self {
        Self::with_timeout(20_000).await
    }

    async fn with_timeout(timeout_ms: u64) -> Self {
        let payments = Payments::new();
        let (_, server) = serve(payments.app()).await;
        let config = UpstreamConfig { timeout_ms, ..UpstreamConfig::default() };
        let gateway = GrpcPaymentGateway::new(channel(&[server.endpoint()], &config));
        Self { gateway, payments, server }
    }

    async fn pay(&self, case: &PaymentCase) -> Option<PaymentStanding> {
        self.gateway.pay(case).await.ok()
    }
}

/// An order that waits for a payment by this method.
fn case(method: &str) -> PaymentCase {
    let price = Money::new(1_990, Currency::parse("CNY").unwrap()).unwrap();
    let (id, payment_id, user_id) =
        (OrderId::generate(), PaymentId::generate(), UserId::generate());
    let sku = Sku::parse("TEA", "sku").unwrap();
    let order = Order::restore(OrderParts {
        id,
        user_id,
        status: OrderStatus::Created,
        items: vec![Item { sku, name: "Tea".to_owned(), unit_price: price, quantity: 1 }],
        total: price,
        version: 1,
        payment_id: Some(payment_id),
        failure_reason: None,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
        expires_at: DateTime::UNIX_EPOCH,
    });
    let attempt = Attempt {
        id: payment_id,
        order_id: id,
        method: PaymentMethod::parse(method).unwrap(),
        actor: Actor::User(user_id),
        outcome: None,
        checks: 0,
        check_at: DateTime::UNIX_EPOCH,
        created_at: DateTime::UNIX_EPOCH,
    };
    PaymentCase { order, attempt, refund: None }
}

fn refund_of(case: &PaymentCase) -> Refund {
    Refund {
        id: RefundId::generate(),
        order_id: case.order.id,
        payment_id: case.attempt.id,
        reason: RefundReason::CustomerRequest,
        done: false,
        checks: 0,
    }
}

const CAPTURED: Option<PaymentStanding> = Some(PaymentStanding::Settled(Outcome::Captured));

#[tokio::test]
async fn a_payment_is_captured_declined_or_undecided() {
    let line = Line::open().await;
    let declined = PaymentStanding::Settled(Outcome::declined("card_declined"));
    for (method, expected) in [
        ("pm_ok", CAPTURED),
        ("pm_declined", Some(declined)),
        ("pm_never", Some(PaymentStanding::Pending)),
    ] {
        let case = case(method);
        assert_eq!(line.pay(&case).await, expected, "{method}");
        assert_eq!(line.pay(&case).await, expected, "{method} again");
        let payment = line.payments.find(&case.attempt.id.to_string()).unwrap();
        assert_eq!(payment.order_id, case.order.id.to_string());
        assert_eq!(payment.user_id, case.order.user_id.to_string());
        let amount = payment.amount.unwrap();
        assert_eq!((amount.amount, amount.currency.as_str()), (1_990, "CNY"));
    }
    assert_eq!(line.payments.complaints(), [""; 0]);
}

#[tokio::test]
async fn closing_reads_what_was_started_and_ends_what_was_not() {
    let line = Line::open().await;
    let (started, never) = (case("pm_ok"), case("pm_ok"));
    line.pay(&started).await.unwrap();
    assert_eq!(line.gateway.close(&started).await.ok(), CAPTURED);
    let closed = Some(PaymentStanding::Settled(Outcome::declined("order_closed")));
    assert_eq!(line.gateway.close(&never).await.ok(), closed);
    assert_eq!(line.pay(&never).await, closed, "it cannot be started any more");
    assert_eq!(line.payments.complaints(), [""; 0]);
}

#[tokio::test]
async fn money_on_its_way_back_was_captured_first_and_pays_nothing_that_did_not_know_of_it() {
    let line = Line::open().await;
    let mut case = case("pm_ok");
    let id = case.attempt.id.to_string();
    line.pay(&case).await.unwrap();
    let returned = Some(PaymentStanding::Settled(Outcome::declined("money_returned")));
    for status in [PaymentStatus::Refunding, PaymentStatus::Refunded] {
        line.payments.decide(&id, status);
        case.attempt.outcome = None;
        assert_eq!(line.pay(&case).await, returned);
        case.attempt.outcome = Some(Outcome::Captured);
        assert_eq!(line.pay(&case).await, CAPTURED);
    }
    line.payments.decide(&id, PaymentStatus::Initiated);
    assert_eq!(line.pay(&case).await, Some(PaymentStanding::Pending));
}

#[tokio::test]
async fn a_refund_is_under_way_or_done() {
    let line = Line::open().await;
    for (provider, expected) in
        [(Provider::Quick, RefundStanding::Done), (Provider::SlowToRefund, RefundStanding::Pending)]
    {
        line.payments.set_provider(provider);
        let case = case("pm_ok");
        line.pay(&case).await.unwrap();
        let refund = refund_of(&case);
        assert_eq!(line.gateway.refund(&refund).await.unwrap(), expected);
        assert_eq!(line.gateway.refund(&refund).await.unwrap(), expected);
        let asked = &line.payments.find(&case.attempt.id.to_string()).unwrap().refunds;
        assert_eq!((asked.len(), &asked[0].id), (1, &refund.id.to_string()));
        assert_eq!(asked[0].reason, "customer_request");
    }
    let unpaid = refund_of(&case("pm_ok"));
    assert!(line.gateway.refund(&unpaid).await.is_err());
}

#[tokio::test]
async fn an_error_is_no_outcome() {
    let line = Line::open().await;
    for (mood, calls) in [
        (Mood::Failing(codes::INTERNAL), 1),
        (Mood::Failing(codes::PERMISSION_DENIED), 1),
        (Mood::Failing(codes::TOKEN_EXPIRED), 1),
        (Mood::Failing(codes::VALIDATION_FAILED), 1),
        (Mood::Failing(codes::DEADLINE_EXCEEDED), 1),
        (Mood::Empty, 1),
        // The one that may pass: asked again at once, since a payment is made once per attempt.
        (Mood::Failing(codes::SERVICE_UNAVAILABLE), 2),
    ] {
        line.payments.set_mood(mood);
        let (case, before) = (case("pm_ok"), line.payments.calls());
        assert_eq!(line.pay(&case).await, None, "{mood:?}");
        assert_eq!(line.payments.calls() - before, calls, "{mood:?}");
        assert!(line.gateway.refund(&refund_of(&case)).await.is_err(), "{mood:?}");
        line.payments.set_mood(Mood::Well);
        assert_eq!(line.pay(&case).await, CAPTURED, "{mood:?}");
    }
}

#[tokio::test]
async fn a_payment_service_that_is_gone_is_no_outcome() {
    let line = Line::open().await;
    line.pay(&case("pm_ok")).await.unwrap();
    line.server.stop().await;
    assert!(line.gateway.pay(&case("pm_ok")).await.is_err());
}

#[tokio::test]
async fn silence_is_no_outcome_though_the_money_may_be_captured() {
    let line = Line::with_timeout(200).await;
    line.payments.set_mood(Mood::Mute);
    let case = case("pm_ok");
    assert_eq!(line.pay(&case).await, None);
    assert_eq!(line.payments.that_are(PaymentStatus::Succeeded), [case.attempt.id.to_string()]);
    assert_eq!(line.payments.calls(), 1);
}

#[tokio::test]
async fn the_callers_time_is_not_used_up() {
    let line = Line::open().await;
    line.payments.set_mood(Mood::Mute);
    let (case, call) = (case("pm_ok"), CallContext::with_timeout(Duration::from_secs(1)));
    let outcome = context::scope(call, async {
        let outcome = line.pay(&case).await;
        context::check_deadline().unwrap();
        outcome
    });
    assert_eq!(outcome.await, None);
}

#[tokio::test]
async fn nothing_is_begun_that_could_not_be_written_down() {
    let line = Line::open().await;
    let call = CallContext::with_timeout(Duration::from_millis(500));
    assert_eq!(context::scope(call, line.pay(&case("pm_ok"))).await, None);
    assert_eq!(line.payments.calls(), 0);
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_users_token_travels_on_and_a_worker_has_none() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_never").await;
    harness.recover_later().await;
    let credentials = harness.payments.credentials();
    assert_eq!(credentials.len(), 2);
    assert!(credentials[0].as_ref().unwrap().starts_with("Bearer ey"));
    assert_eq!(credentials[1], None);
    assert_eq!(harness.get(&order.id).await, order);
    harness.finish().await;
}
