//! Mails that were given up: which there are, and to have one sent after all.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{answer, columns, items, text};
use crate::harness::Api;

const PATH: &str = "/api/v1/admin/dead-mails";

pub(super) async fn list(admin: &Api, limit: u64) -> Result<String> {
    Ok(table(&items(admin, PATH, "", limit).await?))
}

pub(super) async fn resend(admin: &Api, id: Uuid) -> Result<String> {
    let reply = admin.post(&format!("{PATH}/{id}/replay"), &json!({})).await?;
    if reply.code() == "REPLAY_FAILED" {
        bail!("the link of {id} is over; whoever needs one asks for another");
    }
    Ok(resent(&answer(reply)?))
}

fn table(mails: &[Value]) -> String {
    if mails.is_empty() {
        return "  no dead mails\n".to_owned();
    }
    columns(["id", "died_at", "expires_at", "event", "user_id", "reason"], mails)
}

fn resent(mail: &Value) -> String {
    let [id, user, until] = ["id", "user_id", "expires_at"].map(|member| text(mail, member));
    format!("{id} for the user {user} is sent again; its link is over by {until}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> Value {
        json!({"id": "m-1", "event_id": "e-1", "event": "user.recovery_requested", "user_id": "u-1",
            "attempts": 3, "reason": "code 550\u{1b}[2J", "created_at": "2026-01-02T03:04:05.006Z",
            "died_at": null, "expires_at": "2026-01-02T03:34:05.006Z"})
    }

    #[test]
    fn mails_are_listed_without_what_a_terminal_would_obey() {
        let text = table(&[mail()]);
        assert!(text.contains("m-1") && text.contains("code 550\\u{1b}[2J"), "{text}");
        assert!(table(&[]).contains("no dead mails"));
    }

    #[test]
    fn whoever_resends_a_mail_reads_until_when_it_is_of_use() {
        let told =
            "m-1 for the user u-1 is sent again; its link is over by 2026-01-02T03:34:05.006Z";
        assert_eq!(resent(&mail()), told);
    }
}
