//! Giving the money of paid orders back.

use chassis::error::Kind;
use chassis::messaging::Handler;
use order_service::api::consumer::PaymentEvents;
use proto::order::v1::{self as pb, OrderStatus};
use proto::payment::v1::PaymentStatus;

use crate::calls::{cancel_of, cart, code, key, refund_of};
use crate::harness::{Harness, PATIENCE, STOCK, TEA, User};
use crate::notices::event;
use crate::payments::{Mood, Provider};

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_refund_is_asked_for_at_once_and_done_by_the_worker() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_ok").await;
    let answer = harness.refund(alice, refund_of(&order)).await.unwrap();
    assert_eq!((answer.order.status(), answer.order.version), (OrderStatus::Refunding, 3));
    assert_eq!(harness.payments.that_are(PaymentStatus::Refunded), [""; 0]);
    assert_eq!(harness.stock(TEA).await, STOCK - 1, "kept until the money is back");
    // The worker is rung for, so that nobody waits for its next round.
    let bell = harness.service.refunds_due();
    tokio::time::timeout(PATIENCE, bell.notified()).await.unwrap();
    harness.service.request_refunds().await.unwrap();
    let refunded = harness.get(&order.id).await;
    assert_eq!((refunded.status(), refunded.version), (OrderStatus::Refunded, 4));
    let payment = harness.payments.find(&order.payment_id).unwrap();
    assert_eq!(
        (payment.status(), &*payment.refunds[0].reason),
        (PaymentStatus::Refunded, "customer_request")
    );
    let told = ["created 1", "paid 2", "refunding 3", "refunded 4"];
    assert_eq!(harness.told(&order).await, told);
    assert_eq!(harness.stock(TEA).await, STOCK);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_slow_refund_is_finished_by_its_event() {
    let (harness, alice) = (Harness::start().await, User::customer());
    harness.payments.set_provider(Provider::SlowToRefund);
    let order = harness.place(alice, "pm_ok").await;
    harness.refund(alice, refund_of(&order)).await.unwrap();
    harness.service.request_refunds().await.unwrap();
    assert_eq!(harness.get(&order.id).await.status(), OrderStatus::Refunding);
    for _ in 0..3 {
        harness.deliver(&[event("payment.refunded", &order, 4)]).await;
        let refunded = harness.get(&order.id).await;
        assert_eq!((refunded.status(), refunded.version), (OrderStatus::Refunded, 4));
        assert_eq!(harness.stock(TEA).await, STOCK);
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_slow_refund_is_asked_about_less_and_less() {
    let (harness, alice) = (Harness::start().await, User::customer());
    harness.payments.set_provider(Provider::SlowToRefund);
    let order = harness.place(alice, "pm_ok").await;
    harness.refund(alice, refund_of(&order)).await.unwrap();
    let mut asked = Vec::new();
    for _ in 0..8 {
        let before = harness.payments.calls();
        harness.service.request_refunds().await.unwrap();
        asked.push(harness.payments.calls() - before);
        harness.advance(harness.policy.recheck_after);
    }
    assert_eq!(asked, [1, 1, 0, 1, 0, 0, 0, 1]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn refunds_of_one_batch_return_the_stock_of_every_order() {
    const ORDERS: usize = 20;
    let (harness, alice) = (Harness::start().await, User::customer());
    harness.shelve("CUP", 500, STOCK).await;
    harness.payments.set_provider(Provider::SlowToRefund);
    let mut orders = Vec::new();
    for at in 0..ORDERS {
        let lines = if at % 2 == 0 { [(TEA, 1), ("CUP", 2)] } else { [("CUP", 2), (TEA, 1)] };
        let order = harness.create(alice, cart(&lines, "pm_ok")).await.unwrap().order;
        harness.refund(alice, refund_of(&order)).await.unwrap();
        orders.push(order);
    }
    let refunded: Vec<_> = orders.iter().map(|order| event("payment.refunded", order, 4)).collect();
    // Two replicas at once, each with one half first: nobody waits for a product while others wait
    // for an order.
    let (one, other) = refunded.split_at(ORDERS / 2);
    let replica = PaymentEvents::new(harness.replica());
    let (delivered, ()) = tokio::join!(replica.handle(one), harness.deliver(other));
    delivered.unwrap();
    harness.deliver(&refunded).await;
    assert_eq!((harness.stock(TEA).await, harness.stock("CUP").await), (STOCK, STOCK));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_refund_whose_answer_or_event_was_lost_is_asked_about_again() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_ok").await;
    harness.refund(alice, refund_of(&order)).await.unwrap();
    harness.payments.set_mood(Mood::Empty);
    harness.service.request_refunds().await.unwrap();
    harness.payments.set_mood(Mood::Well);
    harness.payments.set_provider(Provider::SlowToRefund);
    harness.service.request_refunds().await.unwrap();
    assert_eq!(harness.payments.that_are(PaymentStatus::Refunding), [""; 0], "too early");
    harness.advance(harness.policy.recheck_after);
    harness.service.request_refunds().await.unwrap();
    assert_eq!(harness.payments.that_are(PaymentStatus::Refunding), [&*order.payment_id]);
    harness.payments.decide(&order.payment_id, PaymentStatus::Refunded);
    harness.advance(harness.policy.recheck_after);
    harness.service.request_refunds().await.unwrap();
    assert_eq!(harness.get(&order.id).await.status(), OrderStatus::Refunded);
    let calls = harness.payments.calls();
    harness.advance(harness.policy.recheck_after);
    harness.service.request_refunds().await.unwrap();
    assert_eq!(harness.payments.calls(), calls);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_is_not_paid_is_not_refunded() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let waiting = harness.place(alice, "pm_never").await;
    let declined = harness.place(alice, "pm_declined").await;
    let cancelled = harness.place(alice, "pm_declined").await;
    harness.cancel(alice, cancel_of(&cancelled)).await.unwrap();
    let shipped = harness.place(alice, "pm_ok").await;
    harness.ship(harness.admin, &shipped.id).await.unwrap();
    let refunding = harness.place(alice, "pm_ok").await;
    harness.refund(alice, refund_of(&refunding)).await.unwrap();
    for order in [&waiting, &declined, &cancelled, &shipped, &refunding] {
        let refusal = harness.refund(alice, refund_of(order)).await.unwrap_err();
        assert_eq!(
            (refusal.reason.as_str(), refusal.kind),
            ("ORDER_STATE_CONFLICT", Kind::FailedPrecondition)
        );
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn strangers_find_nothing_to_refund_and_administrators_may() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_ok").await;
    assert_eq!(code(harness.refund(User::customer(), refund_of(&order)).await), "ORDER_NOT_FOUND");
    for (id, expected) in [(key(), "ORDER_NOT_FOUND"), ("17".to_owned(), "ID_INVALID")] {
        let odd = pb::RefundOrderRequest { order_id: id, idempotency_key: key() };
        assert_eq!(code(harness.refund(alice, odd).await), expected);
    }
    let refunding = harness.refund(harness.admin, refund_of(&order)).await.unwrap().order;
    assert_eq!(refunding.status(), OrderStatus::Refunding);
    harness.finish().await;
}
