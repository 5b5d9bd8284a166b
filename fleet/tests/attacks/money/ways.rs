//! The way of an order: no step twice, none skipped, none back.

use anyhow::{Context, Result, ensure};
use fleet::harness::Api;
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::until_status;
use crate::support::problem::refused;
use crate::support::stage::Stage;
use crate::support::{order, read, step, text};

/// How many clients pay at once.
const KEYS: usize = 50;

async fn pay(api: &Api, order: &str) -> Result<fleet::harness::Reply> {
    step(api, order, "pay", &json!({"payment_method": "pm_ok"})).await
}

pub(super) async fn a087_paying_what_cannot_be_paid(stage: &Stage) -> Result<()> {
    let (user, stranger) = (stage.user().await?, stage.user().await?);
    let admin = stage.admin().await?;
    let place = async |method: &str| text(&order(&user.api, method).await?, "id");
    let mut settled = vec![place("pm_ok").await?];
    let cancelled = place("pm_declined").await?;
    step(&user.api, &cancelled, "cancel", &json!({})).await?.require_any(&[200, 202])?;
    settled.push(cancelled);
    let (shipped, completed) = (place("pm_ok").await?, place("pm_ok").await?);
    for (id, steps) in [(&shipped, &["ship"][..]), (&completed, &["ship", "complete"][..])] {
        for step in steps {
            admin.post(&format!("/api/v1/orders/{id}/{step}"), &json!({})).await?.require(200)?;
        }
    }
    settled.extend([shipped, completed]);
    let refunded = place("pm_ok").await?;
    step(&user.api, &refunded, "refund", &json!({})).await?.require_any(&[200, 202])?;
    refused(&pay(&user.api, &refunded).await?, 409, "ORDER_STATE_CONFLICT")?;
    until_status(&user.api, &refunded, "REFUNDED").await?;
    settled.push(refunded);
    let expired = place("pm_declined").await?;
    expire(stage, &expired).await?;
    until_status(&user.api, &expired, "EXPIRED").await?;
    settled.push(expired);
    for id in &settled {
        let before = read(&user.api, id).await?;
        let status = before["status"].to_string();
        refused(&pay(&user.api, id).await?, 409, "ORDER_STATE_CONFLICT").context(status)?;
        refused(&pay(&stranger.api, id).await?, 404, "ORDER_NOT_FOUND")?;
        ensure!(read(&user.api, id).await? == before, "{before} has changed");
    }
    let missing = Uuid::from_u128(1).to_string();
    refused(&pay(&user.api, &missing).await?, 404, "ORDER_NOT_FOUND")?;
    let pending = place("pm_never").await?;
    refused(&pay(&user.api, &pending).await?, 409, "PAYMENT_IN_PROGRESS")
}

/// Makes an order overdue.
async fn expire(stage: &Stage, order: &str) -> Result<()> {
    let changed = sqlx::query("UPDATE orders SET expires_at = UTC_TIMESTAMP(6) WHERE id = ?")
        .bind(order.parse::<Uuid>()?)
        .execute(&mut stage.database("order-service").await?)
        .await?;
    ensure!(changed.rows_affected() == 1, "no order {order}");
    Ok(())
}

pub(super) async fn a088_paying_with_fifty_keys_at_once(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let id = text(&order(&user.api, "pm_declined").await?, "id")?;
    let apis = [user.api.clone(), user.api.at(stage.gateway(1))];
    let replies = try_join_all((0..KEYS).map(|n| pay(&apis[n % 2], &id))).await?;
    let mut paid = 0;
    for reply in &replies {
        match reply.status {
            200 | 202 => paid += 1,
            409 if reply.code() == "PAYMENT_IN_PROGRESS" => refused(reply, 409, reply.code())?,
            _ => refused(reply, 409, "ORDER_STATE_CONFLICT")?,
        }
    }
    ensure!(paid == 1, "{paid} of {KEYS} were taken");
    let settled = until_status(&user.api, &id, "PAID").await?;
    let payment = format!("/api/v1/payments/{}", text(&settled, "payment_id")?);
    let payment = user.api.get(&payment).await?.require(200)?;
    let attempts = payment["attempts"].as_array().context("no attempts")?;
    let captured = attempts.iter().filter(|attempt| attempt["status"] == "SUCCEEDED").count();
    ensure!(captured == 1 && attempts.len() == 2, "{attempts:?}");
    Ok(())
}

