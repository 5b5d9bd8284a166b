//! Notifications, dead letters and quotas.

use anyhow::Result;
use fleet::harness::Reply;
use serde_json::json;
use uuid::Uuid;

use super::Stage;
use crate::support::{publish, text};

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
    seen.expect(&decide(&nothing, "discard").await?, "DEAD_LETTER_NOT_FOUND")?;
    let path = format!("/api/v1/admin/dead-mails/{nothing}/replay");
    seen.expect(&admin.post(&path, &json!({})).await?, "DEAD_MAIL_NOT_FOUND")
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
