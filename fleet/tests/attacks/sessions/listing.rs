//! Sessions: ended twice or late, chosen by the client, ended by an administrator.

use anyhow::{Context, Result, ensure};
use fleet::harness::api::new_email;
use fleet::harness::{Api, Reply};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Pair, customer, login, refresh, until_refused_by_all};
use crate::support::own_id;
use crate::support::problem::refused;
use crate::support::stage::{GATEWAYS, PASSWORD, Stage};

/// Logging out twice is logging out, and so is logging out with a token that is over.
pub(crate) async fn a050_logout_twice_and_late(stage: &Stage) -> Result<()> {
    let (visitor, email, pair) = customer(stage).await?;
    let logout = async |gateway: usize, token: &str| -> Result<Reply> {
        super::logout(&visitor.at(stage.gateway(gateway)).with_token(token)).await
    };
    for gateway in [0, 1, 0] {
        logout(gateway, &pair.access).await?.require(204)?;
    }
    let again = visitor.with_token(login(&visitor, &email).await?.access);
    let user = own_id(&again).await?;
    let over = stage.forger(user.parse()?).with_claims(json!({"iat": 1, "exp": 2}));
    refused(&visitor.with_token(&over).get(super::PATH).await?, 401, "TOKEN_EXPIRED")?;
    logout(0, &over).await?.require(204)?;
    refused(&logout(0, "not.a.token").await?, 401, "TOKEN_INVALID")
}

/// Nobody chooses the id of a session or a refresh token.
pub(crate) async fn a051_chosen_session(stage: &Stage) -> Result<()> {
    let (visitor, email) = (stage.visitor()?, new_email());
    visitor.register(&email, PASSWORD, "Customer").await?.require(201)?;
    let chosen = "01890000-0000-7000-8000-000000000001";
    for member in ["session_id", "refresh_token", "sid", "id"] {
        let mut body = json!({"email": email, "password": PASSWORD});
        body[member] = Value::from(chosen);
        let reply = visitor.post("/api/v1/auth/login", &body).await?;
        refused(&reply, 422, "UNKNOWN_FIELD").context(member)?;
    }
    let body = json!({"email": email, "password": PASSWORD});
    let request = visitor
        .request(Method::POST, "/api/v1/auth/login")
        .header("cookie", format!("session={chosen}; session_id={chosen}; refresh_token={chosen}"))
        .header("x-session-id", chosen)
        .json(&body);
    let reply = visitor.send(request).await?;
    ensure!(reply.header("set-cookie").is_none(), "a cookie is set");
    let first = Pair::of(&reply.require(200)?)?;
    let second = login(&visitor, &email).await?;
    ensure!(first.session != chosen && second.session != first.session);
    ensure!(first.refresh != second.refresh);
    let by_query = format!("/api/v1/auth/login?session_id={chosen}");
    refused(&visitor.post(&by_query, &body).await?, 400, "QUERY_INVALID")
}

/// The sessions of an account that stays enabled end by order of an administrator, at every gateway and
/// for good; nobody else gives that order, and whoever knows the password logs in again.
pub(crate) async fn a151_sessions_ended_by_an_administrator(stage: &Stage) -> Result<()> {
    let (visitor, email, first) = customer(stage).await?;
    let second = login(&visitor, &email).await?;
    let (own, admin) = (visitor.with_token(&first.access), stage.admin().await?);
    let id = own_id(&own).await?;
    let end = async |api: &Api, id: &str| -> Result<Reply> {
        api.send(api.request(Method::DELETE, &format!("/api/v1/users/{id}/sessions"))).await
    };
    refused(&end(&own, &id).await?, 403, "PERMISSION_DENIED")?;
    let nobody = Uuid::from_u128(1).to_string();
    refused(&end(&admin, &nobody).await?, 404, "USER_NOT_FOUND")?;
    own.get(super::PATH).await?.require(200)?;
    end(&admin, &id).await?.require(204)?;
    let since = Instant::now();
    for pair in [&first, &second] {
        let held = visitor.with_token(&pair.access);
        let everywhere = (0..GATEWAYS).map(|gateway| held.at(stage.gateway(gateway)));
        let everywhere: Vec<Api> = everywhere.collect();
        until_refused_by_all(&everywhere, "TOKEN_REVOKED", since).await?;
        refused(&refresh(&visitor, &pair.refresh).await?, 401, "REFRESH_INVALID")?;
    }
    let again = visitor.with_token(login(&visitor, &email).await?.access);
    again.get(super::PATH).await?.require(200)?;
    end(&admin, &id).await?.require(204).map(|_| ())
}
