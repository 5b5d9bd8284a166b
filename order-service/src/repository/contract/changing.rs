//! What changes an order, and what it changes beside it.

use super::{Store, cancel, case, epoch, order, place, placed, robot, settle, shelve, stock};
use crate::model::{
    Attempt, KeyUse, Operation, OrderError, Outcome, PaymentId, RefundReason, Trigger, fixtures,
};
use crate::repository::{EventEffect, Saved};

pub(super) async fn a_change_holds_only_if_nothing_moved(store: &dyn Store) {
    let case = placed(store).await;
    let cancelled = case.order.apply(Trigger::Cancel, &robot(), epoch()).unwrap();
    let paid = case.settle(&Outcome::Captured, &robot(), epoch());
    assert_eq!(store.save(&paid, KeyUse::None).await.unwrap(), Saved::Done);
    assert_eq!(store.save(&cancelled, KeyUse::None).await.unwrap(), Saved::Stale);
    assert_eq!(store.save(&paid, KeyUse::None).await.unwrap(), Saved::Stale);
    assert_eq!(order(store, &case).await, paid.order);
    let claim = fixtures::claim(Operation::CancelOrder);
    assert_eq!(store.save(&cancelled, KeyUse::Answer(&claim)).await.unwrap(), Saved::Stale);
    assert_eq!(store.find_claim(&claim).await.unwrap(), None, "nothing is claimed by a lost race");
}

pub(super) async fn an_order_has_one_open_attempt(store: &dyn Store) {
    let failed = settle(store, &placed(store).await, &fixtures::declined()).await;
    let attempt = || Attempt { id: PaymentId::generate(), ..fixtures::attempt_of(&failed.order) };
    let first = failed.order.start_attempt(attempt()).unwrap();
    assert_eq!(store.save(&first, KeyUse::None).await.unwrap(), Saved::Done);
    assert_eq!(order(store, &failed).await.payment_id, first.order.payment_id);
    let second = first.order.start_attempt(attempt()).unwrap();
    let refused = store.save(&second, KeyUse::None).await;
    assert!(matches!(refused, Err(OrderError::PaymentInProgress)));
    assert_eq!(order(store, &failed).await, first.order);
    // What was decided before the attempt knows nothing of it.
    let cancelled = failed.order.apply(Trigger::Cancel, &robot(), epoch()).unwrap();
    assert_eq!(store.save(&cancelled, KeyUse::None).await.unwrap(), Saved::Stale);
    assert_eq!(order(store, &failed).await, first.order);
}

pub(super) async fn cancelling_returns_the_stock(store: &dyn Store) {
    shelve(store, "E-1", 10).await;
    let case = place(store, &fixtures::placement_at(&[("E-1", 4)], epoch())).await;
    assert_eq!(stock(store, "E-1").await, 6);
    cancel(store, &case.order).await;
    assert_eq!(stock(store, "E-1").await, 10);
}

pub(super) async fn events_are_applied_once(store: &dyn Store) {
    let case = placed(store).await;
    let effect = |change| EventEffect { event_id: format!("paid:{}", case.attempt.id), change };
    let change = case.settle(&Outcome::Captured, &robot(), epoch());
    let effects = [effect(Some(change.clone())), effect(Some(change.clone()))];
    assert_eq!(store.save_events(&effects, epoch()).await.unwrap(), Saved::Done);
    assert_eq!(store.save_events(&effects, epoch()).await.unwrap(), Saved::Done);
    assert_eq!(order(store, &case).await, change.order);
    let other = EventEffect { event_id: "other".to_owned(), change: Some(change) };
    assert_eq!(store.save_events(&[other], epoch()).await.unwrap(), Saved::Stale);
    let nothing = EventEffect { event_id: "other".to_owned(), change: None };
    assert_eq!(store.save_events(&[nothing], epoch()).await.unwrap(), Saved::Done);
}

pub(super) async fn a_payment_is_refunded_once(store: &dyn Store) {
    let before = placed(store).await;
    cancel(store, &before.order).await;
    let late = settle(store, &case(store, before.attempt.id).await, &Outcome::Captured).await;
    let refund = late.refund.clone().unwrap();
    assert_eq!((refund.reason, refund.done), (RefundReason::LateCapture, false));
    // What two readers of the same state would both decide.
    let mut unsettled = late.clone();
    unsettled.attempt.outcome = None;
    let again = unsettled.settle(&Outcome::Captured, &robot(), epoch());
    assert_eq!(store.save(&again, KeyUse::None).await.unwrap(), Saved::Stale);
    let done = late.refunded(&robot(), epoch());
    assert_eq!(store.save(&done, KeyUse::None).await.unwrap(), Saved::Done);
    assert_eq!(store.save(&done, KeyUse::None).await.unwrap(), Saved::Stale);
    assert!(case(store, before.attempt.id).await.refund.unwrap().done);
}

pub(super) async fn a_refund_returns_the_stock_when_it_is_done(store: &dyn Store) {
    for (sku, pieces) in [("R-1", 10), ("R-2", 10)] {
        shelve(store, sku, pieces).await;
    }
    let mut done = Vec::new();
    for lines in [[("R-1", 4), ("R-2", 1)], [("R-2", 3), ("R-1", 2)]] {
        let paid = place(store, &fixtures::placement_at(&lines, epoch())).await;
        let paid = settle(store, &paid, &Outcome::Captured).await;
        let change = paid.order.ask_refund(&robot(), epoch()).unwrap();
        assert_eq!(store.save(&change, KeyUse::None).await.unwrap(), Saved::Done);
        let change = case(store, paid.attempt.id).await.refunded(&robot(), epoch());
        let event_id = format!("refunded:{}", paid.attempt.id);
        done.push(EventEffect { event_id, change: Some(change) });
    }
    assert_eq!((stock(store, "R-1").await, stock(store, "R-2").await), (4, 6));
    for _ in 0..2 {
        assert_eq!(store.save_events(&done, epoch()).await.unwrap(), Saved::Done);
        assert_eq!((stock(store, "R-1").await, stock(store, "R-2").await), (10, 10));
    }
}
