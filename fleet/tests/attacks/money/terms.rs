//! Whoever names prices: the shop does.

use anyhow::{Result, ensure};
use fleet::harness::api::new_key;
use serde_json::json;

use super::place;
use crate::callbacks::provider::{Notice, send};
use crate::support::problem::refused;
use crate::support::stage::Stage;
use crate::support::{order, read, text};

pub(super) async fn a085_prices_named_by_clients(stage: &Stage) -> Result<()> {
    let (user, admin) = (stage.user().await?, stage.admin().await?);
    let sell = async |amount: u64, currency: &str| {
        let price = json!({"amount": amount, "currency": currency});
        let body = json!({"name": "Lamp", "unit_price": price, "stock": 100});
        admin.put("/api/v1/products/LAMP-085", &body).await?.require_any(&[200, 201])
    };
    sell(5_000, "CNY").await?;
    for named in [
        json!({"sku": "LAMP-085", "quantity": 1, "price": 1}),
        json!({"sku": "LAMP-085", "quantity": 1, "unit_price": {"amount": 1, "currency": "CNY"}}),
        json!({"sku": "LAMP-085", "quantity": 1, "unit_price": {"amount": 5_000, "currency": "CNY"}}),
        json!({"sku": "LAMP-085", "quantity": 1, "currency": "JPY"}),
    ] {
        let body = json!({"items": [named], "payment_method": "pm_ok"}).to_string();
        refused(&place(&user.api, body).await?, 422, "UNKNOWN_FIELD")?;
    }
    let body = json!({"items": [{"sku": "LAMP-085", "quantity": 3}], "payment_method": "pm_ok"});
    let placed = place(&user.api, body.to_string()).await?.require(201)?;
    ensure!(placed["total"] == json!({"amount": 15_000, "currency": "CNY"}), "{placed}");
    // A later price neither changes what was ordered, nor is an earlier one remembered.
    sell(7_000, "CNY").await?;
    let dearer = place(&user.api, body.to_string()).await?.require(201)?;
    ensure!(dearer["total"]["amount"] == 21_000, "{dearer}");
    let kept = read(&user.api, &text(&placed, "id")?).await?;
    ensure!(kept["total"]["amount"] == 15_000, "{kept}");
    Ok(())
}

pub(super) async fn a086_payments_of_other_amounts(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let placed = order(&user.api, "pm_declined").await?;
    let id = text(&placed, "id")?;
    let path = format!("/api/v1/orders/{id}/pay");
    for (member, value) in [
        ("amount", json!(1)),
        ("amount", placed["total"]["amount"].clone()),
        ("currency", json!("JPY")),
        ("total", json!({"amount": 1, "currency": "CNY"})),
        ("price", json!(0)),
    ] {
        let body = json!({"payment_method": "pm_ok", member: value});
        refused(&user.api.post_once(&path, &new_key(), &body).await?, 422, "UNKNOWN_FIELD")?;
    }
    ensure!(read(&user.api, &id).await? == placed, "the order has changed");
    // The provider cannot settle it for another amount or currency either.
    let waiting = order(&user.api, "pm_never").await?;
    for (amount, currency) in
        [(1, "CNY"), (12_801, "CNY"), (12_800, "USD"), (12_800, "cny"), (-12_800, "CNY")]
    {
        let notice = Notice { amount, currency, ..Notice::success_of(&waiting)? };
        refused(&send(stage, &notice.body()).await?, 409, "AMOUNT_MISMATCH")?;
    }
    let after = read(&user.api, &text(&waiting, "id")?).await?;
    ensure!(after["status"] == "CREATED", "{after}");
    Ok(())
}
