//! What the fleet can do without while it runs.

use anyhow::Result;
use fleet::middleware::Part;
use fleet::{Fleet, FleetOptions};

use crate::support::{order, read, text, until_told};

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn without_redis_and_consul_requests_go_on() -> Result<()> {
    let mut fleet = Fleet::start(FleetOptions::default()).await?;
    fleet.seed().await?;
    let customer = fleet.customer().await?;
    for lost in [Part::Redis, Part::Consul] {
        fleet.stop_server(lost).await?;
        for _ in 0..3 {
            let placed = order(&customer, "pm_ok").await?;
            let id = text(&placed, "id")?;
            assert_eq!(placed["status"], "PAID", "without {lost}");
            until_told(&fleet, &customer, "order.paid", &id).await?;
            assert_eq!(read(&customer, &id).await?["status"], "PAID", "without {lost}");
        }
        let reply = customer.get("/api/v1/products").await?;
        assert!(reply.header("ratelimit").is_some(), "limits go on without {lost}");
    }
    fleet.customer().await?;
    fleet.finish().await
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn a_fleet_that_never_had_redis_serves() -> Result<()> {
    let fleet = Fleet::start(FleetOptions::default().without_redis()).await?;
    fleet.seed().await?;
    let customer = fleet.customer().await?;
    assert_eq!(order(&customer, "pm_ok").await?["status"], "PAID");
    fleet.finish().await
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn a_service_that_is_away_takes_down_its_own_routes_only() -> Result<()> {
    let mut fleet = Fleet::start(FleetOptions::default()).await?;
    fleet.seed().await?;
    let customer = fleet.customer().await?;
    fleet.kill("auth-service", 0)?;
    fleet.kill("notify-service", 0)?;
    let id = text(&order(&customer, "pm_ok").await?, "id")?;
    let refused = customer.get("/api/v1/notifications").await?;
    assert_eq!((refused.status, refused.code()), (503, "SERVICE_UNAVAILABLE"));
    assert!(refused.header("retry-after").is_some());
    fleet.restart("auth-service", 0).await?;
    fleet.restart("notify-service", 0).await?;
    fleet
        .eventually("the restarted service being found", || async {
            let reply = customer.get("/api/v1/notifications").await?;
            Ok((reply.status == 200).then_some(()))
        })
        .await?;
    until_told(&fleet, &customer, "order.paid", &id).await?;
    fleet.finish().await
}
