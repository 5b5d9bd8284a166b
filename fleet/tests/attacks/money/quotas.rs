//! How much one user may order, and on what a change is based.

use std::time::Instant;

use anyhow::{Result, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use serde_json::json;

use crate::support::TEA;
use crate::support::problem::refused;
use crate::support::stage::{GATEWAYS, Stage};

/// Orders that are tried.
const ORDERS: usize = 1_000;
/// Requests at once.
const AT_ONCE: usize = 8;
/// `rate_limits.payment` of the gateway: at once, and per second.
const QUOTA: (u64, u64) = (120, 2);
/// `orders.open_per_user_max` of order-service. Orders of one product see each other, also those that
/// are placed at the same time.
const UNPAID: usize = 100;

pub(super) async fn a092_very_many_unpaid_orders(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let apis: Vec<_> = (0..GATEWAYS).map(|number| user.api.at(stage.gateway(number))).collect();
    let start = Instant::now();
    let orders = stream::iter(0..ORDERS).map(|n| apis[n % apis.len()].order(TEA, 1, "pm_declined"));
    let replies = orders.buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
    let elapsed = start.elapsed();
    let (mut placed, mut too_many) = (0, 0);
    for reply in &replies {
        match (reply.status, reply.code()) {
            (201, _) => placed += 1,
            (_, "QUOTA_EXCEEDED") => {
                refused(reply, 429, "QUOTA_EXCEEDED")?;
                too_many += 1;
            }
            _ => refused(reply, 429, "RATE_LIMITED")?,
        }
    }
    let (at_once, per_second) = QUOTA;
    let (asked, allowed) = (placed + too_many, at_once + per_second * (1 + elapsed.as_secs()));
    ensure!(u64::try_from(asked)? <= allowed, "{asked} in {elapsed:?}, {allowed} were allowed");
    ensure!(asked < ORDERS, "no request was too many in {elapsed:?}");
    ensure!(placed == UNPAID, "{placed} of {asked} orders are unpaid");
    ensure!(too_many > 0, "no order was too many");
    // What was refused left nothing behind.
    let stored: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM orders WHERE user_id = ?")
        .bind(user.id)
        .fetch_one(&mut stage.database("order-service").await?)
        .await?;
    ensure!(stored == i64::try_from(placed)?, "{stored} orders are stored, {placed} were placed");
    Ok(())
}

pub(super) async fn a093_stale_versions(stage: &Stage) -> Result<()> {
    let (user, other) = (stage.user().await?, stage.user().await?);
    let path = "/api/v1/users/me";
    let change = async |tag: &str, name: &str| {
        let request = user.api.request(Method::PATCH, path).header("if-match", tag);
        user.api.send(request.json(&json!({"display_name": name}))).await
    };
    let tag_of =
        |reply: &fleet::harness::Reply| reply.header("etag").unwrap_or_default().to_owned();
    let first = tag_of(&user.api.get(path).await?);
    let foreign = tag_of(&other.api.get(path).await?);
    let changed = change(&first, "Second").await?;
    let second = tag_of(&changed);
    changed.require(200)?;
    ensure!(first != second && !second.is_empty(), "{first} {second}");
    for stale in [
        first.as_str(),
        &foreign,
        &format!("W/{second}"),
        "\"\"",
        "\"v1\"",
        &format!("{first}, {second}"),
        "\"999999999999999999999\"",
    ] {
        refused(&change(stale, "Third").await?, 412, "VERSION_MISMATCH")?;
    }
    for no_tag in ["", "0", "1", &second.replace('"', ""), "**"] {
        refused(&change(no_tag, "Third").await?, 400, "IF_MATCH_INVALID")?;
    }
    // What else is wrong goes first, so that nobody reads again for nothing.
    for tag in [first.as_str(), &foreign] {
        refused(&change(tag, "Third\u{202E}").await?, 422, "VALIDATION_FAILED")?;
    }
    let me = user.api.get(path).await?.require(200)?;
    ensure!(me["display_name"] == "Second", "{me}");
    // Of two changes based on the same version, one is made.
    let (one, two) = tokio::try_join!(change(&second, "One"), change(&second, "Two"))?;
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    ensure!(statuses == [200, 412], "{statuses:?}");
    Ok(())
}
