//! Products and orders.

use anyhow::Result;
use fleet::harness::Reply;
use fleet::harness::api::new_key;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Stage, UNPAID};
use crate::support::{TEA, order, step, text};

pub(super) async fn produce(stage: &mut Stage) -> Result<()> {
    products(stage).await?;
    baskets(stage).await?;
    unpaid(stage).await?;
    states(stage).await
}

async fn products(stage: &mut Stage) -> Result<()> {
    let Stage { visitor, admin, seen, .. } = stage;
    seen.expect(&visitor.get("/api/v1/products/NONE-001").await?, "PRODUCT_NOT_FOUND")?;
    let put = async |sku: &str, amount: u64, currency: &str| {
        let price = json!({"amount": amount, "currency": currency});
        let body = json!({"name": "Odd", "unit_price": price, "stock": 100_000});
        admin.put(&format!("/api/v1/products/{sku}"), &body).await
    };
    seen.expect(&put("ODD-001", 1, "XXX").await?, "CURRENCY_INVALID")?;
    put("DOLLAR-001", 500, "USD").await?.require(201)?;
    put("GOLD-001", 99_999_999_999, "CNY").await?.require(201)?;
    Ok(())
}

async fn baskets(stage: &mut Stage) -> Result<()> {
    let basket = async |items: Value, method: &str| -> Result<Reply> {
        let body = json!({"items": items, "payment_method": method});
        stage.customer.post_once("/api/v1/orders", &new_key(), &body).await
    };
    let line = |sku: &str, quantity: u32| json!({"sku": sku, "quantity": quantity});
    let several = json!([line(TEA, 1), line("DOLLAR-001", 1)]);
    for (items, method, code) in [
        (json!([line("NONE-001", 1)]), "pm_ok", "PRODUCT_UNKNOWN"),
        (json!([line("TRAY-001", 501)]), "pm_ok", "OUT_OF_STOCK"),
        (several, "pm_ok", "CURRENCY_MIXED"),
        (json!([line("GOLD-001", 2)]), "pm_ok", "AMOUNT_OUT_OF_RANGE"),
        (json!([line(TEA, 1)]), "4111111111111111", "PAYMENT_METHOD_INVALID"),
    ] {
        stage.seen.expect(&basket(items, method).await?, code)?;
    }
    Ok(())
}

async fn unpaid(stage: &mut Stage) -> Result<()> {
    let hoarder = stage.fleet.customer().await?;
    for _ in 0..UNPAID.parse::<u32>()? {
        order(&hoarder, "pm_declined").await?;
    }
    stage.seen.expect(&hoarder.order(TEA, 1, "pm_declined").await?, "QUOTA_EXCEEDED")
}

async fn states(stage: &mut Stage) -> Result<()> {
    let Stage { customer, seen, .. } = stage;
    let nothing = format!("/api/v1/orders/{}", Uuid::from_u128(1));
    seen.expect(&customer.get(&nothing).await?, "ORDER_NOT_FOUND")?;
    let paid = text(&order(customer, "pm_ok").await?, "id")?;
    let refused = step(customer, &paid, "cancel", &json!({})).await?;
    seen.expect(&refused, "ORDER_STATE_CONFLICT")?;
    let pending = text(&order(customer, "pm_never").await?, "id")?;
    let refused = step(customer, &pending, "pay", &json!({"payment_method": "pm_ok"})).await?;
    seen.expect(&refused, "PAYMENT_IN_PROGRESS")
}
