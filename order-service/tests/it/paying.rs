//! Further attempts to pay an order.

use chassis::error::Kind;
use proto::order::v1::{self as pb, OrderStatus};
use proto::payment::v1::PaymentStatus;

use crate::calls::{cancel_of, code, key, payment_of};
use crate::harness::{Harness, STOCK, TEA, User};

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_declined_order_is_paid_by_another_attempt() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let declined = harness.place(alice, "pm_declined").await;
    let answer = harness.pay(alice, payment_of(&declined, "pm_ok")).await.unwrap();
    let order = answer.order;
    assert_eq!((order.status(), order.version, answer.replayed), (OrderStatus::Paid, 3, false));
    assert_eq!((&order.total, order.failure_reason.as_str()), (&declined.total, ""));
    assert_ne!(order.payment_id, declined.payment_id);
    assert_eq!(harness.payments.that_are(PaymentStatus::Succeeded), [&*order.payment_id]);
    let payment = harness.payments.find(&order.payment_id).unwrap();
    assert_eq!((payment.order_id, payment.amount), (order.id.clone(), order.total.clone()));
    assert_eq!(harness.get(&order.id).await, order);
    assert_eq!(harness.told(&order).await, ["created 1", "payment_failed 2", "paid 3"]);
    assert_eq!(harness.stock(TEA).await, STOCK - 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_second_decline_is_told_anew() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let first = harness.place(alice, "pm_declined").await;
    let second = harness.pay(alice, payment_of(&first, "pm_declined")).await.unwrap().order;
    assert_eq!((second.status(), second.version), (OrderStatus::PaymentFailed, 3));
    assert_eq!(second.failure_reason, "card_declined");
    assert_eq!(harness.told(&second).await, ["created 1", "payment_failed 2", "payment_failed 3"]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn while_an_attempt_is_unsettled_there_is_no_other() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let waiting = harness.place(alice, "pm_never").await;
    let retried = harness.place(alice, "pm_declined").await;
    let retried = harness.pay(alice, payment_of(&retried, "pm_never")).await.unwrap().order;
    assert_eq!((retried.status(), retried.version), (OrderStatus::PaymentFailed, 2));
    assert_eq!(retried.failure_reason, "");
    for order in [&waiting, &retried] {
        let refusal = harness.pay(alice, payment_of(order, "pm_ok")).await.unwrap_err();
        assert_eq!(
            (refusal.reason.as_str(), refusal.kind),
            ("PAYMENT_IN_PROGRESS", Kind::FailedPrecondition)
        );
        assert_eq!(harness.get(&order.id).await, *order);
    }
    assert_eq!(harness.payments.calls(), 3);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_order_that_awaits_no_payment_is_not_paid() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let paid = harness.place(alice, "pm_ok").await;
    let cancelled = harness.place(alice, "pm_declined").await;
    harness.cancel(alice, cancel_of(&cancelled)).await.unwrap();
    let overdue = harness.place(alice, "pm_declined").await;
    harness.advance(harness.policy.order_ttl);
    let calls = harness.payments.calls();
    for order in [&paid, &cancelled, &overdue] {
        let refusal = harness.pay(alice, payment_of(order, "pm_ok")).await.unwrap_err();
        assert_eq!(
            (refusal.reason.as_str(), refusal.kind),
            ("ORDER_STATE_CONFLICT", Kind::FailedPrecondition)
        );
    }
    assert_eq!(harness.payments.calls(), calls);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn odd_attempts_are_refused_and_strangers_find_nothing_to_pay() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_declined").await;
    let good = payment_of(&order, "pm_ok");
    let odd_id = |id: &str| pb::PayOrderRequest { order_id: id.to_owned(), ..good.clone() };
    let odd_key =
        |key: &str| pb::PayOrderRequest { idempotency_key: key.to_owned(), ..good.clone() };
    for (odd, expected) in [
        (odd_key(""), "IDEMPOTENCY_KEY_MISSING"),
        (odd_key("a b"), "IDEMPOTENCY_KEY_INVALID"),
        (odd_id("17"), "ID_INVALID"),
        (odd_id(&key()), "ORDER_NOT_FOUND"),
        (payment_of(&order, "card"), "PAYMENT_METHOD_INVALID"),
    ] {
        assert_eq!(code(harness.pay(alice, odd).await), expected);
    }
    let by_stranger = harness.pay(User::customer(), good.clone()).await;
    assert_eq!(code(by_stranger), "ORDER_NOT_FOUND");
    assert_eq!(harness.get(&order.id).await, order);
    let by_admin = harness.pay(harness.admin, good).await.unwrap().order;
    assert_eq!(by_admin.status(), OrderStatus::Paid);
    let attempts = harness.timeline(alice, &order.id).await.unwrap();
    let last = attempts.iter().rfind(|entry| entry.kind == "payment_attempt").unwrap();
    assert_eq!(last.actor, format!("admin:{}", harness.admin.id));
    harness.finish().await;
}
