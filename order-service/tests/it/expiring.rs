//! What ends by itself: unpaid orders, old keys, old events.

use chrono::TimeDelta;
use order_service::service::Progress;
use proto::order::v1::OrderStatus;

use crate::calls::{cart, payment_of};
use crate::harness::{Harness, STOCK, TEA, User};
use crate::notices::event;

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn unpaid_orders_expire_on_time_and_give_their_pieces_back_once() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let paid = harness.place(alice, "pm_ok").await;
    let waiting = harness.create(alice, cart(&[(TEA, 5)], "pm_never")).await.unwrap().order;
    let declined = harness.create(alice, cart(&[(TEA, 7)], "pm_declined")).await.unwrap().order;
    harness.advance(harness.policy.order_ttl - TimeDelta::milliseconds(1));
    assert_eq!(harness.service.expire_orders().await.unwrap(), Progress::Idle);
    assert_eq!(harness.stock(TEA).await, STOCK - 13, "too early");
    harness.advance(TimeDelta::milliseconds(1));
    for _ in 0..2 {
        harness.service.expire_orders().await.unwrap();
        assert_eq!(harness.stock(TEA).await, STOCK - 1);
    }
    for (order, version) in [(&waiting, 2), (&declined, 3)] {
        let expired = harness.get(&order.id).await;
        assert_eq!((expired.status(), expired.version), (OrderStatus::Expired, version));
        assert_eq!(harness.told(order).await.last(), Some(&format!("expired {version}")));
    }
    assert_eq!(harness.get(&paid.id).await, paid);
    let timeline = harness.timeline(alice, &declined.id).await.unwrap();
    assert_eq!(timeline.last().unwrap().actor, "system:expiry");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn replicas_expire_many_orders_in_batches_once_each() {
    const UNPAID: u32 = 40;
    let (harness, alice) = (Harness::with(&[("WORKERS__BATCH", "7")]).await, User::customer());
    for _ in 0..UNPAID {
        harness.place(alice, "pm_declined").await;
    }
    assert_eq!(harness.stock(TEA).await, STOCK - UNPAID);
    harness.advance(harness.policy.order_ttl);
    let replicas = [harness.replica(), harness.replica()];
    let work = replicas
        .iter()
        .map(|service| async { while service.expire_orders().await.unwrap() == Progress::More {} });
    futures::future::join_all(work).await;
    assert_eq!(harness.stock(TEA).await, STOCK);
    let expired = "SELECT COUNT(*) FROM orders WHERE status = 'EXPIRED' AND version = 3";
    assert_eq!(harness.count(expired).await, i64::from(UNPAID));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn another_attempt_does_not_prolong_an_order() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_declined").await;
    harness.advance(harness.policy.order_ttl - TimeDelta::milliseconds(1));
    let retried = harness.pay(alice, payment_of(&order, "pm_never")).await.unwrap().order;
    assert_eq!(retried.expires_at, order.expires_at);
    harness.advance(TimeDelta::milliseconds(1));
    harness.service.expire_orders().await.unwrap();
    assert_eq!(harness.get(&order.id).await.status(), OrderStatus::Expired);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn keys_and_events_are_forgotten_after_their_time() {
    const KEPT: &str = "SELECT (SELECT COUNT(*) FROM idempotency_claims) \
                        + (SELECT COUNT(*) FROM inbox)";
    let (harness, alice) = (Harness::start().await, User::customer());
    let request = cart(&[(TEA, 1)], "pm_never");
    let first = harness.create(alice, request.clone()).await.unwrap().order;
    harness.deliver(&[event("payment.succeeded", &first, 3)]).await;
    harness.advance(harness.policy.keep);
    harness.service.sweep().await.unwrap();
    assert!(harness.create(alice, request.clone()).await.unwrap().replayed);
    assert_eq!(harness.count(KEPT).await, 2);
    harness.place(alice, "pm_ok").await;
    harness.advance(TimeDelta::milliseconds(1));
    assert_eq!(harness.service.sweep().await.unwrap(), Progress::Idle);
    assert_eq!(harness.count(KEPT).await, 1, "the young key is kept");
    let second = harness.create(alice, request).await.unwrap();
    assert!(!second.replayed);
    assert_ne!(second.order.id, first.id);
    // An event that comes again even later finds its payment settled.
    harness.deliver(&[event("payment.succeeded", &first, 3)]).await;
    assert_eq!(harness.get(&first.id).await.version, 2);
    harness.finish().await;
}
