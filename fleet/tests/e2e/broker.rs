//! The broker goes away and comes back.

use anyhow::Result;
use fleet::{Fleet, FleetOptions};

use crate::support::{order, read, text, told, until_told};

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn without_the_broker_orders_are_paid_and_the_notification_is_late() -> Result<()> {
    let mut fleet = Fleet::start(FleetOptions::default().own_broker()).await?;
    fleet.seed().await?;
    let customer = fleet.customer().await?;
    let first = text(&order(&customer, "pm_ok").await?, "id")?;
    until_told(&fleet, &customer, "order.paid", &first).await?;

    fleet.stop_broker().await?;
    let placed = order(&customer, "pm_ok").await?;
    let id = text(&placed, "id")?;
    assert_eq!(placed["status"], "PAID");
    assert_eq!(waiting_events(&fleet, &id).await?, 2);
    assert!(told(&customer, "order.paid", &id).await?.is_empty());
    // A process that starts now must not wait for the broker either.
    fleet.kill("order-service", 0)?;
    fleet.restart("order-service", 0).await?;
    let found = fleet
        .eventually("the restarted service being found", || async {
            Ok(read(&customer, &id).await.ok())
        })
        .await?;
    assert_eq!(found["status"], "PAID");

    fleet.start_broker().await?;
    assert_eq!(until_told(&fleet, &customer, "order.paid", &id).await?.len(), 1);
    assert_eq!(until_told(&fleet, &customer, "order.created", &id).await?.len(), 1);
    let later = text(&order(&customer, "pm_ok").await?, "id")?;
    until_told(&fleet, &customer, "order.paid", &later).await?;
    assert_eq!(told(&customer, "order.paid", &id).await?.len(), 1);
    fleet.finish().await
}

/// Events about an order that lie in the outbox.
async fn waiting_events(fleet: &Fleet, order: &str) -> Result<i64> {
    let mut connection = fleet.database("order-service").await?;
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM outbox WHERE INSTR(event_id, ?) > 0")
        .bind(order)
        .fetch_one(&mut connection)
        .await?;
    Ok(count)
}
