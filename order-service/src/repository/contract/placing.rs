//! The price list, and what placing an order takes from it.

use chrono::TimeDelta;

use super::{Store, cancel, epoch, order, place, placed, robot, settle, shelve, stock};
use crate::model::{
    KeyUse, Operation, OrderError, OrderStatus, Outcome, Placement, Sku, Trigger, UserId, fixtures,
};
use crate::repository::{Placed, Saved, StoredProduct};

pub(super) async fn products_are_put_and_listed(store: &dyn Store) {
    for sku in ["A-1", "A-2", "A-3"] {
        let stored = store.put_product(&fixtures::draft(sku, 100, 5), epoch()).await.unwrap();
        assert!(matches!(stored, StoredProduct::Created(product) if product.version == 1));
    }
    let later = epoch() + TimeDelta::seconds(1);
    let stored = store.put_product(&fixtures::draft("A-2", 100, 6), later).await.unwrap();
    assert!(matches!(stored, StoredProduct::Replaced(ref product) if product.version == 2));
    let again = store.put_product(&fixtures::draft("A-2", 100, 6), epoch()).await.unwrap();
    assert_eq!(again, stored, "saying nothing new changes nothing");
    let first = store.list_products(None, 2).await.unwrap();
    let skus: Vec<_> = first.iter().map(|product| product.sku.as_str()).collect();
    assert_eq!(skus, ["A-1", "A-2"]);
    let rest = store.list_products(Some(&first[1].sku), 2).await.unwrap();
    assert_eq!(rest[0].sku.as_str(), "A-3");
    let unknown = Sku::parse("A-9", "sku").unwrap();
    assert_eq!(store.find_product(&unknown).await.unwrap(), None);
}

pub(super) async fn placing_reserves_stock_and_a_refusal_leaves_nothing(store: &dyn Store) {
    shelve(store, "B-1", 5).await;
    shelve(store, "B-2", 1).await;
    let refused = fixtures::placement_at(&[("B-2", 2), ("B-1", 3)], epoch());
    let outcome = store.place(&refused).await;
    assert!(matches!(outcome, Err(OrderError::OutOfStock { line: 0 })));
    assert_eq!((stock(store, "B-1").await, stock(store, "B-2").await), (5, 1));
    assert_eq!(store.find_claim(&refused.claim).await.unwrap(), None);
    assert_eq!(store.find_order(refused.order_id).await.unwrap(), None);
    let unknown = fixtures::placement_at(&[("B-9", 1)], epoch());
    let outcome = store.place(&unknown).await;
    assert!(matches!(outcome, Err(OrderError::ProductUnknown { .. })));
    let placement = fixtures::placement_at(&[("B-2", 1), ("B-1", 3)], epoch());
    let case = place(store, &placement).await;
    assert_eq!((stock(store, "B-1").await, stock(store, "B-2").await), (2, 0));
    assert_eq!(order(store, &case).await, case.order, "an order reads back as it was placed");
    assert_eq!(store.find_cases(&[case.attempt.id]).await.unwrap(), [case]);
}

pub(super) async fn unpaid_orders_of_one_user_are_bounded(store: &dyn Store) {
    shelve(store, "Q-1", 100).await;
    let user_id = UserId::generate();
    let another = || {
        let placement = fixtures::placement_at(&[("Q-1", 1)], epoch());
        Placement { user_id, open_max: 3, ..placement }
    };
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(place(store, &another()).await);
    }
    settle(store, &open[0], &fixtures::declined()).await;
    let refused = another();
    let outcome = store.place(&refused).await;
    assert!(matches!(outcome, Err(OrderError::QuotaExceeded { max: 3 })), "{outcome:?}");
    assert_eq!(store.find_claim(&refused.claim).await.unwrap(), None, "the key is free");
    assert_eq!(stock(store, "Q-1").await, 97);
    // One of somebody else, and one that is refused for what it orders.
    place(store, &Placement { user_id: UserId::generate(), ..another() }).await;
    let unknown = fixtures::placement_at(&[("Q-9", 1)], epoch());
    let outcome = store.place(&Placement { user_id, open_max: 3, ..unknown }).await;
    assert!(matches!(outcome, Err(OrderError::ProductUnknown { .. })), "{outcome:?}");
    // What is paid, or over, is counted no more.
    settle(store, &open[1], &Outcome::Captured).await;
    place(store, &another()).await;
    assert!(store.place(&another()).await.is_err());
    cancel(store, &open[2].order).await;
    place(store, &another()).await;
}

pub(super) async fn a_key_is_claimed_once(store: &dyn Store) {
    shelve(store, "C-1", 10).await;
    let placement = fixtures::placement_at(&[("C-1", 1)], epoch());
    place(store, &placement).await;
    let again =
        Placement { claim: placement.claim, ..fixtures::placement_at(&[("C-1", 1)], epoch()) };
    assert_eq!(store.place(&again).await.unwrap(), Placed::KeyTaken);
    assert_eq!(stock(store, "C-1").await, 9);
    let other = placed(store).await;
    let cancelled = other.order.apply(Trigger::Cancel, &robot(), epoch()).unwrap();
    let claim = fixtures::claim(Operation::CancelOrder);
    assert_eq!(store.save(&cancelled, KeyUse::Answer(&claim)).await.unwrap(), Saved::Done);
    let answered = store.find_claim(&claim).await.unwrap().unwrap();
    assert_eq!(answered.answer, Some(cancelled.order.clone()));
    let next = placed(store).await.order.apply(Trigger::Cancel, &robot(), epoch()).unwrap();
    assert_eq!(store.save(&next, KeyUse::Answer(&claim)).await.unwrap(), Saved::KeyTaken);
    let untouched = store.find_order(next.order.id).await.unwrap().unwrap();
    assert_eq!(untouched.status, OrderStatus::Created);
}

pub(super) async fn a_claim_is_answered_once_and_taken_over_once(store: &dyn Store) {
    shelve(store, "D-1", 10).await;
    let placement = fixtures::placement_at(&[("D-1", 1)], epoch());
    let case = place(store, &placement).await;
    let claim = &placement.claim;
    let stored = store.find_claim(claim).await.unwrap().unwrap();
    assert_eq!(stored.lease_until, placement.lease_until);
    assert_eq!((stored.payment_id, stored.answer), (Some(case.attempt.id), None));
    let until = placement.lease_until + TimeDelta::seconds(5);
    assert!(store.take_over(claim, placement.lease_until, until).await.unwrap());
    assert!(!store.take_over(claim, placement.lease_until, until).await.unwrap());
    let paid = case.settle(&Outcome::Captured, &robot(), epoch());
    assert_eq!(store.save(&paid, KeyUse::Complete(claim)).await.unwrap(), Saved::Done);
    let late = case.unchanged(epoch());
    assert_eq!(store.save(&late, KeyUse::Complete(claim)).await.unwrap(), Saved::KeyTaken);
    let stored = store.find_claim(claim).await.unwrap().unwrap();
    assert_eq!(stored.answer, Some(paid.order));
    assert!(!store.take_over(claim, until, until).await.unwrap(), "an answered claim is nobody's");
}
