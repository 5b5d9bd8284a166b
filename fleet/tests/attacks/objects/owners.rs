//! What belongs to another user is answered as what does not exist.

use anyhow::{Context, Result, ensure};
use fleet::harness::api::new_key;
use fleet::harness::{Api, Reply};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::problem::refused;
use crate::support::stage::Stage;
use crate::support::{PATIENCE, order, read, text};

/// Everything that a user may do with an order.
const ACTIONS: [(&str, &str); 5] =
    [("GET", ""), ("GET", "/timeline"), ("POST", "/pay"), ("POST", "/cancel"), ("POST", "/refund")];
/// What an order does not have, whoever asks.
const NO_ACTIONS: [&str; 3] = ["PATCH", "PUT", "DELETE"];

async fn act(api: &Api, method: &str, path: &str) -> Result<Reply> {
    let request = api.request(method.parse()?, path).header("idempotency-key", new_key());
    let request = match path.rsplit_once('/') {
        Some((_, "pay")) => request.json(&json!({"payment_method": "pm_ok"})),
        _ => request,
    };
    api.send(request).await
}

/// What an answer tells, without what names this one request.
fn tale(reply: &Reply) -> Value {
    let mut body = reply.body.clone();
    if let Some(members) = body.as_object_mut() {
        members.remove("trace_id");
        members.remove("instance");
    }
    json!([reply.status, body, reply.header("cache-control"), reply.header("etag")])
}

pub(super) async fn a052_orders_of_others(stage: &Stage) -> Result<()> {
    let (owner, stranger) = (stage.user().await?, stage.user().await?);
    let nothing = Uuid::from_u128(1);
    for method in ["pm_ok", "pm_declined", "pm_never"] {
        let before = order(&owner.api, method).await?;
        let id = text(&before, "id")?;
        for (verb, action) in ACTIONS {
            let foreign = act(&stranger.api, verb, &format!("/api/v1/orders/{id}{action}")).await?;
            refused(&foreign, 404, "ORDER_NOT_FOUND").context(action)?;
            let missing = format!("/api/v1/orders/{nothing}{action}");
            let missing = act(&stranger.api, verb, &missing).await?;
            ensure!(tale(&foreign) == tale(&missing), "{verb} {action} tells that there is one");
        }
        for verb in NO_ACTIONS {
            for api in [&stranger.api, &owner.api] {
                let reply = act(api, verb, &format!("/api/v1/orders/{id}")).await?;
                refused(&reply, 405, "METHOD_NOT_ALLOWED")?;
            }
        }
        for action in ["ship", "complete"] {
            let path = format!("/api/v1/orders/{id}/{action}");
            refused(&act(&stranger.api, "POST", &path).await?, 403, "PERMISSION_DENIED")?;
        }
        let after = read(&owner.api, &id).await?;
        ensure!(after == before, "{before} became {after}");
    }
    Ok(())
}

pub(super) async fn a053_payments_notifications_profiles_of_others(stage: &Stage) -> Result<()> {
    let (owner, stranger) = (stage.user().await?, stage.user().await?);
    let placed = order(&owner.api, "pm_ok").await?;
    let payment = text(&placed, "payment_id")?;
    let notification = fleet::wait::until("a notification", PATIENCE, || async {
        let list = owner.api.get("/api/v1/notifications").await?.require(200)?;
        Ok(list["items"].as_array().and_then(|items| items.first().cloned()))
    })
    .await?;
    let notification = text(&notification, "id")?;
    let nothing = Uuid::from_u128(1);
    for (verb, path, code) in [
        ("GET", "/api/v1/payments/{}", "PAYMENT_NOT_FOUND"),
        ("POST", "/api/v1/notifications/{}/read", "NOTIFICATION_NOT_FOUND"),
    ] {
        let id = if path.contains("payments") { &payment } else { &notification };
        let foreign = act(&stranger.api, verb, &path.replace("{}", id)).await?;
        refused(&foreign, 404, code)?;
        let missing = path.replace("{}", &nothing.to_string());
        let missing = act(&stranger.api, verb, &missing).await?;
        ensure!(tale(&foreign) == tale(&missing), "{path} tells that there is one");
        let own = act(&owner.api, verb, &path.replace("{}", id)).await?;
        ensure!(own.status < 300, "{path} is the owner's: {}", own.body);
    }
    // Profiles of others are for administrators, whether they exist or not.
    let foreign = stranger.api.get(&format!("/api/v1/users/{}", owner.id)).await?;
    refused(&foreign, 403, "PERMISSION_DENIED")?;
    let missing = stranger.api.get(&format!("/api/v1/users/{nothing}")).await?;
    ensure!(tale(&foreign) == tale(&missing), "a profile tells that there is one");
    let told = stranger.api.get("/api/v1/notifications").await?.require(200)?;
    ensure!(!told.to_string().contains(&text(&placed, "id")?), "{told}");
    let request = stranger.api.request(Method::GET, "/api/v1/orders");
    let orders = stranger.api.send(request).await?.require(200)?;
    ensure!(orders["items"] == json!([]), "{orders}");
    Ok(())
}

/// A session of somebody else is ended by nobody, and lives on.
pub(super) async fn a053_sessions_of_others(stage: &Stage) -> Result<()> {
    const SESSIONS: &str = "/api/v1/auth/sessions";
    let (owner, stranger) = (stage.user().await?, stage.user().await?);
    let list = owner.api.get(SESSIONS).await?.require(200)?;
    let session = text(&list["items"][0], "id")?;
    let nothing = Uuid::from_u128(1).to_string();
    let end = async |api: &Api, id: &str| act(api, "DELETE", &format!("{SESSIONS}/{id}")).await;
    for other in [&stranger.api, &stage.admin().await?] {
        let foreign = end(other, &session).await?;
        refused(&foreign, 404, "SESSION_NOT_FOUND")?;
        let missing = end(other, &nothing).await?;
        ensure!(tale(&foreign) == tale(&missing), "a session tells that there is one");
    }
    // The list is of this moment; when gateways hear of an end takes longer.
    let after = owner.api.get(SESSIONS).await?.require(200)?;
    ensure!(after["items"] == list["items"], "{list} became {after}");
    end(&owner.api, &session).await?.require(204).map(|_| ())
}
