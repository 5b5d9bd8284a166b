//! Giving up orders that are not paid.

use chassis::error::Kind;
use proto::order::v1::{self as pb, OrderStatus};
use proto::payment::v1::PaymentStatus;

use crate::calls::{cancel_of, cart, code, key};
use crate::harness::{Harness, STOCK, TEA, User};
use crate::notices::event;

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_cancelled_order_gives_its_pieces_back() {
    let (harness, alice) = (Harness::start().await, User::customer());
    harness.shelve("CUP", 500, 5).await;
    for (method, version) in [("pm_never", 2), ("pm_declined", 3)] {
        let request = cart(&[(TEA, 7), ("CUP", 5)], method);
        let order = harness.create(alice, request).await.unwrap().order;
        assert_eq!((harness.stock(TEA).await, harness.stock("CUP").await), (STOCK - 7, 0));
        let cancelled = harness.cancel(alice, cancel_of(&order)).await.unwrap().order;
        assert_eq!((cancelled.status(), cancelled.version), (OrderStatus::Cancelled, version));
        assert_eq!((harness.stock(TEA).await, harness.stock("CUP").await), (STOCK, 5));
        assert_eq!(harness.get(&order.id).await, cancelled);
        let told = harness.told(&order).await;
        assert_eq!(told.last(), Some(&format!("cancelled {version}")));
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_is_paid_or_over_is_not_cancelled() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let paid = harness.place(alice, "pm_ok").await;
    let cancelled = harness.place(alice, "pm_declined").await;
    harness.cancel(alice, cancel_of(&cancelled)).await.unwrap();
    let expired = harness.place(alice, "pm_declined").await;
    harness.expire_later().await;
    for order in [&paid, &cancelled, &expired] {
        let refusal = harness.cancel(alice, cancel_of(order)).await.unwrap_err();
        assert_eq!(
            (refusal.reason.as_str(), refusal.kind),
            ("ORDER_STATE_CONFLICT", Kind::FailedPrecondition)
        );
    }
    assert_eq!(harness.stock(TEA).await, STOCK - 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn strangers_find_nothing_to_cancel_and_administrators_may() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_declined").await;
    let stranger = User::customer();
    assert_eq!(code(harness.cancel(stranger, cancel_of(&order)).await), "ORDER_NOT_FOUND");
    for (id, expected) in [(key(), "ORDER_NOT_FOUND"), ("17".to_owned(), "ID_INVALID")] {
        let odd = pb::CancelOrderRequest { order_id: id, idempotency_key: key() };
        assert_eq!(code(harness.cancel(alice, odd).await), expected);
    }
    let keyless = pb::CancelOrderRequest { idempotency_key: String::new(), ..cancel_of(&order) };
    assert_eq!(code(harness.cancel(alice, keyless).await), "IDEMPOTENCY_KEY_MISSING");
    assert_eq!(harness.get(&order.id).await, order);
    let cancelled = harness.cancel(harness.admin, cancel_of(&order)).await.unwrap().order;
    assert_eq!(cancelled.status(), OrderStatus::Cancelled);
    let timeline = harness.timeline(alice, &order.id).await.unwrap();
    let step = timeline.iter().find(|entry| entry.to == "CANCELLED").unwrap();
    assert_eq!(step.actor, format!("admin:{}", harness.admin.id));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_capture_that_comes_too_late_is_given_back_once() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_never").await;
    let cancelled = harness.cancel(alice, cancel_of(&order)).await.unwrap().order;
    harness.payments.decide(&order.payment_id, PaymentStatus::Succeeded);
    harness.deliver(&[event("payment.succeeded", &order, 3)]).await;
    for _ in 0..3 {
        harness.service.request_refunds().await.unwrap();
        harness.deliver(&[event("payment.succeeded", &order, 4)]).await;
        harness.advance(harness.policy.recheck_after);
    }
    let payment = harness.payments.find(&order.payment_id).unwrap();
    assert_eq!((payment.status(), payment.refunds.len()), (PaymentStatus::Refunded, 1));
    assert_eq!(payment.refunds[0].reason, "late_capture");
    assert_eq!(harness.get(&order.id).await, cancelled);
    assert_eq!(harness.told(&order).await, ["created 1", "cancelled 2"]);
    harness.finish().await;
}
