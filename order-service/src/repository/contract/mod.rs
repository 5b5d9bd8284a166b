//! What every adapter of the ports must do: one suite, run over memory and over MySQL.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a suite of tests")]

mod changing;
mod placing;
mod reading;
mod working;

use chrono::{DateTime, Utc};

use super::{OrderRepository, Placed, ProductRepository, Saved, WorkRepository};
use crate::model::{
    Actor, KeyUse, Order, Outcome, PaymentCase, PaymentId, Placement, Sku, Trigger, fixtures,
};

/// All the ports at once.
pub trait Store: ProductRepository + OrderRepository + WorkRepository {}

impl<T: ProductRepository + OrderRepository + WorkRepository> Store for T {}

/// Runs the whole suite on an empty store.
///
/// # Panics
///
/// When the store does not do what the ports promise.
pub async fn holds(store: &dyn Store) {
    placing::products_are_put_and_listed(store).await;
    placing::placing_reserves_stock_and_a_refusal_leaves_nothing(store).await;
    placing::unpaid_orders_of_one_user_are_bounded(store).await;
    placing::a_key_is_claimed_once(store).await;
    placing::a_claim_is_answered_once_and_taken_over_once(store).await;
    changing::a_change_holds_only_if_nothing_moved(store).await;
    changing::an_order_has_one_open_attempt(store).await;
    changing::cancelling_returns_the_stock(store).await;
    changing::a_refund_returns_the_stock_when_it_is_done(store).await;
    reading::orders_are_listed_newest_first(store).await;
    changing::events_are_applied_once(store).await;
    changing::a_payment_is_refunded_once(store).await;
    working::due_attempts_are_leased(store).await;
    working::due_refunds_are_leased(store).await;
    working::overdue_orders_are_found_by_age(store).await;
    reading::the_timeline_is_told_in_order(store).await;
    working::open_orders_are_counted(store).await;
    working::old_claims_are_swept(store).await;
}

/// A moment with the precision of the schema.
fn epoch() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_767_323_045_006).unwrap()
}

fn robot() -> Actor {
    Actor::system("contract")
}

async fn stock(store: &dyn Store, sku: &str) -> u32 {
    let sku = Sku::parse(sku, "sku").unwrap();
    store.find_product(&sku).await.unwrap().unwrap().stock
}

async fn shelve(store: &dyn Store, sku: &str, stock: u32) {
    store.put_product(&fixtures::draft(sku, 1990, stock), epoch()).await.unwrap();
}

async fn place(store: &dyn Store, placement: &Placement) -> PaymentCase {
    match store.place(placement).await.unwrap() {
        Placed::Fresh(case) => *case,
        other => panic!("{other:?}"),
    }
}

/// A fresh order of one piece, placed at `at`.
async fn placed_at(store: &dyn Store, at: DateTime<Utc>) -> PaymentCase {
    shelve(store, "CONTRACT", 1_000).await;
    place(store, &fixtures::placement_at(&[("CONTRACT", 1)], at)).await
}

async fn placed(store: &dyn Store) -> PaymentCase {
    placed_at(store, epoch()).await
}

async fn order(store: &dyn Store, case: &PaymentCase) -> Order {
    store.find_order(case.order.id).await.unwrap().unwrap()
}

async fn case(store: &dyn Store, id: PaymentId) -> PaymentCase {
    store.find_cases(&[id]).await.unwrap().pop().expect("the payment is known")
}

/// Settles the open attempt of a case and returns how it stands then.
async fn settle(store: &dyn Store, before: &PaymentCase, outcome: &Outcome) -> PaymentCase {
    let change = before.settle(outcome, &robot(), epoch());
    assert_eq!(store.save(&change, KeyUse::None).await.unwrap(), Saved::Done);
    case(store, before.attempt.id).await
}

async fn cancel(store: &dyn Store, order: &Order) {
    let change = order.apply(Trigger::Cancel, &robot(), epoch()).unwrap();
    assert_eq!(store.save(&change, KeyUse::None).await.unwrap(), Saved::Done);
}
