//! Refresh tokens and sessions: A043 to A051, and when a revocation has reached every gateway.

mod figures;
mod listing;
mod refreshing;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fleet::harness::{Api, Reply};
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::problem::refused;
use crate::support::run::{Row, row};
use crate::support::stage::{PASSWORD, Stage};
use crate::support::text;

use self::figures::{
    a019_logout_at_the_other_gateway_within_a_second, revocations_outlive_redis_and_restarts,
    revocations_reach_every_gateway_without_redis,
};
use self::listing::{
    a050_logout_twice_and_late, a051_chosen_session, a151_sessions_ended_by_an_administrator,
};
use self::refreshing::{
    a043_refresh_token_used_twice, a044_lost_reply, a045_refreshes_at_once,
    a046_refresh_of_the_dead, a047_refresh_beside_anothers_access_token,
    a048_guessed_refresh_tokens, a049_refresh_tokens_at_rest,
};

/// The rows of this section.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(a043_refresh_token_used_twice),
        row!(a044_lost_reply),
        row!(a045_refreshes_at_once),
        row!(a046_refresh_of_the_dead),
        row!(a047_refresh_beside_anothers_access_token),
        row!(a048_guessed_refresh_tokens),
        row!(a049_refresh_tokens_at_rest),
        row!(a050_logout_twice_and_late),
        row!(a051_chosen_session),
        row!(a151_sessions_ended_by_an_administrator),
        row!(a019_logout_at_the_other_gateway_within_a_second).alone(),
        row!(revocations_reach_every_gateway_without_redis).alone(),
        row!(revocations_outlive_redis_and_restarts).alone(),
    ]
}

/// What is promised: from the answer that something ended until every gateway refuses its tokens.
const BOUND: Duration = Duration::from_secs(5);

/// A route that every user may use.
pub(crate) const PATH: &str = "/api/v1/users/me";

/// What a login or a refresh returned.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) session: String,
}

impl Pair {
    pub(crate) fn of(body: &Value) -> Result<Self> {
        Ok(Self {
            access: text(body, "access_token")?,
            refresh: text(body, "refresh_token")?,
            session: text(body, "session_id")?,
        })
    }
}

/// Logs in.
pub(crate) async fn login(visitor: &Api, email: &str) -> Result<Pair> {
    let body = json!({"email": email, "password": PASSWORD});
    Pair::of(&visitor.post("/api/v1/auth/login", &body).await?.require(200)?)
}

/// A customer who has just logged in.
pub(crate) async fn customer(stage: &Stage) -> Result<(Api, String, Pair)> {
    let (visitor, email) = (stage.visitor()?, fleet::harness::api::new_email());
    visitor.register(&email, PASSWORD, "Customer").await?.require(201)?;
    let pair = login(&visitor, &email).await?;
    Ok((visitor, email, pair))
}

/// Logs out.
pub(crate) async fn logout(api: &Api) -> Result<Reply> {
    api.send(api.request(Method::POST, "/api/v1/auth/logout")).await
}

/// Exchanges a refresh token.
pub(crate) async fn refresh(api: &Api, token: &str) -> Result<Reply> {
    api.post("/api/v1/auth/refresh", &json!({"refresh_token": token})).await
}

/// Waits until a token is refused under this code; [`BOUND`] after `since` that is over.
pub(crate) async fn until_refused(api: &Api, code: &str, since: Instant) -> Result<()> {
    refused_before(since + BOUND, api, code).await
}

/// Waits until a token is refused under this code, until `deadline` at most.
async fn refused_before(deadline: Instant, api: &Api, code: &str) -> Result<()> {
    let refusal = async {
        loop {
            let reply = api.get(PATH).await?;
            if reply.status == 401 {
                return refused(&reply, 401, code);
            }
            ensure!(reply.status == 200, "{}: {}", reply.status, reply.body);
            // Asked without a pause, the quota of requests would be over first.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout_at(deadline, refusal).await.context("the token is still accepted")?
}

/// Whether a line of a gateway's metrics counts the reads of revocations for which it was rung.
pub(crate) fn counts_bells(line: &str) -> bool {
    line.starts_with("eh_revocation_reads_total{") && line.contains("cause=\"bell\"")
}

/// As [`until_refused`], at several gateways.
pub(crate) async fn until_refused_by_all(apis: &[Api], code: &str, since: Instant) -> Result<()> {
    try_join_all(apis.iter().map(|api| until_refused(api, code, since))).await.map(drop)
}
