//! Placing orders: what they cost, what they reserve, and how their payment leaves them.

use futures::future::join_all;
use proto::order::v1::{self as pb, OrderStatus};
use proto::payment::v1::PaymentStatus;

use crate::calls::{cart, code, product};
use crate::harness::{Harness, PRICE, STOCK, TEA, User};

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_approved_order_is_paid_at_once() {
    let harness = Harness::start().await;
    harness.shelve("CUP", 500, 9).await;
    let alice = User::customer();
    let answer = harness.create(alice, cart(&[(TEA, 2), ("CUP", 3)], "pm_ok")).await.unwrap();
    let order = answer.order;
    assert_eq!((order.status(), order.version, answer.replayed), (OrderStatus::Paid, 2, false));
    assert_eq!((&order.user_id, order.failure_reason.as_str()), (&alice.id.to_string(), ""));
    let bought: Vec<_> = order.items.iter().map(|item| (&*item.sku, item.quantity)).collect();
    assert_eq!(bought, [(TEA, 2), ("CUP", 3)]);
    let total = order.total.clone().unwrap();
    assert_eq!((total.amount, total.currency.as_str()), (2 * PRICE + 3 * 500, "CNY"));
    let lifetime = order.expires_at.unwrap().seconds - order.created_at.unwrap().seconds;
    assert_eq!(lifetime, harness.policy.order_ttl.num_seconds());
    assert_eq!((harness.stock(TEA).await, harness.stock("CUP").await), (STOCK - 2, 6));

    let payment = harness.payments.find(&order.payment_id).unwrap();
    assert_eq!((&payment.order_id, &payment.user_id), (&order.id, &order.user_id));
    assert_eq!((payment.amount, payment.payment_method.as_str()), (order.total.clone(), "pm_ok"));
    assert_eq!(harness.read(alice, &order.id).await, Ok(order.clone()));
    assert_eq!(harness.told(&order).await, ["created 1", "paid 2"]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_declined_order_says_why_and_keeps_its_stock() {
    let harness = Harness::start().await;
    let order = harness.place(User::customer(), "pm_declined").await;
    assert_eq!((order.status(), order.version), (OrderStatus::PaymentFailed, 2));
    assert_eq!(order.failure_reason, "card_declined");
    assert_eq!(harness.stock(TEA).await, STOCK - 1);
    assert_eq!(harness.get(&order.id).await, order);
    assert_eq!(harness.told(&order).await, ["created 1", "payment_failed 2"]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_undecided_order_waits() {
    let harness = Harness::start().await;
    let order = harness.place(User::customer(), "pm_never").await;
    assert_eq!((order.status(), order.version), (OrderStatus::Created, 1));
    assert_eq!(harness.payments.that_are(PaymentStatus::Pending), [&*order.payment_id]);
    assert_eq!(harness.get(&order.id).await, order);
    assert_eq!(harness.told(&order).await, ["created 1"]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_price_is_that_of_the_list_when_the_order_is_placed() {
    let harness = Harness::start().await;
    harness.shelve("CUP", 500, 10).await;
    let before = harness.create(User::customer(), cart(&[("CUP", 2)], "pm_ok")).await.unwrap();
    let dearer = pb::PutProductRequest {
        name: "Cup with a handle".to_owned(),
        ..product("CUP", (700, "CNY"), 8)
    };
    harness.put(dearer).await.unwrap();
    let after = harness.create(User::customer(), cart(&[("CUP", 2)], "pm_ok")).await.unwrap();
    assert_eq!(after.order.total.unwrap().amount, 1_400);
    assert_eq!(after.order.items[0].name, "Cup with a handle");
    assert_eq!(harness.get(&before.order.id).await, before.order);
    assert_eq!(before.order.items[0].name, "Product CUP");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_order_has_up_to_a_hundred_lines() {
    let harness = Harness::start().await;
    let skus: Vec<String> = (0..100).map(|n| format!("P-{n:02}")).collect();
    for sku in &skus {
        harness.shelve(sku, 10, 5).await;
    }
    let lines: Vec<_> = skus.iter().rev().map(|sku| (sku.as_str(), 5)).collect();
    let order = harness.create(User::customer(), cart(&lines, "pm_ok")).await.unwrap().order;
    let bought: Vec<_> = order.items.iter().map(|item| (&*item.sku, item.quantity)).collect();
    assert_eq!(bought, lines);
    assert_eq!(order.total.as_ref().unwrap().amount, 5_000);
    assert_eq!(harness.get(&order.id).await, order);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_last_pieces_are_sold_once() {
    let harness = Harness::start().await;
    harness.shelve("CUP", 500, 3).await;
    let orders = (0..10).map(|_| harness.create(User::customer(), cart(&[("CUP", 1)], "pm_ok")));
    let (sold, refused): (Vec<_>, Vec<_>) =
        join_all(orders).await.into_iter().partition(Result::is_ok);
    assert_eq!((sold.len(), refused.len()), (3, 7));
    assert!(refused.into_iter().all(|refusal| code(refusal) == "OUT_OF_STOCK"));
    assert_eq!(harness.stock("CUP").await, 0);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn orders_over_the_same_products_do_not_wait_for_each_other() {
    let harness = Harness::start().await;
    harness.shelve("CUP", 500, 100).await;
    harness.shelve("POT", 900, 100).await;
    let lines = [("CUP", 1), ("POT", 1), (TEA, 1)];
    let orders = (0..24).map(|n| {
        let mut lines = lines;
        lines.rotate_left(n % 3);
        harness.create(User::customer(), cart(&lines, "pm_ok"))
    });
    for answer in join_all(orders).await {
        assert_eq!(answer.unwrap().order.status(), OrderStatus::Paid);
    }
    assert_eq!((harness.stock("CUP").await, harness.stock("POT").await), (76, 76));
    harness.finish().await;
}
