//! What payment-service tells by events: late, repeated, out of order.

use std::sync::Arc;

use chassis::messaging::{Envelope, HandleError, Handler};
use chrono::DateTime;
use futures::future::join_all;
use order_service::api::consumer::PaymentEvents;
use proto::order::v1::{self as pb, OrderStatus};
use proto::payment::v1::PaymentStatus;
use serde_json::json;

use crate::calls::{cancel_of, key, payment_of};
use crate::harness::{Harness, STOCK, TEA, User, checked};

/// An event about the payment that an order waits for.
pub(crate) fn event(name: &str, order: &pb::Order, version: u64) -> Envelope {
    let total = order.total.clone().unwrap();
    let mut data = json!({
        "payment_id": order.payment_id,
        "order_id": order.id,
        "user_id": order.user_id,
        "version": version,
        "status": name.strip_prefix("payment.").unwrap().to_uppercase(),
        "amount": { "amount": total.amount, "currency": total.currency },
    });
    match name {
        "payment.failed" => data["failure_reason"] = json!("insufficient_funds"),
        "payment.refunded" => data["refund_id"] = json!(key()),
        _ => {}
    }
    let subject = order.payment_id.parse().unwrap();
    let time = DateTime::from_timestamp_millis(1_767_323_045_678).unwrap();
    let event = Envelope::new("payment-service", name, subject, version, time, data).unwrap();
    checked(name, &event.to_json().unwrap());
    event
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_event_settles_what_the_call_could_not() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let paid = harness.place(alice, "pm_never").await;
    let failed = harness.place(alice, "pm_never").await;
    harness
        .deliver(&[event("payment.succeeded", &paid, 3), event("payment.failed", &failed, 3)])
        .await;
    let paid = harness.get(&paid.id).await;
    assert_eq!((paid.status(), paid.version), (OrderStatus::Paid, 2));
    let failed = harness.get(&failed.id).await;
    assert_eq!((failed.status(), failed.version), (OrderStatus::PaymentFailed, 2));
    assert_eq!(failed.failure_reason, "insufficient_funds");
    let timeline = harness.timeline(alice, &paid.id).await.unwrap();
    assert_eq!((&*timeline[1].to, &*timeline[1].actor), ("PAID", "system:payment-service"));
    assert_eq!(harness.told(&paid).await, ["created 1", "paid 2"]);
    assert_eq!(harness.told(&failed).await, ["created 1", "payment_failed 2"]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_repeated_event_has_one_effect() {
    let harness = Harness::start().await;
    let order = harness.place(User::customer(), "pm_never").await;
    let capture = event("payment.succeeded", &order, 3);
    harness.deliver(&[capture.clone(), capture.clone()]).await;
    harness.deliver(std::slice::from_ref(&capture)).await;
    harness.deliver(&[event("payment.succeeded", &order, 4), capture]).await;
    let paid = harness.get(&order.id).await;
    assert_eq!((paid.status(), paid.version), (OrderStatus::Paid, 2));
    assert_eq!(harness.count("SELECT COUNT(*) FROM inbox").await, 2);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_event_that_reaches_every_replica_at_once_has_one_effect() {
    let harness = Harness::start().await;
    let replicas = [(); 4].map(|()| PaymentEvents::new(harness.replica()));
    for _ in 0..10 {
        let order = harness.place(User::customer(), "pm_never").await;
        let capture = [event("payment.succeeded", &order, 3)];
        for applied in join_all(replicas.iter().map(|replica| replica.handle(&capture))).await {
            applied.unwrap();
        }
        let paid = harness.get(&order.id).await;
        assert_eq!((paid.status(), paid.version), (OrderStatus::Paid, 2));
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_batch_is_applied_whole_each_order_in_its_turn() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let mut batch = Vec::new();
    let mut orders = Vec::new();
    for n in 0..30 {
        let order = harness.place(alice, "pm_never").await;
        if n % 3 == 0 {
            harness.cancel(alice, cancel_of(&order)).await.unwrap();
        }
        batch.push(event("payment.succeeded", &order, 3));
        orders.push(order);
    }
    // Capture and refund of a cancelled order in one batch: the refund means something only
    // because of the capture before it.
    batch.push(event("payment.refunded", &orders[0], 5));
    harness.deliver(&batch).await;
    for (n, order) in orders.iter().enumerate() {
        let expected = if n % 3 == 0 { OrderStatus::Cancelled } else { OrderStatus::Paid };
        assert_eq!(harness.get(&order.id).await.status(), expected);
    }
    let open = "SELECT COUNT(*) FROM refunds WHERE done_at IS NULL";
    assert_eq!(harness.count(open).await, 9);
    assert_eq!(harness.count("SELECT COUNT(*) FROM inbox").await, 31);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn nothing_regresses_whatever_comes_late() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let declined = harness.place(alice, "pm_declined").await;
    let paid = harness.pay(alice, payment_of(&declined, "pm_ok")).await.unwrap().order;
    for (late, about) in [
        ("payment.failed", &declined),
        ("payment.succeeded", &declined),
        ("payment.succeeded", &paid),
        ("payment.failed", &paid),
        ("payment.refunded", &paid),
        ("payment.refunded", &declined),
    ] {
        harness.deliver(&[event(late, about, 9)]).await;
        assert_eq!(harness.get(&paid.id).await, paid, "{late}");
    }
    harness.ship(harness.admin, &paid.id).await.unwrap();
    let completed = harness.complete(harness.admin, &paid.id).await.unwrap();
    harness.deliver(&[event("payment.succeeded", &paid, 10)]).await;
    harness.deliver(&[event("payment.failed", &paid, 11)]).await;
    assert_eq!(harness.get(&paid.id).await, completed);
    harness.service.request_refunds().await.unwrap();
    assert_eq!(harness.payments.that_are(PaymentStatus::Succeeded), [paid.payment_id]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_order_that_was_given_up_stays_so() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let cancelled = harness.place(alice, "pm_never").await;
    harness.cancel(alice, cancel_of(&cancelled)).await.unwrap();
    harness.deliver(&[event("payment.failed", &cancelled, 3)]).await;
    let expired = harness.place(alice, "pm_never").await;
    harness.expire_later().await;
    harness.payments.decide(&expired.payment_id, PaymentStatus::Succeeded);
    harness.deliver(&[event("payment.succeeded", &expired, 3)]).await;
    harness.service.request_refunds().await.unwrap();
    assert_eq!(harness.get(&cancelled.id).await.status(), OrderStatus::Cancelled);
    assert_eq!(harness.get(&expired.id).await.status(), OrderStatus::Expired);
    // Only what was captured goes back.
    assert_eq!(harness.payments.that_are(PaymentStatus::Refunded), [&*expired.payment_id]);
    let timeline = harness.timeline(alice, &expired.id).await.unwrap();
    let refund = timeline.iter().rfind(|entry| entry.kind == "refund").unwrap();
    assert_eq!((&*refund.to, &*refund.cause), ("SUCCEEDED", "late_capture"));
    assert_eq!(harness.stock(TEA).await, STOCK);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_refund_that_is_told_before_its_capture_waits_for_it() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_never").await;
    harness.cancel(alice, cancel_of(&order)).await.unwrap();
    harness.payments.decide(&order.payment_id, PaymentStatus::Succeeded);
    let before = harness.timeline(alice, &order.id).await.unwrap();
    harness.deliver(&[event("payment.refunded", &order, 5)]).await;
    assert_eq!(harness.timeline(alice, &order.id).await.unwrap(), before, "nothing follows yet");
    harness.deliver(&[event("payment.succeeded", &order, 3)]).await;
    harness.service.request_refunds().await.unwrap();
    assert_eq!(harness.payments.that_are(PaymentStatus::Refunded), [&*order.payment_id]);
    assert_eq!(harness.get(&order.id).await.status(), OrderStatus::Cancelled);
    // What came late or twice changes nothing any more.
    harness.deliver(&[event("payment.succeeded", &order, 3)]).await;
    harness.deliver(&[event("payment.failed", &order, 2)]).await;
    let refunds = harness.payments.find(&order.payment_id).unwrap().refunds;
    assert_eq!(refunds.len(), 1);
    assert_eq!(harness.stock(TEA).await, STOCK);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn events_about_unknown_payments_and_of_later_versions_are_passed_over() {
    let harness = Harness::start().await;
    let order = harness.place(User::customer(), "pm_never").await;
    let unknown = pb::Order { id: key(), payment_id: key(), ..order.clone() };
    let time = DateTime::UNIX_EPOCH;
    let subject = order.payment_id.parse().unwrap();
    let newer =
        Envelope::new("payment-service", "payment.disputed", subject, 9, time, json!({})).unwrap();
    let batch = [
        event("payment.succeeded", &unknown, 3),
        newer,
        event("payment.refunded", &unknown, 4),
        event("payment.succeeded", &order, 3),
    ];
    harness.deliver(&batch).await;
    assert_eq!(harness.get(&order.id).await.status(), OrderStatus::Paid);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_damaged_event_is_poison_and_takes_its_batch_along_without_effect() {
    let harness = Harness::start().await;
    let order = harness.place(User::customer(), "pm_never").await;
    let subject = order.payment_id.parse().unwrap();
    let time = DateTime::UNIX_EPOCH;
    let data = json!({ "payment_id": "17", "order_id": order.id });
    let damaged =
        Envelope::new("payment-service", "payment.succeeded", subject, 4, time, data).unwrap();
    let consumer = PaymentEvents::new(Arc::clone(&harness.service));
    let refused = consumer.handle(&[event("payment.succeeded", &order, 3), damaged]).await;
    assert!(matches!(refused, Err(HandleError::Poison(_))), "{refused:?}");
    assert_eq!(harness.get(&order.id).await, order);
    assert_eq!(harness.count("SELECT COUNT(*) FROM inbox").await, 0);
    harness.finish().await;
}
