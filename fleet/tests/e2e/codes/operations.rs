//! Notifications, dead letters and quotas.

use anyhow::{Context, Result};
use fleet::harness::Reply;
use reqwest::Url;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Stage;
use crate::support::text;

/// More than `rate_limits.register.requests`.
const FLOOD: usize = 100;

pub(super) async fn produce(stage: &mut Stage) -> Result<()> {
    let nothing = format!("/api/v1/notifications/{}/read", Uuid::from_u128(1));
    let reply = stage.customer.post(&nothing, &json!({})).await?;
    stage.seen.expect(&reply, "NOTIFICATION_NOT_FOUND")?;
    dead_letters(stage).await?;
    quota(stage).await
}

/// An event that nobody can read ends among the dead letters, and an operator decides on it.
async fn dead_letters(stage: &mut Stage) -> Result<()> {
    let Stage { fleet, admin, seen, .. } = stage;
    publish(fleet, "order.paid", "{\"half\":").await?;
    let letter = fleet
        .eventually("the dead letter", || async {
            let list = admin.get("/api/v1/admin/dead-letters?status=OPEN").await?.require(200)?;
            Ok(list["items"].as_array().and_then(|items| items.first().cloned()))
        })
        .await?;
    assert_eq!(letter["routing_key"], "order.paid");
    let decide = async |id: &str, verdict: &str| -> Result<Reply> {
        admin.post(&format!("/api/v1/admin/dead-letters/{id}/{verdict}"), &json!({})).await
    };
    let id = text(&letter, "id")?;
    seen.expect(&decide(&id, "replay").await?, "REPLAY_FAILED")?;
    decide(&id, "discard").await?.require(200)?;
    seen.expect(&decide(&id, "discard").await?, "DEAD_LETTER_DECIDED")?;
    let nothing = Uuid::from_u128(1).to_string();
    seen.expect(&decide(&nothing, "discard").await?, "DEAD_LETTER_NOT_FOUND")
}

/// Publishes to the fleet's exchange as a broken producer would.
async fn publish(fleet: &fleet::Fleet, routing_key: &str, payload: &str) -> Result<()> {
    let management = fleet.addresses().amqp_management.clone();
    let management = Url::parse(&management.context("the broker has no management API")?)?;
    let path = format!("/api/exchanges/%2f/{}.events/publish", fleet.namespace());
    let body = json!({
        "properties": {},
        "routing_key": routing_key,
        "payload": payload,
        "payload_encoding": "string",
    });
    let client = fleet::http::client().build()?;
    let reply: Value =
        client.post(management.join(&path)?).json(&body).send().await?.json().await?;
    anyhow::ensure!(reply["routed"] == true, "{reply}");
    Ok(())
}

async fn quota(stage: &mut Stage) -> Result<()> {
    for _ in 0..FLOOD {
        let reply = stage.visitor.post("/api/v1/users", &json!({})).await?;
        if reply.status == 429 {
            assert!(reply.header("retry-after").is_some());
            return stage.seen.expect(&reply, "RATE_LIMITED");
        }
        reply.require(422)?;
    }
    anyhow::bail!("{FLOOD} registrations were not limited")
}
