//! Whether an account is there, or disabled, can be told neither by the answer nor by the work behind
//! it. What that work takes in time is measured by `ehub bench logins`.

use anyhow::{Context, Result, ensure};
use fleet::harness::Api;
use fleet::harness::api::new_email;
use fleet::{Fleet, FleetOptions};
use serde_json::json;

use super::try_login;
use crate::support::problem::{refused, without_trace};
use crate::support::stage::{PASSWORD, Stage};
use crate::support::text;

/// Tries of each kind.
const TRIES: usize = 10;
/// More than the whole row needs: what would answer instead of the password check is set aside.
const UNLIMITED: &str = "1000000";
/// What user-service has done for passwords.
const WORK: &str = "eh_password_work_kib_total";

pub(super) async fn a026_accounts_that_are_there_and_that_are_not(_stage: &Stage) -> Result<()> {
    let mut options =
        FleetOptions::default().setting("EH_GATEWAY__RATE_LIMITS__LOGIN__REQUESTS", UNLIMITED);
    for meter in ["ACCOUNT", "ADDRESS", "SPRAYING"] {
        options = options.setting(&format!("EH_AUTH__THROTTLE__{meter}__FREE"), UNLIMITED);
    }
    // Of its own, so that nobody else's passwords are counted.
    let mut fleet = Fleet::start(options).await?;
    let visitor = fleet.http()?;
    let (known, disabled) = (account(&visitor).await?, account(&visitor).await?);
    let status = format!("/api/v1/users/{}/status", disabled.1);
    fleet.admin().await?.put(&status, &json!({"status": "DISABLED"})).await?.require(200)?;

    let (mut answer, mut cost) = (None, None);
    let mut before = work(&mut fleet).await?;
    for _ in 0..TRIES {
        let no_address = "nobody at all".to_owned();
        for email in [known.0.clone(), new_email(), disabled.0.clone(), no_address] {
            let reply = try_login(&visitor, &email, "a wrong password").await?;
            refused(&reply, 401, "CREDENTIALS_INVALID")?;
            let said = without_trace(&reply);
            ensure!(*answer.get_or_insert_with(|| said.clone()) == said, "{said}");
            let after = work(&mut fleet).await?;
            let spent = after - before;
            ensure!(spent > 0 && *cost.get_or_insert(spent) == spent, "{cost:?} KiB, then {spent}");
            before = after;
        }
    }
    fleet.finish().await
}

/// A new account: its address and its id.
async fn account(visitor: &Api) -> Result<(String, String)> {
    let email = new_email();
    let user = visitor.register(&email, PASSWORD, "Customer").await?.require(201)?;
    Ok((email, text(&user, "id")?))
}

/// The KiB that hashes have walked through so far.
async fn work(fleet: &mut Fleet) -> Result<u64> {
    let url = format!("{}/metrics", fleet.internal_url("user-service", 0)?);
    let metrics = fleet::http::client().build()?.get(url).send().await?.text().await?;
    let line = metrics.lines().find(|line| line.starts_with(WORK)).context("no such metric")?;
    let value = line.rsplit(' ').next().unwrap_or_default();
    value.parse().with_context(|| format!("{line} is no count"))
}
