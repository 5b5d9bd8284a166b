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

/// When one that was let through was sent, and when it was answered.
type Served = (Instant, Instant);

/// Asks `times` times, in turns at both gateways; which are let through.
async fn burst(gateways: &[Api], times: usize) -> Result<Vec<Served>> {
    let mut served = Vec::new();
    for number in 0..times {
        let sent = Instant::now();
        if attempt(&gateways[number % GATEWAYS]).await?.status != 429 {
            served.push((sent, Instant::now()));
        }
    }
    Ok(served)
}

/// The most that were let through within one window: each is counted between its two times.
fn fullest(served: &[Served]) -> usize {
    let within = |(first, (sent, _)): (usize, &Served)| {
        let end = *sent + WINDOW;
        served[first..].iter().take_while(|(_, answered)| *answered < end).count()
    };
    served.iter().enumerate().map(within).max().unwrap_or_default()
}

/// How long somebody has to wait whose quota is used up.
async fn wait_told_to(api: &Api) -> Result<Duration> {
    loop {
        let reply = attempt(api).await?;
        if reply.status == 429 {
            let pause: u64 = reply.header("retry-after").context("no Retry-After")?.parse()?;
            return Ok(Duration::from_secs(pause));
        }
    }
}

pub(super) async fn a129_quotas_of_two_gateways(stage: &Stage) -> Result<()> {
    let address = new_address();
    let gateways: Vec<Api> = (0..GATEWAYS)
        .map(|number| Api::bound_to(stage.gateway(number), address))
        .collect::<Result<_>>()?;
    let start = Instant::now();
    let mut served = burst(&gateways, LOGINS / 2).await?;
    ensure!(served.len() == LOGINS / 2, "half of the quota");
    // The other half at the end of the minute, and then over its edge.
    tokio::time::sleep_until((start + WINDOW.saturating_sub(SPAN * 4)).into()).await;
    let late = burst(&gateways, LOGINS).await?;
    let left = LOGINS / 2;
    ensure!(late.len() >= left, "{} were let through, of {left} left", late.len());
    tokio::time::sleep(wait_told_to(&gateways[0]).await?).await;
    // What comes back is what was asked in the first half; the second still counts.
    let over_the_edge = burst(&gateways, LOGINS).await?;
    ensure!(!over_the_edge.is_empty(), "nothing comes back");
    served.extend(late.into_iter().chain(over_the_edge));
    let most = fullest(&served);
    ensure!(most <= LOGINS, "{most} were let through within one window");
    Ok(())
}
