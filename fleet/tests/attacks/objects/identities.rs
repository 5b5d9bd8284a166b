//! Identities that are guessed, counted through, or none.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use fleet::harness::Api;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use uuid::Uuid;

use crate::support::problem::refused;
use crate::support::stage::Stage;
use crate::support::{order, raw, text};

/// How far the walk goes.
const STEPS: u128 = 10_000;
/// Requests at once.
const AT_ONCE: usize = 8;
/// `rate_limits.default` of the gateway: at once, per second, and taken ahead by one gateway.
const QUOTA: (u64, u64, u64) = (1_200, 20, 60);

/// Half of the walk counts from 1, as if identities were numbers; the other half counts on from a
/// real one.
pub(super) async fn a054_walk_through_identities(stage: &Stage) -> Result<()> {
    let (owner, walker) = (stage.user().await?, stage.user().await?);
    let real: Uuid = text(&order(&owner.api, "pm_ok").await?, "id")?.parse()?;
    let next: Uuid = text(&order(&owner.api, "pm_ok").await?, "id")?.parse()?;
    ensure!(real.get_version_num() == 7 && next.get_version_num() == 7, "{real} {next}");
    let apart = next.as_u128().abs_diff(real.as_u128()) & 0xffff_ffff_ffff_ffff;
    ensure!(apart > u128::from(u32::MAX), "the second half of an identity is not random");
    let start = Instant::now();
    let steps = stream::iter(1..=STEPS).map(|step| try_one(&walker.api, real, step));
    let answers = steps.buffered(AT_ONCE).try_collect::<Vec<_>>().await?;
    let answered = answers.iter().filter(|status| **status != 429).count() as u64;
    let (at_once, per_second, ahead) = QUOTA;
    let allowed = at_once + ahead + per_second * (1 + start.elapsed().as_secs());
    ensure!(answered <= allowed, "{answered} of {STEPS} were answered, {allowed} were allowed");
    let first = answers.iter().position(|status| *status == 429).context("never limited")?;
    ensure!(first as u64 >= at_once / 2, "limited after {first}, far below the quota");
    Ok(())
}

async fn try_one(api: &Api, real: Uuid, step: u128) -> Result<u16> {
    let (id, status, code) = if step.is_multiple_of(2) {
        (Uuid::from_u128(real.as_u128() + step).to_string(), 404, "ORDER_NOT_FOUND")
    } else {
        (step.to_string(), 400, "ID_INVALID")
    };
    let reply = api.get(&format!("/api/v1/orders/{id}")).await?;
    if reply.status == 429 {
        refused(&reply, 429, "RATE_LIMITED")?;
    } else {
        refused(&reply, status, code)?;
    }
    Ok(reply.status)
}

pub(super) async fn a055_odd_identities(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let token = user.api.token().context("no token")?;
    let bearer = format!("Bearer {token}");
    let nil = Uuid::nil().to_string();
    let id = Uuid::from_u128(u128::MAX / 3);
    let upper = id.to_string().to_uppercase();
    let odd: Vec<String> = [
        "0",
        "-1",
        "1",
        "1e3",
        "1.0",
        "+1",
        "0x1",
        "1;DROP",
        "1;DROP%20TABLE%20orders",
        "'%20OR%201=1",
        "%27%20OR%20%271%27=%271",
        "%2e%2e",
        "%2e%2e%2f",
        "..%2fadmin",
        "%00",
        "%0d%0aX:1",
        "%ff",
        "18446744073709551616",
        "340282366920938463463374607431768211456",
        "%F0%9F%90%89",
        "null",
        "undefined",
        "true",
        "me",
        "*",
        "%25",
        "$ne",
        "[object%20Object]",
        "{id}",
        "%7B%7D",
        "00000000-0000-0000-0000-00000000000",
        "00000000-0000-0000-0000-0000000000000",
        "00000000-0000-0000-0000-00000000000g",
        "00000000000000000000000000000001",
        "%7B00000000-0000-0000-0000-000000000001%7D",
        "urn:uuid:00000000-0000-0000-0000-000000000001",
        "00000000-0000-0000-0000-000000000001%20",
        "%2000000000-0000-0000-0000-000000000001",
        "00000000-0000-0000-0000-000000000001%00",
        "\u{ff10}",
        "%E2%80%8B1",
    ]
    .map(str::to_owned)
    .into();
    let ask = async |path: String| {
        let line = format!("GET {path}");
        let headers = [("authorization", bearer.as_bytes())];
        raw::ask(stage.gateway(0), &raw::request(&line, &headers, b"")).await
    };
    for place in ["/api/v1/orders/{}", "/api/v1/orders/{}/timeline", "/api/v1/payments/{}"] {
        for text in &odd {
            let reply = ask(place.replace("{}", text)).await.with_context(|| text.clone())?;
            refused(&reply, 400, "ID_INVALID").with_context(|| text.clone())?;
        }
        // Well formed, and of nobody.
        for text in [nil.as_str(), &upper, "ffffffff-ffff-ffff-ffff-ffffffffffff"] {
            let reply = ask(place.replace("{}", text)).await?;
            let missing = ["ORDER_NOT_FOUND", "PAYMENT_NOT_FOUND"].contains(&reply.code());
            ensure!(reply.status == 404 && missing, "{text}: {} {}", reply.status, reply.body);
        }
        let long = ask(place.replace("{}", &"a".repeat(4_000))).await?;
        refused(&long, 400, "ID_INVALID")?;
    }
    Ok(())
}
