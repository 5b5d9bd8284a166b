//! Refresh tokens: used twice, lost, at once, dead, mixed up, guessed, at rest.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fleet::harness::{Api, Reply};
use futures::future::try_join_all;
use serde_json::json;
use uuid::Uuid;

use super::{Pair, customer, login, logout, refresh};
use crate::support::PATIENCE;
use crate::support::problem::{refused, refused_silently};
use crate::support::stage::{PASSWORD, Stage};

/// Less than `sessions.retry_grace_s` of auth-service, which is 10 s.
const GRACE: Duration = Duration::from_secs(8);

/// The second use of a token whose successor was used proves a second holder: the family ends.
pub(crate) async fn a043_refresh_token_used_twice(stage: &Stage) -> Result<()> {
    let (visitor, _, first) = customer(stage).await?;
    let second = Pair::of(&refresh(&visitor, &first.refresh).await?.require(200)?)?;
    let third = Pair::of(&refresh(&visitor, &second.refresh).await?.require(200)?)?;
    let reused = refresh(&visitor, &first.refresh).await?;
    refused_silently(&reused, 401, "REFRESH_REUSED", &[&first.refresh])?;
    for pair in [&first, &second, &third] {
        refused(&refresh(&visitor, &pair.refresh).await?, 401, "REFRESH_INVALID")?;
    }
    let told = "SELECT COUNT(*) FROM sessions WHERE id = ? AND end_reason = 'token_reuse'";
    ensure!(count(stage, told, &third.session).await? == 1, "the family is alive");
    for gateway in 0..2 {
        let api = visitor.at(stage.gateway(gateway)).with_token(&third.access);
        fleet::wait::until("the access token being refused", PATIENCE, || async {
            Ok((api.get(super::PATH).await?.code() == "TOKEN_REVOKED").then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// A reply that was lost may be asked for again at once, and leaves one branch.
pub(crate) async fn a044_lost_reply(stage: &Stage) -> Result<()> {
    let (visitor, _, first) = customer(stage).await?;
    let lost = Pair::of(&refresh(&visitor, &first.refresh).await?.require(200)?)?;
    let again = Pair::of(&refresh(&visitor, &first.refresh).await?.require(200)?)?;
    ensure!(lost.refresh != again.refresh && lost.session == again.session);
    let live = "SELECT COUNT(*) FROM refresh_tokens WHERE session_id = ? AND state = 'LIVE'";
    ensure!(count(stage, live, &again.session).await? == 1, "one live branch");
    refresh(&visitor, &again.refresh).await?.require(200)?;
    Ok(())
}

/// Fifty refreshes with one token, spread over both gateways, leave one live branch of one family. They
/// queue for one row: who waits too long for a connection is put off, and comes back.
pub(crate) async fn a045_refreshes_at_once(stage: &Stage) -> Result<()> {
    let (visitor, email, first) = customer(stage).await?;
    let apis = [0, 1].map(|gateway| visitor.at(stage.gateway(gateway)));
    let calls = (0..50).map(|n| refresh_at_last(&apis[n % 2], &first.refresh));
    let replies = try_join_all(calls).await?;
    let mut pairs = Vec::new();
    for reply in replies {
        pairs.push(Pair::of(&reply.require(200)?)?);
    }
    ensure!(pairs.iter().all(|pair| pair.session == first.session), "one family");
    let live = "SELECT COUNT(*) FROM refresh_tokens WHERE session_id = ? AND state = 'LIVE'";
    ensure!(count(stage, live, &first.session).await? == 1, "one live branch");
    let mut connection = stage.database("auth-service").await?;
    let all: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM refresh_tokens WHERE session_id = ? AND state <> 'REPLACED'",
    )
    .bind(first.session.parse::<Uuid>()?)
    .fetch_one(&mut connection)
    .await?;
    ensure!(all == 2, "the spent token and its one successor, not {all}");
    login(&visitor, &email).await.map(|_| ())
}

/// Comes back as often as it is told to, while a reply that was lost may be asked for again.
async fn refresh_at_last(api: &Api, token: &str) -> Result<Reply> {
    let deadline = Instant::now() + GRACE;
    loop {
        let reply = refresh(api, token).await?;
        if reply.status != 503 || Instant::now() > deadline {
            return Ok(reply);
        }
        let pause = reply.header("retry-after").context("no Retry-After")?.parse()?;
        tokio::time::sleep(Duration::from_secs(pause)).await;
    }
}

/// Nothing is refreshed after a logout, a change of the password elsewhere, or the end of the
/// session's absolute life.
pub(crate) async fn a046_refresh_of_the_dead(stage: &Stage) -> Result<()> {
    let (visitor, email, out) = customer(stage).await?;
    logout(&visitor.with_token(&out.access)).await?.require(204)?;
    refused(&refresh(&visitor, &out.refresh).await?, 401, "REFRESH_INVALID").context("logout")?;

    let (old, own) = (login(&visitor, &email).await?, login(&visitor, &email).await?);
    let body = json!({"current_password": PASSWORD, "new_password": "another-long-password"});
    visitor.with_token(&own.access).put("/api/v1/users/me/password", &body).await?.require(204)?;
    refused(&refresh(&visitor, &old.refresh).await?, 401, "REFRESH_INVALID").context("password")?;
    let own = Pair::of(&refresh(&visitor, &own.refresh).await?.require(200)?)?;

    let mut connection = stage.database("auth-service").await?;
    let aged = sqlx::query(
        "UPDATE sessions SET created_at = UTC_TIMESTAMP(6) - INTERVAL 30 DAY, \
         expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE id = ?",
    )
    .bind(own.session.parse::<Uuid>()?)
    .execute(&mut connection)
    .await?;
    ensure!(aged.rows_affected() == 1);
    refused(&refresh(&visitor, &own.refresh).await?, 401, "REFRESH_INVALID").context("age")
}

/// A refresh token that comes with another user's access token is refused, and is not used up.
pub(crate) async fn a047_refresh_beside_anothers_access_token(stage: &Stage) -> Result<()> {
    let (visitor, _, alice) = customer(stage).await?;
    let (_, _, bob) = customer(stage).await?;
    let mixed = refresh(&visitor.with_token(&bob.access), &alice.refresh).await?;
    refused_silently(&mixed, 401, "REFRESH_INVALID", &[&alice.refresh, &bob.access])?;
    let own = refresh(&visitor.with_token(&alice.access), &alice.refresh).await?;
    own.require(200).map(|_| ())
}

/// Random, truncated and foreign tokens are refused, and guessing is slowed down.
pub(crate) async fn a048_guessed_refresh_tokens(stage: &Stage) -> Result<()> {
    let (visitor, _, pair) = customer(stage).await?;
    let random = || URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let odd = [
        random(),
        pair.refresh[..42].to_owned(),
        format!("{}=", pair.refresh),
        pair.access.clone(),
        String::new(),
        "é".repeat(43),
    ];
    for token in &odd {
        let reply = refresh(&visitor, token).await?;
        refused_silently(&reply, 401, "REFRESH_INVALID", &[token])?;
    }
    let mut refusals = 0;
    for guess in 0..1_000 {
        let reply = refresh(&visitor, &random()).await?;
        if reply.status == 429 {
            refused(&reply, 429, "RATE_LIMITED")?;
            refusals += 1;
            if refusals == 20 {
                return Ok(());
            }
            continue;
        }
        refused(&reply, 401, "REFRESH_INVALID").with_context(|| format!("guess {guess}"))?;
    }
    anyhow::bail!("1,000 guesses and only {refusals} were too many")
}

/// The table knows hashes, and no log knows a token.
pub(crate) async fn a049_refresh_tokens_at_rest(stage: &Stage) -> Result<()> {
    let (visitor, _, first) = customer(stage).await?;
    let second = Pair::of(&refresh(&visitor, &first.refresh).await?.require(200)?)?;
    let raw = URL_SAFE_NO_PAD.decode(&second.refresh)?;
    let mut connection = stage.database("auth-service").await?;
    for (what, bytes) in [("the token", raw.as_slice()), ("its text", second.refresh.as_bytes())] {
        let found: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM refresh_tokens WHERE digest = ?")
            .bind(bytes)
            .fetch_one(&mut connection)
            .await?;
        ensure!(found == 0, "{what} is in the table");
    }
    let digest: Vec<u8> = sqlx::query_scalar(
        "SELECT digest FROM refresh_tokens WHERE session_id = ? AND state = 'LIVE'",
    )
    .bind(second.session.parse::<Uuid>()?)
    .fetch_one(&mut connection)
    .await?;
    let expected = <sha2::Sha256 as sha2::Digest>::digest(second.refresh.as_bytes());
    ensure!(digest == expected.to_vec(), "it is the SHA-256 of the token");
    let mut fleet = stage.fleet.lock().await;
    for service in fleet::services::Service::ALL {
        for replica in 0..fleet.replica_count(service.name) {
            let log = fleet.logs(service.name, replica)?;
            for token in [&first.refresh, &second.refresh, &first.access, &second.access] {
                ensure!(!log.contains(token.as_str()), "{} logs a token", service.name);
            }
        }
    }
    Ok(())
}

async fn count(stage: &Stage, query: &'static str, session: &str) -> Result<i64> {
    let mut connection = stage.database("auth-service").await?;
    let id: Uuid = session.parse()?;
    Ok(sqlx::query_scalar(query).bind(id).fetch_one(&mut connection).await?)
}
