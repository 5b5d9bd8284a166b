//! When a revocation has reached every gateway, and what it outlives.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleet::harness::api::new_email;
use fleet::middleware::Part;
use fleet::{Fleet, FleetOptions};
use tokio::time::Instant;

use super::{PATH, counts_bells, login, logout, until_refused};
use crate::support::stage::{PASSWORD, Stage};
use crate::support::{PATIENCE, counted_at};

/// What is promised while Redis carries the bell: from the answer to a logout until every gateway
/// refuses.
const BOUND_BY_BELL: Duration = Duration::from_secs(1);
/// Logouts that are tried: one could be in time by the pace at which gateways look anyhow.
const ROUNDS: usize = 5;
/// Of which so many are in time. One may meet a machine that has other things to do for a second; that the
/// gateway was rung is what each of them proves.
const ROUNDS_IN_TIME: usize = 4;

/// With Redis there, a gateway refuses what ended at another one within a second, because it is rung:
/// by itself it looks every three.
pub(crate) async fn a019_logout_at_the_other_gateway_within_a_second(_: &Stage) -> Result<()> {
    let options = FleetOptions::default()
        .replicas("gateway-service", 2)
        .setting("EH_GATEWAY__REVOCATIONS__RESYNC_MS", "3000");
    let mut fleet = Fleet::start(options).await?;
    let metrics = fleet.internal_url("gateway-service", 1)?;
    let (gateways, visitor, email) = (fleet.gateway_urls(), fleet.http()?, new_email());
    visitor.register(&email, PASSWORD, "Customer").await?.require(201)?;
    let mut took = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let pair = login(&visitor, &email).await?;
        let [one, other] = [0, 1].map(|at| visitor.at(&gateways[at]).with_token(&pair.access));
        for api in [&one, &other] {
            api.get(PATH).await?.require(200)?;
        }
        let heard = counted_at(&metrics, counts_bells).await?;
        logout(&one).await?.require(204)?;
        let ended = Instant::now();
        until_refused(&other, "TOKEN_REVOKED", ended).await?;
        took.push(ended.elapsed());
        fleet::wait::until("the bell being counted", PATIENCE, || async {
            Ok((counted_at(&metrics, counts_bells).await? > heard).then_some(()))
        })
        .await?;
    }
    println!("refused at the other gateway after {took:?}");
    let in_time = took.iter().filter(|took| **took <= BOUND_BY_BELL).count();
    ensure!(in_time >= ROUNDS_IN_TIME, "{in_time} of {ROUNDS} within a second: {took:?}");
    fleet.finish().await
}

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
