//! What owners and administrators read.

use chrono::TimeDelta;

use super::{Store, cancel, case, epoch, place, placed, settle, shelve};
use crate::model::{
    KeyUse, Order, OrderStatus, Outcome, Placement, TimelineKind, UserId, fixtures,
};
use crate::repository::OrderQuery;

pub(super) async fn orders_are_listed_newest_first(store: &dyn Store) {
    shelve(store, "F-1", 100).await;
    let user_id = UserId::generate();
    let mut placed = Vec::new();
    for _ in 0..5 {
        let placement = fixtures::placement_at(&[("F-1", 1)], epoch());
        placed.push(place(store, &Placement { user_id, ..placement }).await);
    }
    settle(store, &placed[1], &Outcome::Captured).await;
    settle(store, &placed[3], &Outcome::Captured).await;
    let all = OrderQuery { user_id, status: None, before: None, limit: 3 };
    let first = store.list_orders(&all).await.unwrap();
    let ids = |orders: &[Order]| orders.iter().map(|order| order.id).collect::<Vec<_>>();
    let expected: Vec<_> = placed.iter().rev().map(|case| case.order.id).collect();
    assert_eq!(ids(&first), expected[..3]);
    assert_eq!(first[0].items.len(), 1);
    let rest = OrderQuery { before: Some(first[2].id), ..all };
    assert_eq!(ids(&store.list_orders(&rest).await.unwrap()), expected[3..]);
    let paid = OrderQuery { status: Some(OrderStatus::Paid), ..all };
    assert_eq!(ids(&store.list_orders(&paid).await.unwrap()), [expected[1], expected[3]]);
    let nobody = OrderQuery { user_id: UserId::generate(), ..all };
    assert!(store.list_orders(&nobody).await.unwrap().is_empty());
}

pub(super) async fn the_timeline_is_told_in_order(store: &dyn Store) {
    let before = placed(store).await;
    cancel(store, &before.order).await;
    let cancelled = case(store, before.attempt.id).await;
    let later = epoch() + TimeDelta::seconds(5);
    let change = cancelled.settle(&Outcome::Captured, &super::robot(), later);
    store.save(&change, KeyUse::None).await.unwrap();
    let timeline = store.find_timeline(before.order.id, 5).await.unwrap();
    assert!(!timeline.truncated);
    let entries = timeline.entries;
    let told: Vec<_> = entries.iter().map(|entry| (entry.kind, entry.to.as_str())).collect();
    let expected = [
        (TimelineKind::Transition, "CREATED"),
        (TimelineKind::Transition, "CANCELLED"),
        (TimelineKind::PaymentAttempt, "PENDING"),
        (TimelineKind::PaymentAttempt, "SUCCEEDED"),
        (TimelineKind::Refund, "PENDING"),
    ];
    assert_eq!(told, expected);
    assert_eq!(entries[0].actor, format!("user:{}", before.order.user_id));
    assert_eq!(entries[1].from.as_deref(), Some("CREATED"));
    assert_eq!((entries[3].time, entries[3].actor.as_str()), (later, "system:contract"));
    assert_eq!((entries[4].cause.as_str(), entries[4].time), ("late_capture", later));
    let part = store.find_timeline(before.order.id, 2).await.unwrap();
    assert_eq!((part.entries.as_slice(), part.truncated), (&entries[3..], true));
    let much_later = later + TimeDelta::seconds(5);
    let refunded = case(store, before.attempt.id).await.refunded(&super::robot(), much_later);
    store.save(&refunded, KeyUse::None).await.unwrap();
    let last = store.find_timeline(before.order.id, 1).await.unwrap().entries.remove(0);
    assert_eq!((last.kind, last.time, &*last.to), (TimelineKind::Refund, much_later, "SUCCEEDED"));
}
