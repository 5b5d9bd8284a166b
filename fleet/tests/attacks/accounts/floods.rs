//! Many at once.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fleet::harness::Api;
use fleet::harness::api::new_email;
use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _};

use super::try_login;
use crate::support::problem::refused;
use crate::support::stage::{PASSWORD, Stage};

/// Registrations at once.
const REGISTRATIONS: usize = 100;
/// Logins of the flood.
const FLOOD: usize = 600;
/// Logins of the flood at once; far more than are answered in the time of one.
const FLOOD_AT_ONCE: usize = 64;
/// Requests of the others that are timed.
const SAMPLES: usize = 200;
/// What a slow answer may take although all is well: a machine that does other things is no reason to
/// fail.
const ALLOWANCE: Duration = Duration::from_millis(250);

pub(super) async fn a039_one_address_a_hundred_times_at_once(stage: &Stage) -> Result<()> {
    let email = new_email();
    let spellings = [email.clone(), email.to_uppercase(), email.replace("example", "Example")];
    let visitors: Vec<Api> = (0..REGISTRATIONS)
        .map(|n| Ok(stage.visitor()?.at(stage.gateway(n))))
        .collect::<Result<_>>()?;
    let register = |(n, api): (usize, &Api)| {
        let (api, email) = (api.clone(), spellings[n % spellings.len()].clone());
        async move { api.register(&email, PASSWORD, "Li").await }
    };
    let replies = try_join_all(visitors.iter().enumerate().map(register)).await?;
    let made = replies.iter().filter(|reply| reply.status == 201).count();
    ensure!(made == 1, "{made} accounts of one address");
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        refused(reply, 409, "ACCOUNT_EXISTS")?;
    }
    let stored: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM users WHERE email_normalized = ?")
        .bind(email.to_lowercase())
        .fetch_one(&mut stage.database("user-service").await?)
        .await?;
    ensure!(stored == 1, "{stored} rows");
    Ok(())
}

pub(super) async fn a040_a_flood_of_logins(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let before = p99(&user.api).await?;
    let flood = async {
        let flooder = stage.visitor()?;
        let logins =
            stream::iter(0..FLOOD).map(|n| {
                let api = flooder.clone();
                async move {
                    try_login(&api, &format!("flood{n}@example.com"), "a wrong password").await
                }
            });
        let begun = Instant::now();
        let replies: Vec<_> = logins.buffer_unordered(FLOOD_AT_ONCE).collect().await;
        Ok::<_, anyhow::Error>((replies, begun.elapsed()))
    };
    let (flooded, during) = futures::future::join(flood, p99(&user.api)).await;
    let ((replies, elapsed), during) = (flooded?, during?);
    let mut refusals = 0;
    for reply in replies {
        let reply = reply?;
        ensure!([401, 429, 503].contains(&reply.status), "{} {}", reply.status, reply.body);
        refusals += usize::from(reply.status != 401);
    }
    ensure!(refusals > FLOOD / 2, "{refusals} of {FLOOD} were refused in {elapsed:?}");
    println!(
        "p99 of the others: {before:?} before, {during:?} during {FLOOD} logins in {elapsed:?}"
    );
    let bound = (before * 2).max(before + ALLOWANCE);
    ensure!(during <= bound, "p99 {during:?}, {before:?} before");
    Ok(())
}

/// The 99th percentile of reading one's own profile.
async fn p99(api: &Api) -> Result<Duration> {
    let mut times = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let reply = api.get("/api/v1/users/me").await?;
        times.push(reply.elapsed);
        reply.require(200)?;
    }
    times.sort_unstable();
    Ok(times[SAMPLES * 99 / 100])
}