pub(super) async fn a089_cancelling_and_refunding_too_much(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let paid = text(&order(&user.api, "pm_ok").await?, "id")?;
    let before = read(&user.api, &paid).await?;
    refused(&step(&user.api, &paid, "cancel", &json!({})).await?, 409, "ORDER_STATE_CONFLICT")?;
    // A refund is of all that was captured: nobody names an amount.
    for amount in [json!(0), json!(-1), json!(1), json!(12_801), json!(i64::MAX), json!("all")] {
        for body in
            [json!({"amount": amount}), json!({"amount": {"amount": amount, "currency": "CNY"}})]
        {
            let reply = step(&user.api, &paid, "refund", &body).await?;
            refused(&reply, 422, "UNKNOWN_FIELD")?;
        }
    }
    ensure!(read(&user.api, &paid).await? == before, "the order has changed");
    let refunds =
        try_join_all((0..10).map(|_| async { step(&user.api, &paid, "refund", &json!({})).await }))
            .await?;
    let taken = refunds.iter().filter(|reply| [200, 202].contains(&reply.status)).count();
    ensure!(taken == 1, "{taken} refunds were taken");
    for reply in refunds.iter().filter(|reply| reply.status >= 300) {
        refused(reply, 409, "ORDER_STATE_CONFLICT")?;
    }
    let refunded = until_status(&user.api, &paid, "REFUNDED").await?;
    for action in ["refund", "cancel"] {
        let reply = step(&user.api, &paid, action, &json!({})).await?;
        refused(&reply, 409, "ORDER_STATE_CONFLICT").context(action)?;
    }
    let payment = format!("/api/v1/payments/{}", text(&refunded, "payment_id")?);
    let payment = user.api.get(&payment).await?.require(200)?;
    let refunds = payment["refunds"].as_array().context("no refunds")?;
    ensure!(refunds.len() == 1 && refunds[0]["amount"] == payment["amount"], "{payment}");
    for method in ["pm_declined", "pm_never"] {
        let unpaid = text(&order(&user.api, method).await?, "id")?;
        let reply = step(&user.api, &unpaid, "refund", &json!({})).await?;
        refused(&reply, 409, "ORDER_STATE_CONFLICT").context(method)?;
    }
    Ok(())
}

pub(super) async fn a090_skipping_steps(stage: &Stage) -> Result<()> {
    let (user, admin) = (stage.user().await?, stage.admin().await?);
    let unpaid = text(&order(&user.api, "pm_declined").await?, "id")?;
    let path = format!("/api/v1/orders/{unpaid}");
    let before = read(&user.api, &unpaid).await?;
    for (method, body) in [
        (Method::PATCH, json!({"status": "PAID"})),
        (Method::PUT, json!({"status": "PAID"})),
        (Method::DELETE, Value::Null),
    ] {
        for api in [&user.api, &admin] {
            let reply = api.send(api.request(method.clone(), &path).json(&body)).await?;
            refused(&reply, 405, "METHOD_NOT_ALLOWED")?;
            ensure!(reply.header("allow").is_some_and(|allow| allow.contains("GET")), "no Allow");
        }
    }
    for step in ["paid", "confirm", "capture", "status", "settle", "expire"] {
        let reply = admin.post(&format!("{path}/{step}"), &json!({})).await?;
        refused(&reply, 404, "ROUTE_NOT_FOUND")?;
    }
    let act = async |id: &str, action: &str| {
        admin.post(&format!("/api/v1/orders/{id}/{action}"), &json!({})).await
    };
    for action in ["ship", "complete"] {
        refused(&act(&unpaid, action).await?, 409, "ORDER_STATE_CONFLICT")?;
        let missing = Uuid::from_u128(1).to_string();
        refused(&act(&missing, action).await?, 404, "ORDER_NOT_FOUND")?;
    }
    ensure!(read(&user.api, &unpaid).await? == before, "the order has changed");
    let paid = text(&order(&user.api, "pm_ok").await?, "id")?;
    refused(&act(&paid, "complete").await?, 409, "ORDER_STATE_CONFLICT")?;
    act(&paid, "ship").await?.require(200)?;
    refused(&act(&paid, "ship").await?, 409, "ORDER_STATE_CONFLICT")?;
    refused(&step(&user.api, &paid, "refund", &json!({})).await?, 409, "ORDER_STATE_CONFLICT")
}
