//! Identities that are guessed, counted through, or none.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use fleet::harness::api::new_key;
use fleet::harness::{Api, Reply};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::json;
use uuid::Uuid;

use crate::support::contract::{Operation, Who, operations};
use crate::support::problem::refused;
use crate::support::schema::Schemas;
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

/// What is no identity, as it stands in a path.
const ODD: [&str; 41] = [
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
];

/// Whoever is asked for by this word is the caller.
const CALLER: (&str, &str) = ("/api/v1/users/{id}", "me");

/// Asks an operation for something by this text in its path, as it is.
async fn ask(
    stage: &Stage,
    (operation, body): (&Operation, &str),
    token: &str,
    text: &str,
) -> Result<Reply> {
    let line = format!("{} {}", operation.method, operation.path_of(text));
    let (bearer, key) = (format!("Bearer {token}"), new_key());
    let headers = [
        ("authorization", bearer.as_bytes()),
        ("idempotency-key", key.as_bytes()),
        ("content-type", b"application/json".as_slice()),
    ];
    let request = raw::request(&line, &headers, body.as_bytes());
    let reply = raw::ask(stage.gateway(0), &request).await;
    reply.with_context(|| format!("{line:.120}"))
}

/// A token of somebody who may use the operation. Quotas are counted by user.
fn token_for(stage: &Stage, operation: &Operation) -> String {
    let role = if operation.who == Who::Admin { "admin" } else { "customer" };
    let somebody = Uuid::from_u128(rand::random());
    stage.forger(somebody).with_claims(json!({"roles": [role]}))
}

/// Every operation with an identity in its path refuses what is none, and finds nothing by one of
/// nobody.
pub(super) async fn a055_odd_identities(stage: &Stage) -> Result<()> {
    let visitor = stage.visitor()?;
    let schemas = Schemas::read(&visitor).await?;
    let (user, admin) = (stage.user().await?.api, stage.admin().await?);
    let long = "a".repeat(4_000);
    let nil = Uuid::nil().to_string();
    let upper = Uuid::from_u128(u128::MAX / 5 * 4).to_string().to_uppercase();
    let all = operations(&visitor).await?;
    let placed: Vec<_> = all.iter().filter(|one| one.path.contains("{id}")).collect();
    ensure!(placed.len() >= 18, "only {} operations have an identity in the path", placed.len());
    for operation in placed {
        let what = |text: &str| format!("{} {} {text:.50}", operation.method, operation.path);
        let body = operation.has_body.then(|| schemas.sample_for(operation).to_string());
        let asked = (operation, body.as_deref().unwrap_or_default());
        let (path, word) = CALLER;
        let is_word = |text: &str| text == word && operation.path.starts_with(path);
        for text in ODD.into_iter().chain([long.as_str()]).filter(|text| !is_word(text)) {
            let reply = ask(stage, asked, &token_for(stage, operation), text).await?;
            refused(&reply, 400, "ID_INVALID").with_context(|| what(text))?;
        }
        // Well formed, and of nobody.
        let caller = if operation.who == Who::Admin { &admin } else { &user };
        let token = caller.token().context("no token")?;
        for text in [nil.as_str(), &upper, "ffffffff-ffff-ffff-ffff-ffffffffffff"] {
            let reply = ask(stage, asked, token, text).await?;
            refused(&reply, 404, reply.code()).with_context(|| what(text))?;
            ensure!(reply.code() != "ROUTE_NOT_FOUND", "{}: not served", what(text));
        }
    }
    Ok(())
}
