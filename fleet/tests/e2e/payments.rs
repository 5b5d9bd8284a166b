//! What becomes of an order under each method of the simulated provider.

use anyhow::Result;
use fleet::harness::api::new_key;
use fleet::{Fleet, FleetOptions};
use serde_json::json;

use crate::support::{TEA, order, read, step, stock, text, until_status, until_told};

/// The provider answers late to nobody's harm: what it leaves open is asked about soon.
fn options() -> FleetOptions {
    FleetOptions::default()
        .setting("EH_PAYMENT__PROVIDER__TIMEOUT_MS", "2300")
        .setting("EH_ORDER__WORKERS__RECHECK_AFTER_MS", "2000")
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn every_method_comes_to_its_end() -> Result<()> {
    let fleet = Fleet::start(options()).await?;
    fleet.seed().await?;
    let customer = fleet.customer().await?;
    for (method, status, at_once, in_the_end) in [
        ("pm_ok", 201, "PAID", "PAID"),
        ("pm_declined", 201, "PAYMENT_FAILED", "PAYMENT_FAILED"),
        ("pm_insufficient_funds", 201, "PAYMENT_FAILED", "PAYMENT_FAILED"),
        ("pm_pending_then_ok", 202, "CREATED", "PAID"),
        ("pm_pending_then_failed", 202, "CREATED", "PAYMENT_FAILED"),
        ("pm_timeout", 202, "CREATED", "PAID"),
        ("pm_duplicate_callback", 201, "PAID", "PAID"),
        ("pm_slow_2s", 201, "PAID", "PAID"),
    ] {
        let placed = customer.order(TEA, 1, method).await?;
        assert_eq!(placed.status, status, "{method}: {}", placed.body);
        assert_eq!(placed.body["status"], at_once, "{method}");
        let id = text(&placed.body, "id")?;
        let settled = until_status(&fleet, &customer, &id, in_the_end).await?;
        assert_eq!(settled["version"], 2, "{method}: {settled}");
        let event = if in_the_end == "PAID" { "order.paid" } else { "order.payment_failed" };
        assert_eq!(until_told(&fleet, &customer, event, &id).await?.len(), 1, "{method}");
    }
    fleet.finish().await
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn an_order_goes_through_its_whole_life() -> Result<()> {
    let fleet = Fleet::start(options()).await?;
    fleet.seed().await?;
    let (customer, admin) = (fleet.customer().await?, fleet.admin().await?);

    let declined = order(&customer, "pm_declined").await?;
    let id = text(&declined, "id")?;
    assert_eq!(declined["failure_reason"], "card_declined");
    let paid = step(&customer, &id, "pay", &json!({"payment_method": "pm_ok"})).await?;
    assert_eq!(paid.require(200)?["status"], "PAID");
    for (action, status) in [("ship", "SHIPPED"), ("complete", "COMPLETED")] {
        let moved = admin.post(&format!("/api/v1/orders/{id}/{action}"), &json!({})).await?;
        assert_eq!(moved.require(200)?["status"], status);
        until_told(&fleet, &customer, &format!("order.{}", status.to_lowercase()), &id).await?;
    }

    let before = stock(&customer, TEA).await?;
    let unpaid = text(&order(&customer, "pm_declined").await?, "id")?;
    let cancelled = step(&customer, &unpaid, "cancel", &json!({})).await?.require(200)?;
    assert_eq!(cancelled["status"], "CANCELLED");
    assert_eq!(stock(&customer, TEA).await?, before);

    let paid = text(&order(&customer, "pm_ok").await?, "id")?;
    let refunding = step(&customer, &paid, "refund", &json!({})).await?.require_any(&[200, 202])?;
    assert!(["REFUNDING", "REFUNDED"].map(|s| json!(s)).contains(&refunding["status"]));
    let refunded = until_status(&fleet, &customer, &paid, "REFUNDED").await?;
    let payment = format!("/api/v1/payments/{}", text(&refunded, "payment_id")?);
    let payment = customer.get(&payment).await?.require(200)?;
    assert_eq!(payment["status"], "REFUNDED");
    assert_eq!(payment["refunds"].as_array().map(Vec::len), Some(1));
    until_told(&fleet, &customer, "order.refunded", &paid).await?;
    fleet.finish().await
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn the_same_key_orders_once() -> Result<()> {
    let fleet = Fleet::start(options()).await?;
    fleet.seed().await?;
    let customer = fleet.customer().await?;
    let before = stock(&customer, TEA).await?;
    let (key, body) =
        (new_key(), json!({"items": [{"sku": TEA, "quantity": 1}], "payment_method": "pm_ok"}));
    let replies = futures::future::try_join_all(
        (0..10).map(|_| customer.post_once("/api/v1/orders", &key, &body)),
    )
    .await?;
    for reply in &replies {
        let is_known =
            matches!((reply.status, reply.code()), (201, _) | (409, "IDEMPOTENCY_IN_PROGRESS"));
        assert!(is_known, "{} {}", reply.status, reply.body);
    }
    let replayed = customer.post_once("/api/v1/orders", &key, &body).await?;
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
    let id = text(&replayed.require(201)?, "id")?;
    assert_eq!(read(&customer, &id).await?["status"], "PAID");
    assert_eq!(stock(&customer, TEA).await?, before - 1);
    let orders = customer.get("/api/v1/orders").await?.require(200)?;
    assert_eq!(orders["items"].as_array().map(Vec::len), Some(1));
    fleet.finish().await
}
