//! Products that change while an order of them is placed: what is sold was offered at its price.

use chassis::error::RemoteError;
use sqlx::Connection as _;

use crate::calls::{Answer, cart, code};
use crate::harness::{Harness, PATIENCE, PRICE, STOCK, TEA, User};

/// The cups, unless somebody holds them. An order takes them first, once it has read every price.
const CUPS: &str = "SELECT sku FROM products WHERE sku = 'CUP' FOR UPDATE SKIP LOCKED";

/// What an administrator does who sells the last one at another price.
const LAST_ONE: &str =
    "UPDATE products SET unit_price = 9900, stock = 1, version = version + 1 WHERE sku = 'TEA'";

/// Orders a cup and a pot of tea, the price of which was read before `change` and is used after it.
async fn order_beside(harness: &Harness, change: &'static str) -> Result<Answer, RemoteError> {
    let mut connection = harness.pool.dedicated().await.unwrap();
    let mut beside = connection.begin().await.unwrap();
    sqlx::query(change).execute(&mut *beside).await.unwrap();
    let request = cart(&[(TEA, 1), ("CUP", 1)], "pm_ok");
    let (answer, ()) = tokio::join!(harness.create(User::customer(), request), async {
        let taken = async {
            while sqlx::query(CUPS).fetch_optional(&harness.pool).await.unwrap().is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, taken).await.unwrap();
        beside.commit().await.unwrap();
    });
    answer
}

async fn start() -> Harness {
    let harness = Harness::start().await;
    harness.shelve("CUP", 500, STOCK).await;
    harness
}

/// Tells the audit how much of the tea there is after a change that it did not see.
fn shelved(harness: &Harness, stock: u32) {
    harness.shelved.lock().unwrap().insert(TEA.to_owned(), stock);
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_price_that_changed_meanwhile_is_the_price_that_is_paid() {
    let harness = start().await;
    shelved(&harness, 1);
    let order = order_beside(&harness, LAST_ONE).await.unwrap().order;
    let prices: Vec<_> =
        order.items.iter().map(|item| item.unit_price.as_ref().unwrap().amount).collect();
    assert_eq!((prices, order.total.unwrap().amount), (vec![9_900, 500], 10_400));
    assert_eq!((harness.stock(TEA).await, harness.stock("CUP").await), (0, STOCK - 1));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_was_taken_off_the_shelf_meanwhile_is_out_of_stock() {
    for change in [
        "UPDATE products SET unit_price = 9900, stock = 0, version = version + 1 WHERE sku = 'TEA'",
        "UPDATE products SET stock = 0 WHERE sku = 'TEA'",
    ] {
        let harness = start().await;
        shelved(&harness, 0);
        assert_eq!(code(order_beside(&harness, change).await), "OUT_OF_STOCK", "{change}");
        assert_eq!(harness.stock("CUP").await, STOCK);
        harness.finish().await;
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_order_beside_this_one_changes_nothing_but_the_stock() {
    let harness = start().await;
    shelved(&harness, STOCK - 7);
    let change = "UPDATE products SET stock = stock - 7 WHERE sku = 'TEA'";
    let order = order_beside(&harness, change).await.unwrap().order;
    assert_eq!(order.total.unwrap().amount, PRICE + 500);
    assert_eq!(harness.stock(TEA).await, STOCK - 8);
    harness.finish().await;
}
