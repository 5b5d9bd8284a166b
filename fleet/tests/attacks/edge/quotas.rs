//! How often anybody may ask, wherever he asks and whatever he says about himself.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fleet::harness::{Api, Reply};
use reqwest::Method;

use crate::support::problem::refused;
use crate::support::stage::{GATEWAYS, Stage, new_address};

use super::LOGIN;

/// `rate_limits.login.requests`.
const LOGINS: usize = 30;
/// `rate_limits.login.window_s`, and the span that is forgotten late.
const WINDOW: Duration = Duration::from_mins(1);
const SPAN: Duration = Duration::from_secs(3);

pub(super) async fn a125_invented_addresses(stage: &Stage) -> Result<()> {
    let visitor = stage.visitor()?;
    let mut served = 0;
    for number in 0..1_000_u32 {
        let invented = format!("198.51.{}.{}", number / 250, number % 250 + 1);
        let ask = visitor
            .request(Method::POST, LOGIN)
            .header("content-type", "application/json")
            .header("x-forwarded-for", &invented)
            .header("forwarded", format!("for={invented}"))
            .header("x-real-ip", &invented)
            .header("true-client-ip", &invented)
            .body("{");
        let reply = visitor.send(ask).await?;
        if reply.status == 429 {
            refused(&reply, 429, "RATE_LIMITED")?;
        } else {
            refused(&reply, 400, "JSON_INVALID")?;
            served += 1;
        }
    }
    // It took longer than a window at most a few times.
    ensure!((LOGINS..=LOGINS * 4).contains(&served), "{served} of 1,000 were let through");
    Ok(())
}

/// Asks once, and checks what the answer says of the quota.
async fn attempt(api: &Api) -> Result<Reply> {
    let ask = api.request(Method::POST, LOGIN).header("content-type", "application/json").body("{");
    let reply = api.send(ask).await?;
    ensure!(reply.header("ratelimit-policy") == Some("\"login\";q=30;w=60"), "{:?}", reply.headers);
    if reply.status == 429 {
        refused(&reply, 429, "RATE_LIMITED")?;
        ensure!(told(&reply, "r")? == 0, "{:?}", reply.headers);
        let pause: u64 = reply.header("retry-after").context("no Retry-After")?.parse()?;
        ensure!((1..=(WINDOW + SPAN).as_secs()).contains(&pause), "{pause}");
        ensure!(told(&reply, "t")? <= (WINDOW + SPAN).as_secs(), "{:?}", reply.headers);
    } else {
        refused(&reply, 400, "JSON_INVALID")?;
    }
    Ok(reply)
}

/// A parameter of the header `RateLimit`.
fn told(reply: &Reply, name: &str) -> Result<u64> {
    let header = reply.header("ratelimit").context("no RateLimit")?;
    let mut parameters = header.split(';').filter_map(|part| part.split_once('='));
    let value = parameters.find(|(known, _)| *known == name).with_context(|| header.to_owned())?.1;
    Ok(value.parse()?)
}

/// Asks `times` times, in turns at both gateways; how many are let through.
async fn burst(gateways: &[Api], times: usize) -> Result<usize> {
    let mut served = 0;
    for number in 0..times {
        served += usize::from(attempt(&gateways[number % GATEWAYS]).await?.status != 429);
    }
    Ok(served)
}

pub(super) async fn a129_quotas_of_two_gateways(stage: &Stage) -> Result<()> {
    let address = new_address();
    let gateways: Vec<Api> = (0..GATEWAYS)
        .map(|number| Api::bound_to(stage.gateway(number), address))
        .collect::<Result<_>>()?;
    let start = Instant::now();
    ensure!(burst(&gateways, LOGINS / 2).await? == LOGINS / 2, "half of the quota");
    // The other half at the end of the minute, and then over its edge.
    tokio::time::sleep_until((start + WINDOW.saturating_sub(SPAN * 4)).into()).await;
    let late = Instant::now();
    let served = burst(&gateways, LOGINS).await?;
    ensure!(served == LOGINS / 2, "{served} were let through, of {} left", LOGINS / 2);
    let refusal = attempt(&gateways[0]).await?;
    let pause: u64 = refusal.header("retry-after").context("no Retry-After")?.parse()?;
    tokio::time::sleep(Duration::from_secs(pause)).await;
    // What comes back is what was asked in the first half; the second still counts.
    let served = burst(&gateways, LOGINS).await?;
    ensure!(late.elapsed() < WINDOW, "the machine is too slow to try the edge");
    ensure!((1..=LOGINS / 2).contains(&served), "{served} were let through over the edge");
    Ok(())
}
