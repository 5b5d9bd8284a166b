//! Links by e-mail: from the registration to a proven address, and from a lost password to another one.

use std::time::Duration;

use anyhow::{Result, ensure};
use fleet::harness::api::new_email;
use fleet::harness::{Api, Reply};
use fleet::{Fleet, FleetOptions};
use futures::future::try_join_all;
use serde_json::json;

use crate::support::text;

const PASSWORD: &str = "correct horse battery";
const OTHER: &str = "another good one";
/// Revocations are known everywhere within five seconds; a busy machine is given more.
const PATIENCE: Duration = Duration::from_secs(30);

async fn verify(api: &Api, token: &str) -> Result<Reply> {
    api.post("/api/v1/auth/email-verification", &json!({"token": token})).await
}

async fn recover(api: &Api, token: &str, new: &str) -> Result<Reply> {
    let body = json!({"token": token, "new_password": new});
    api.post("/api/v1/auth/password-recovery/complete", &body).await
}

async fn lose_password(api: &Api, email: &str) -> Result<()> {
    let body = json!({"email": email});
    api.post("/api/v1/auth/password-recovery", &body).await?.require(202).map(|_| ())
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn an_address_is_proven_by_the_link_that_a_registration_sends() -> Result<()> {
    let fleet = Fleet::start(FleetOptions::default()).await?;
    let (visitor, email) = (fleet.http()?, new_email());
    let body = json!({"email": email, "password": PASSWORD, "display_name": "小明",
        "locale": "zh-CN"});
    let user = visitor.post("/api/v1/users", &body).await?.require(201)?;
    ensure!(user["email_verified_at"].is_null(), "{user}");
    let customer = visitor.login(&email, PASSWORD).await?;
    let mail = fleet.mailbox().mail_to(&email, 0).await?;
    ensure!(mail.text.contains("请打开以下链接确认"), "{}", mail.text);
    verify(&visitor, mail.token()?).await?.require(204)?;
    let user = customer.get("/api/v1/users/me").await?.require(200)?;
    ensure!(user["email_verified_at"].is_string(), "{user}");
    let again = verify(&visitor, mail.token()?).await?;
    ensure!(again.code() == "USER_TOKEN_INVALID" && again.status == 422, "{}", again.body);
    customer
        .send(customer.request(reqwest::Method::POST, "/api/v1/users/me/email-verification"))
        .await?
        .require(202)?;
    // The inbox, which whoever has a session can read, tells nothing of links.
    let inbox = customer.get("/api/v1/notifications").await?.require(200)?;
    ensure!(!inbox.to_string().contains("token="), "{inbox}");
    fleet.finish().await
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn a_lost_password_is_replaced_by_the_link_and_every_session_ends() -> Result<()> {
    let fleet = Fleet::start(FleetOptions::default()).await?;
    let (visitor, email, mailbox) = (fleet.http()?, new_email(), fleet.mailbox());
    visitor.register(&email, PASSWORD, "Ada").await?.require(201)?;
    let customer = visitor.login(&email, PASSWORD).await?;
    mailbox.mail_to(&email, 0).await?;
    lose_password(&visitor, &email).await?;
    lose_password(&visitor, &new_email()).await?;
    let mail = mailbox.mail_to(&email, 1).await?;
    let calls = [OTHER, "the second good one", "the third good one"]
        .map(|password| recover(&visitor, mail.token().unwrap_or_default(), password));
    let answers = try_join_all(calls).await?;
    let done: Vec<_> = answers.iter().filter(|answer| answer.status == 204).collect();
    ensure!(done.len() == 1, "{answers:?}");
    let refused = answers.iter().filter(|answer| answer.code() == "USER_TOKEN_INVALID");
    ensure!(refused.count() == 2, "{answers:?}");
    let old = json!({"email": email, "password": PASSWORD});
    let old = visitor.post("/api/v1/auth/login", &old).await?;
    ensure!(old.code() == "CREDENTIALS_INVALID", "{}", old.body);
    fleet::wait::until("the end of the session", PATIENCE, || async {
        let reply = customer.get("/api/v1/users/me").await?;
        Ok((reply.code() == "TOKEN_REVOKED").then_some(()))
    })
    .await?;
    fleet::wait::until("the notice", PATIENCE, || async {
        let winner = [OTHER, "the second good one", "the third good one"];
        for password in winner {
            let body = json!({"email": email, "password": password});
            let reply = visitor.post("/api/v1/auth/login", &body).await?;
            if reply.status != 200 {
                continue;
            }
            let api = visitor.with_token(text(&reply.body, "access_token")?);
            let inbox = api.get("/api/v1/notifications").await?.require(200)?;
            let told = inbox["items"].as_array().into_iter().flatten();
            let mut events = told.map(|item| item["event"].as_str().unwrap_or_default());
            return Ok(events.any(|event| event == "user.password_changed").then_some(()));
        }
        Ok(None)
    })
    .await?;
    fleet.finish().await
}

/// The broker was away when somebody registered: nothing is lost, and the link comes late.
#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn a_link_comes_when_the_broker_does() -> Result<()> {
    let mut fleet = Fleet::start(FleetOptions::default().own_broker()).await?;
    let (visitor, email, mailbox) = (fleet.http()?, new_email(), fleet.mailbox());
    fleet.stop_broker().await?;
    visitor.register(&email, PASSWORD, "Ada").await?.require(201)?;
    ensure!(mailbox.mails_to(&email)?.is_empty(), "a message without an event");
    fleet.start_broker().await?;
    let mail = mailbox.mail_to(&email, 0).await?;
    verify(&visitor, mail.token()?).await?.require(204)?;
    fleet.finish().await
}
