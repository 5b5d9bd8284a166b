//! Tokens in time whose user, role, session or key is not what it was: A018 to A020.

use anyhow::{Context, Result, ensure};
use fleet::harness::Api;
use fleet::harness::api::new_email;
use fleet::{Fleet, FleetOptions};
use serde_json::json;
use tokio::time::Instant;

use crate::sessions::{
    PATH, Pair, counts_bells, customer, login, logout, refresh, until_refused_by_all,
};
use crate::support::problem::refused;
use crate::support::stage::{GATEWAYS, PASSWORD, Stage};
use crate::support::{PATIENCE, counted, own_id};

/// A route for administrators.
const ADMINISTRATORS: &str = "/api/v1/users";

/// The token of an account that an administrator disabled is refused within five seconds everywhere.
pub(crate) async fn a018_disabled_account(stage: &Stage) -> Result<()> {
    let (visitor, _, pair) = customer(stage).await?;
    let own = visitor.with_token(&pair.access);
    let path = format!("/api/v1/users/{}/status", own_id(&own).await?);
    let admin = stage.admin().await?;
    admin.put(&path, &json!({"status": "DISABLED"})).await?.require(200)?;
    let since = Instant::now();
    until_refused_by_all(&everywhere(stage, &own), "ACCOUNT_DISABLED", since).await?;
    refused(&refresh(&visitor, &pair.refresh).await?, 401, "REFRESH_INVALID")?;
    admin.put(&path, &json!({"status": "ACTIVE"})).await?.require(200)?;
    fleet::wait::until("the account being enabled", PATIENCE, || async {
        Ok((own.get(PATH).await?.code() == "TOKEN_REVOKED").then_some(()))
    })
    .await
}

/// The token of an administrator whose role is taken away is refused within five seconds everywhere, and
/// wins nothing back meanwhile; the session goes on as a customer's. Runs alone: who is the last
/// administrator is a question of other rows.
pub(crate) async fn a018_role_that_is_taken_away(stage: &Stage) -> Result<()> {
    let (visitor, email, first) = customer(stage).await?;
    let id = own_id(&visitor.with_token(&first.access)).await?;
    let path = format!("/api/v1/users/{id}/roles");
    let (admin, both) = (stage.admin().await?, json!({"roles": ["admin", "customer"]}));
    admin.put(&path, &both).await?.require(200)?;
    let pair = administrator(stage, &visitor, &email).await;
    // Whatever came of it, nobody stays an administrator.
    admin.put(&path, &json!({"roles": ["customer"]})).await?.require(200)?;
    let (since, pair) = (Instant::now(), pair?);
    let own = visitor.with_token(&pair.access);
    let back = own.put(&path, &both).await?;
    ensure!([401, 403].contains(&back.status), "{}: {}", back.status, back.body);
    until_refused_by_all(&everywhere(stage, &own), "TOKEN_EXPIRED", since).await?;
    let next = Pair::of(&refresh(&visitor, &pair.refresh).await?.require(200)?)?;
    for api in everywhere(stage, &visitor.with_token(&next.access)) {
        refused(&api.get(ADMINISTRATORS).await?, 403, "PERMISSION_DENIED")?;
        let me = api.get(PATH).await?.require(200)?;
        ensure!(me["roles"] == json!(["customer"]), "{me}");
    }
    Ok(())
}

/// Logs in somebody whom every gateway takes for an administrator.
async fn administrator(stage: &Stage, visitor: &Api, email: &str) -> Result<Pair> {
    let pair = login(visitor, email).await?;
    for api in everywhere(stage, &visitor.with_token(&pair.access)) {
        api.get(ADMINISTRATORS).await?.require(200)?;
    }
    Ok(pair)
}

/// A token is refused after the logout, of which the other gateway is told; and after a change of
/// the password in another session. The session of the change goes on.
pub(crate) async fn a019_after_logout_and_password_change(stage: &Stage) -> Result<()> {
    let (visitor, email, out) = customer(stage).await?;
    let [here, there] =
        [0, 1].map(|gateway| visitor.at(stage.gateway(gateway)).with_token(&out.access));
    there.get(PATH).await?.require(200)?;
    let heard = bells(stage, 1).await?;
    logout(&here).await?.require(204)?;
    until_refused_by_all(&[here, there], "TOKEN_REVOKED", Instant::now()).await?;
    fleet::wait::until("the other gateway being told", PATIENCE, || async {
        Ok((bells(stage, 1).await? > heard).then_some(()))
    })
    .await?;

    let (old, own) = (login(&visitor, &email).await?, login(&visitor, &email).await?);
    let body = json!({"current_password": PASSWORD, "new_password": "another-long-password"});
    let own_api = visitor.with_token(&own.access);
    own_api.put("/api/v1/users/me/password", &body).await?.require(204)?;
    let old = everywhere(stage, &visitor.with_token(&old.access));
    until_refused_by_all(&old, "TOKEN_REVOKED", Instant::now()).await?;
    for api in everywhere(stage, &own_api) {
        api.get(PATH).await?.require(200)?;
    }
    refresh(&visitor, &own.refresh).await?.require(200).map(|_| ())
}

/// A token of a key that is not published any more is refused; one of its successor is accepted.
/// On a fleet of its own: the tokens of everybody else would be worthless too.
pub(crate) async fn a020_retired_key(_: &Stage) -> Result<()> {
    let fleet = Fleet::start(FleetOptions::default().replicas("gateway-service", 2)).await?;
    let (admin, visitor, email) = (fleet.admin().await?, fleet.http()?, new_email());
    visitor.register(&email, PASSWORD, "Customer").await?.require(201)?;
    let old = login(&visitor, &email).await?;
    let body = json!({"withdraw_others": true});
    let keys = admin.post("/api/v1/admin/keys/rotate", &body).await?.require(200)?;
    let items = keys["items"].as_array().context("no keys")?;
    ensure!(items.len() == 1 && items[0]["state"] == "SIGNING", "{keys}");
    let since = Instant::now();
    let old_api = visitor.with_token(&old.access);
    let everywhere: Vec<Api> =
        fleet.gateway_urls().into_iter().map(|url| old_api.at(url)).collect();
    until_refused_by_all(&everywhere, "TOKEN_INVALID", since).await?;
    let next = Pair::of(&refresh(&visitor, &old.refresh).await?.require(200)?)?;
    for gateway in fleet.gateway_urls() {
        // Services learn of the new key when they see it first.
        let api = visitor.at(gateway).with_token(&next.access);
        fleet::wait::until("the new key being known", PATIENCE, || async {
            Ok((api.get(PATH).await?.status == 200).then_some(()))
        })
        .await?;
    }
    fleet.finish().await
}

/// The same client at each gateway.
fn everywhere(stage: &Stage, api: &Api) -> Vec<Api> {
    (0..GATEWAYS).map(|gateway| api.at(stage.gateway(gateway))).collect()
}

/// How often a gateway has asked for revocations because it was told that there are some.
async fn bells(stage: &Stage, gateway: usize) -> Result<u64> {
    counted(stage, ("gateway-service", gateway), counts_bells).await
}
