//! Guessing of passwords is slowed down, and whoever is known is not held up by it.

use anyhow::{Result, ensure};
use fleet::harness::Api;
use fleet::harness::api::new_email;
use serde_json::json;

use super::try_login;
use crate::support::problem::refused;
use crate::support::stage::{PASSWORD, Stage};

/// Wrong passwords that cost nothing, of `throttle.account` and `throttle.password_change`.
const FREE: usize = 5;

pub(super) async fn a027_guessing_one_account_from_everywhere(stage: &Stage) -> Result<()> {
    let owner = stage.user().await?;
    // Nobody can tell by it whether there is an account.
    for email in [owner.email.as_str(), new_email().as_str()] {
        for n in 0..20 {
            let reply = try_login(&stage.visitor()?, email, "a wrong password").await?;
            let (status, code) =
                if n < FREE { (401, "CREDENTIALS_INVALID") } else { (429, "LOGIN_THROTTLED") };
            refused(&reply, status, code)?;
        }
    }
    // The pause is that of the account, also for the right password and at the other gateway.
    let elsewhere = stage.visitor()?.at(stage.gateway(1));
    for password in ["a wrong password", PASSWORD] {
        let reply = try_login(&elsewhere, &owner.email, password).await?;
        refused(&reply, 429, "LOGIN_THROTTLED")?;
    }
    // The owner's device comes in, and does not end the pause for the others.
    try_login(&owner.api, &owner.email, PASSWORD).await?.require(200)?;
    refused(&try_login(&elsewhere, &owner.email, PASSWORD).await?, 429, "LOGIN_THROTTLED")
}

pub(super) async fn a028_one_password_for_many_accounts(stage: &Stage) -> Result<()> {
    let sprayer = stage.visitor()?;
    let mut admitted = 0;
    let mut first_refusal = None;
    for n in 0..500 {
        let reply = try_login(&sprayer, &new_email(), "Summer2026!").await?;
        if reply.status == 401 {
            admitted += 1;
            continue;
        }
        ensure!(reply.status == 429, "{} {}", reply.status, reply.body);
        let is_known = ["LOGIN_THROTTLED", "RATE_LIMITED"].contains(&reply.code());
        ensure!(is_known, "{}", reply.body);
        ensure!(reply.header("retry-after").is_some(), "no Retry-After");
        first_refusal.get_or_insert(n);
    }
    ensure!(first_refusal.is_some_and(|n| n <= 30), "the first refusal came at {first_refusal:?}");
    ensure!(admitted <= 60, "{admitted} of 500 were let through");
    // Whoever is at another address is not held up.
    let user = stage.user().await?;
    try_login(&user.api, &user.email, PASSWORD).await?.require(200).map(|_| ())
}

pub(super) async fn a042_guessing_the_current_password(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let change = async |api: &Api, current: &str| {
        let body = json!({"current_password": current, "new_password": "another good one"});
        api.put("/api/v1/users/me/password", &body).await
    };
    for n in 0..20 {
        let reply = change(&user.api, "a wrong password").await?;
        let (status, code) =
            if n < FREE { (403, "CURRENT_PASSWORD_WRONG") } else { (429, "PASSWORD_THROTTLED") };
        refused(&reply, status, code)?;
    }
    refused(&change(&user.api, PASSWORD).await?, 429, "PASSWORD_THROTTLED")?;
    // The password is as it was, and whoever has it changes it in another session.
    let again = stage.visitor()?.login(&user.email, PASSWORD).await?;
    change(&again, PASSWORD).await?.require(204).map(|_| ())
}
