//! When a revocation has reached every gateway, and what it outlives.

use anyhow::{Context, Result, ensure};
use fleet::harness::api::new_email;
use fleet::middleware::Part;
use fleet::{Fleet, FleetOptions};
use tokio::time::Instant;

use super::{PATH, login, logout, until_refused};
use crate::support::stage::{PASSWORD, Stage};

/// With Redis gone, a gateway refuses what ended at another one within five seconds.
pub(crate) async fn revocations_reach_every_gateway_without_redis(_: &Stage) -> Result<()> {
    let options = FleetOptions::default().replicas("gateway-service", 2);
    let mut fleet = Fleet::start(options).await?;
    fleet.stop_server(Part::Redis).await?;
    let gateways = fleet.gateway_urls();
    let visitor = fleet.http()?;
    let email = new_email();
    visitor.register(&email, PASSWORD, "Customer").await?.require(201)?;
    for _ in 0..3 {
        let pair = login(&visitor, &email).await?;
        let [one, other] = [0, 1].map(|at| visitor.at(&gateways[at]).with_token(&pair.access));
        for api in [&one, &other] {
            api.get(PATH).await?.require(200)?;
        }
        logout(&one).await?.require(204)?;
        until_refused(&other, "TOKEN_REVOKED", Instant::now()).await?;
    }
    fleet.finish().await
}

/// What was revoked stays revoked after FLUSHALL, after a restart of auth-service and of the gateway,
/// and at a gateway that starts while auth-service is away, which also knows the keys.
pub(crate) async fn revocations_outlive_redis_and_restarts(_: &Stage) -> Result<()> {
    let mut fleet = Fleet::start(FleetOptions::default()).await?;
    let (visitor, email) = (fleet.http()?, new_email());
    visitor.register(&email, PASSWORD, "Customer").await?.require(201)?;
    let (ended, good) = (login(&visitor, &email).await?, login(&visitor, &email).await?);
    let [ended, good] = [ended, good].map(|pair| visitor.with_token(pair.access));
    logout(&ended).await?.require(204)?;
    until_refused(&ended, "TOKEN_REVOKED", Instant::now()).await?;
    let both = async |what: &str| -> Result<()> {
        ensure!(ended.get(PATH).await?.code() == "TOKEN_REVOKED", "{what}: the ended one");
        good.get(PATH).await?.require(200).context(what.to_owned())?;
        Ok(())
    };
    flush_all(&fleet.addresses().redis).await?;
    both("after FLUSHALL").await?;
    fleet.kill("auth-service", 0)?;
    fleet.restart("auth-service", 0).await?;
    both("after a crash of auth-service").await?;
    fleet.terminate("gateway-service", 0).await?;
    fleet.restart("gateway-service", 0).await?;
    both("after a restart of the gateway").await?;
    fleet.terminate("auth-service", 0).await?;
    fleet.kill("gateway-service", 0)?;
    fleet.restart("gateway-service", 0).await?;
    both("at a gateway without auth-service").await?;
    fleet.restart("auth-service", 0).await?;
    both("after all is well").await?;
    fleet.finish().await
}

async fn flush_all(url: &str) -> Result<()> {
    let client = redis::Client::open(url)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await?;
    Ok(())
}
