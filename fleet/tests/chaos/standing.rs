//! When a fleet is over: nothing is under way, and nothing will come by itself.

use std::time::Duration;

use anyhow::{Context, Result};
use fleet::chaos::standing::Standing;
use fleet::{Fleet, FleetOptions, seed};

/// How long what must happen may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn a_fleet_with_an_unpaid_order_is_at_rest_and_not_at_its_end() -> Result<()> {
    let _turn = super::turn().await;
    let fleet = Fleet::start(FleetOptions::default().own_broker()).await?;
    fleet.seed().await?;
    let customer = fleet.customer().await?;
    let order = customer.order(seed::DEMO_SKU, 1, "pm_declined").await?.require_any(&[201, 202])?;
    let id = order["id"].as_str().context("an order without an id")?;
    let settled = Standing::settle(&fleet, None, PATIENCE).await?;
    assert!(settled.is_ok(), "{settled:?}");
    let unpaid = Standing::end(&fleet, None, Duration::ZERO).await?.unwrap_err();
    assert!(unpaid.0.contains(&("unpaid orders".to_owned(), 1)), "{unpaid}");

    // Its time runs out.
    sqlx::query("UPDATE orders SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 MINUTE")
        .execute(&mut fleet.database("order-service").await?)
        .await?;
    let ended = Standing::end(&fleet, None, PATIENCE).await?;
    assert!(ended.is_ok(), "{ended:?}");
    let reply = customer.get(&format!("/api/v1/orders/{id}")).await?.require(200)?;
    assert_eq!(reply["status"], "EXPIRED");
    fleet.finish().await
}
