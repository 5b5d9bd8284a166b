//! What is due, and what is forgotten.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Store, cancel, case, epoch, order, place, placed, placed_at, robot, settle, shelve};
use crate::model::{KeyUse, OrderStatus, Outcome, Trigger, fixtures};
use crate::repository::{Lease, Saved};

pub(super) async fn due_attempts_are_leased(store: &dyn Store) {
    let far = epoch() + TimeDelta::days(1);
    drain_attempts(store, far).await;
    let open = placed_at(store, far).await;
    let settled = placed_at(store, far).await;
    settle(store, &settled, &Outcome::Captured).await;
    let lease = |after_s| {
        let now = far + TimeDelta::seconds(after_s);
        Lease { now, until: now + TimeDelta::seconds(10), limit: 10 }
    };
    assert!(store.lease_attempts(lease(9)).await.unwrap().is_empty(), "not due yet");
    let leased = store.lease_attempts(lease(10)).await.unwrap();
    assert_eq!(leased.iter().map(|case| case.attempt.id).collect::<Vec<_>>(), [open.attempt.id]);
    assert!(store.lease_attempts(lease(11)).await.unwrap().is_empty(), "held by somebody");
    assert_eq!(store.lease_attempts(lease(20)).await.unwrap().len(), 1, "the lease is over");
    let until = far + TimeDelta::seconds(60);
    store.postpone_attempt(open.attempt.id, until).await.unwrap();
    assert!(store.lease_attempts(lease(59)).await.unwrap().is_empty());
    assert_eq!(store.lease_attempts(lease(60)).await.unwrap()[0].attempt.checks, 1);
    let since = far + TimeDelta::seconds(1);
    let stuck = store.list_stuck(since, None, 100).await.unwrap();
    assert_eq!(stuck.last().map(|order| order.id), Some(open.order.id));
    assert!(store.list_stuck(since, Some(open.order.id), 100).await.unwrap().is_empty());
    settle(store, &open, &Outcome::Captured).await;
}

pub(super) async fn due_refunds_are_leased(store: &dyn Store) {
    let paid = settle(store, &placed(store).await, &Outcome::Captured).await;
    let owed = store.count_owed(1_000).await.unwrap();
    let change = paid.order.ask_refund(&robot(), epoch()).unwrap();
    assert_eq!(store.save(&change, KeyUse::None).await.unwrap(), Saved::Done);
    assert_eq!(store.count_owed(1_000).await.unwrap(), owed + 1);
    assert_eq!(store.count_owed(1).await.unwrap(), 1, "no further than is worth knowing");
    let until = epoch() + TimeDelta::seconds(10);
    let now = Lease { now: epoch(), until, limit: 10 };
    let leased = store.lease_refunds(now).await.unwrap();
    let ids: Vec<_> = leased.iter().map(|refund| refund.payment_id).collect();
    assert_eq!(ids, [paid.attempt.id]);
    assert!(store.lease_refunds(now).await.unwrap().is_empty(), "held by somebody");
    let later = Lease { now: until, until: until + TimeDelta::seconds(10), limit: 10 };
    assert_eq!(store.lease_refunds(later).await.unwrap(), leased);
    let until = until + TimeDelta::seconds(60);
    store.postpone_refund(leased[0].id, until).await.unwrap();
    let lease_at = |now| Lease { now, until: now + TimeDelta::seconds(10), limit: 10 };
    let early = until - TimeDelta::milliseconds(1);
    assert!(store.lease_refunds(lease_at(early)).await.unwrap().is_empty());
    assert_eq!(store.lease_refunds(lease_at(until)).await.unwrap()[0].checks, 1);
    let done = case(store, paid.attempt.id).await.refunded(&robot(), epoch());
    assert_eq!(store.save(&done, KeyUse::None).await.unwrap(), Saved::Done);
    assert_eq!(order(store, &paid).await.status, OrderStatus::Refunded);
    assert_eq!(store.count_owed(1_000).await.unwrap(), owed);
    let end = until + TimeDelta::days(1);
    assert!(store.lease_refunds(lease_at(end)).await.unwrap().is_empty());
}

pub(super) async fn overdue_orders_are_found_by_age(store: &dyn Store) {
    let long_ago = epoch() - TimeDelta::days(9);
    let second = placed_at(store, long_ago + TimeDelta::seconds(1)).await;
    let first = placed_at(store, long_ago).await;
    let paid = placed_at(store, long_ago).await;
    settle(store, &paid, &Outcome::Captured).await;
    let now = second.order.expires_at;
    let overdue = store.list_overdue(now, 10).await.unwrap();
    assert_eq!(overdue, [first.order.clone(), second.order.clone()]);
    assert_eq!(store.list_overdue(now, 1).await.unwrap(), std::slice::from_ref(&first.order));
    let before = first.order.expires_at - TimeDelta::milliseconds(1);
    assert!(store.list_overdue(before, 10).await.unwrap().is_empty());
    for order in overdue {
        let change = order.apply(Trigger::Expire, &robot(), now).unwrap();
        assert_eq!(store.save(&change, KeyUse::None).await.unwrap(), Saved::Done);
    }
    assert!(store.list_overdue(now, 10).await.unwrap().is_empty());
}

pub(super) async fn open_orders_are_counted(store: &dyn Store) {
    let count = |status: OrderStatus, counts: &[(OrderStatus, u32)]| {
        counts.iter().find(|(counted, _)| *counted == status).map_or(0, |(_, count)| *count)
    };
    let before = store.count_open(1_000).await.unwrap();
    let (one, two) = (placed(store).await, placed(store).await);
    settle(store, &one, &Outcome::Captured).await;
    let after = store.count_open(1_000).await.unwrap();
    for status in [OrderStatus::Created, OrderStatus::Paid] {
        assert_eq!(count(status, &after), count(status, &before) + 1, "{status}");
    }
    cancel(store, &two.order).await;
    let last = store.count_open(1_000).await.unwrap();
    assert_eq!(count(OrderStatus::Created, &last), count(OrderStatus::Created, &before));
    assert!(last.iter().all(|(status, count)| !status.is_over() && *count > 0), "{last:?}");
    let bounded = store.count_open(1).await.unwrap();
    assert!(bounded.iter().all(|(_, count)| *count == 1), "{bounded:?}");
}

pub(super) async fn old_claims_are_swept(store: &dyn Store) {
    shelve(store, "G-1", 10).await;
    let old = fixtures::placement_at(&[("G-1", 1)], epoch() - TimeDelta::days(30));
    place(store, &old).await;
    let young = fixtures::placement_at(&[("G-1", 1)], epoch());
    place(store, &young).await;
    let swept = store.sweep(epoch() - TimeDelta::days(29), 100).await.unwrap();
    assert_eq!(swept, 1);
    assert_eq!(store.find_claim(&old.claim).await.unwrap(), None);
    assert!(store.find_claim(&young.claim).await.unwrap().is_some());
}

/// Leases what earlier parts of the suite left open for longer than this part lasts.
async fn drain_attempts(store: &dyn Store, now: DateTime<Utc>) {
    let until = now + TimeDelta::days(1);
    while !store.lease_attempts(Lease { now, until, limit: 10 }).await.unwrap().is_empty() {}
}
