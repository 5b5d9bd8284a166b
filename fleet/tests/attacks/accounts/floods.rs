//! Many at once.

use anyhow::{Result, bail, ensure};
use fleet::harness::api::new_email;
use fleet::harness::{Api, Reply};
use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _};

use super::try_login;
use crate::support::problem::refused;
use crate::support::stage::{PASSWORD, Stage};

/// Registrations at once.
const REGISTRATIONS: usize = 100;
/// Logins of the flood.
const FLOOD: usize = 600;
/// Logins of the flood at once; far more than are answered in the time of one.
const FLOOD_AT_ONCE: usize = 64;
/// Requests of others meanwhile.
const OTHERS: usize = 200;

pub(super) async fn a039_one_address_a_hundred_times_at_once(stage: &Stage) -> Result<()> {
    let email = new_email();
    let spellings = [email.clone(), email.to_uppercase(), email.replace("example", "Example")];
    let visitors: Vec<Api> = (0..REGISTRATIONS)
        .map(|n| Ok(stage.visitor()?.at(stage.gateway(n))))
        .collect::<Result<_>>()?;
    let register = |(n, api): (usize, &Api)| {
        let (api, email) = (api.clone(), spellings[n % spellings.len()].clone());
        async move { api.register(&email, PASSWORD, "Li").await }
    };
    let replies = try_join_all(visitors.iter().enumerate().map(register)).await?;
    let made = replies.iter().filter(|reply| reply.status == 201).count();
    ensure!(made == 1, "{made} accounts of one address");
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        refused(reply, 409, "ACCOUNT_EXISTS")?;
    }
    let stored: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM users WHERE email_normalized = ?")
        .bind(email.to_lowercase())
        .fetch_one(&mut stage.database("user-service").await?)
        .await?;
    ensure!(stored == 1, "{stored} rows");
    Ok(())
}

pub(super) async fn a040_a_flood_of_logins(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let flooder = stage.visitor()?;
    let login = |n: usize| {
        let api = flooder.clone();
        async move { try_login(&api, &format!("flood{n}@example.com"), "a wrong password").await }
    };
    let flood = stream::iter(0..FLOOD).map(login).buffer_unordered(FLOOD_AT_ONCE);
    // Whoever has no part in it is served meanwhile; how fast is measured by `ehub bench login-flood`.
    let others = async {
        for _ in 0..OTHERS {
            user.api.get("/api/v1/users/me").await?.require(200)?;
        }
        Ok::<_, anyhow::Error>(())
    };
    let (replies, others) = futures::future::join(flood.collect::<Vec<_>>(), others).await;
    others?;
    let mut refusals = 0;
    for reply in replies {
        refusals += usize::from(is_turned_away(&reply?)?);
    }
    // One address may try so many accounts, however many cores there are to look at passwords.
    ensure!(refusals > FLOOD / 2, "{refusals} of {FLOOD} were turned away");
    Ok(())
}

/// Whether a login was turned away, with a time for another try, before its password was looked at.
fn is_turned_away(reply: &Reply) -> Result<bool> {
    match (reply.status, reply.code()) {
        (401, "CREDENTIALS_INVALID") => Ok(false),
        (429, "LOGIN_THROTTLED" | "RATE_LIMITED") | (503, "SERVICE_UNAVAILABLE") => {
            ensure!(reply.header("retry-after").is_some(), "{} without a time", reply.status);
            Ok(true)
        }
        (status, _) => bail!("{status} {}", reply.body),
    }
}
