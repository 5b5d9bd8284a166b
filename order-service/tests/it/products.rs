//! The price list: open to anyone, kept by administrators.

use chassis::error::{Kind, RemoteError};
use proto::order::v1 as pb;
use tonic::Request;

use crate::calls::{code, fields, product, refused};
use crate::harness::{Harness, PRICE, STOCK, TEA, User};

async fn page(
    harness: &Harness,
    page_size: i32,
    page_token: &str,
) -> Result<(Vec<String>, String), RemoteError> {
    let request = pb::ListProductsRequest { page_size, page_token: page_token.to_owned() };
    let page = refused(harness.client().list_products(request).await)?;
    let skus = page.products.into_iter().map(|product| product.sku).collect();
    Ok((skus, page.next_page_token))
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_product_is_put_then_replaced_then_the_same() {
    let harness = Harness::start().await;
    let first = harness.put(product("CUP", (500, "CNY"), 7)).await.unwrap();
    assert!(first.created);
    let cup = first.product.unwrap();
    assert_eq!((cup.version, cup.stock, cup.name.as_str()), (1, 7, "Product CUP"));
    assert_eq!(harness.product("CUP").await, Ok(cup));
    harness.advance(chrono::TimeDelta::seconds(1));
    let second = harness.put(product("CUP", (550, "JPY"), 9)).await.unwrap();
    assert!(!second.created);
    let cup = second.product.clone().unwrap();
    let price = cup.unit_price.clone().unwrap();
    assert_eq!((cup.version, price.amount, price.currency.as_str()), (2, 550, "JPY"));
    harness.advance(chrono::TimeDelta::seconds(1));
    assert_eq!(harness.put(product("CUP", (550, "JPY"), 9)).await, Ok(second));
    assert_eq!(harness.product("CUP").await, Ok(cup));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn anyone_reads_the_list_page_by_page_in_order() {
    let harness = Harness::start().await;
    for sku in ["D", "B", "A", "C"] {
        harness.shelve(sku, 500, 1).await;
    }
    let (first, token) = page(&harness, 2, "").await.unwrap();
    let (second, next) = page(&harness, 2, &token).await.unwrap();
    let (third, end) = page(&harness, 2, &next).await.unwrap();
    assert_eq!([first, second, third], [vec!["A", "B"], vec!["C", "D"], vec![TEA]]);
    assert_eq!(end, "");
    let (all, end) = page(&harness, 0, "").await.unwrap();
    assert_eq!((all.len(), end.as_str()), (5, ""));
    assert_eq!(page(&harness, 5, "").await.unwrap(), (all, String::new()));
    for odd in ["x", &token[1..], &format!("{token}A")] {
        let refusal = page(&harness, 2, odd).await.unwrap_err();
        assert_eq!((refusal.reason.as_str(), refusal.kind), ("CURSOR_INVALID", Kind::Malformed));
    }
    for size in [-1, 101] {
        let refusal = page(&harness, size, "").await.unwrap_err();
        assert_eq!((&*refusal.reason, fields(&refusal)), ("VALIDATION_FAILED", vec!["page_size"]));
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn only_administrators_change_the_list() {
    let harness = Harness::start().await;
    let cheaper = product(TEA, (1, "CNY"), STOCK);
    let by_customer = harness.by(User::customer(), cheaper.clone());
    let refusal = refused(harness.client().put_product(by_customer).await).unwrap_err();
    assert_eq!(
        (refusal.reason.as_str(), refusal.kind),
        ("PERMISSION_DENIED", Kind::PermissionDenied)
    );
    let anonymous = refused(harness.client().put_product(Request::new(cheaper)).await);
    assert_eq!(code(anonymous), "TOKEN_MISSING");
    assert_eq!(harness.product(TEA).await.unwrap().unit_price.unwrap().amount, PRICE);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn odd_products_are_refused_and_unknown_ones_are_not_found() {
    let harness = Harness::start().await;
    let unpriced = pb::PutProductRequest { unit_price: None, ..product("CUP", (1, "CNY"), 1) };
    let nameless = pb::PutProductRequest { name: " ".to_owned(), ..product("CUP", (1, "CNY"), 1) };
    for (odd, at_fault) in [
        (product("cup", (500, "CNY"), 1), "sku"),
        (product("CUP", (0, "CNY"), 1), "unit_price.amount"),
        (product("CUP", (100_000_000_000, "CNY"), 1), "unit_price.amount"),
        (product("CUP", (500, "CNY"), 1_000_000_001), "stock"),
        (unpriced, "unit_price"),
        (nameless, "name"),
    ] {
        let refusal = harness.put(odd).await.unwrap_err();
        assert_eq!((&*refusal.reason, fields(&refusal)), ("VALIDATION_FAILED", vec![at_fault]));
    }
    for currency in ["", "cny", "RMB"] {
        let refusal = harness.put(product("CUP", (500, currency), 1)).await;
        assert_eq!(code(refusal), "CURRENCY_INVALID");
    }
    let refusal = harness.product("CUP").await.unwrap_err();
    assert_eq!((refusal.reason.as_str(), refusal.kind), ("PRODUCT_NOT_FOUND", Kind::NotFound));
    assert_eq!(code(harness.product("no such sku").await), "VALIDATION_FAILED");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn of_administrators_who_put_a_product_at_once_one_creates_it() {
    let harness = Harness::start().await;
    let puts = (1..=8).map(|price| harness.put(product("CUP", (price, "CNY"), 1)));
    let answers = futures::future::join_all(puts).await;
    let created = answers.iter().filter(|answer| answer.as_ref().unwrap().created);
    assert_eq!(created.count(), 1);
    assert_eq!(harness.product("CUP").await.unwrap().version, 8);
    harness.finish().await;
}
