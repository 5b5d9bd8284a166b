//! Whether an account is there, or disabled, can be told neither by the answer nor by its time.

use std::time::Duration;

use anyhow::{Result, ensure};
use fleet::harness::api::new_email;
use fleet::harness::{Api, Reply};
use fleet::{Fleet, FleetOptions};
use serde_json::{Value, json};

use super::try_login;
use crate::support::problem::refused;
use crate::support::stage::{PASSWORD, Stage};
use crate::support::text;

/// Tries of each kind.
const TRIES: usize = 200;
/// How far the medians may lie apart. The promise is 5 %; on a machine that does other things at the
/// same time, a test can hold it against a wider bound only, and prints what it measured.
const BOUND: f64 = 0.25;
/// More than the whole row needs: what would answer instead of the password check is set aside.
const UNLIMITED: &str = "1000000";

pub(super) async fn a026_accounts_that_are_there_and_that_are_not(_stage: &Stage) -> Result<()> {
    let mut options =
        FleetOptions::default().setting("EH_GATEWAY__RATE_LIMITS__LOGIN__REQUESTS", UNLIMITED);
    for meter in ["ACCOUNT", "ADDRESS", "SPRAYING"] {
        options = options.setting(&format!("EH_AUTH__THROTTLE__{meter}__FREE"), UNLIMITED);
    }
    let fleet = Fleet::start(options).await?;
    let visitor = fleet.http()?;
    let (known, disabled) = (account(&visitor).await?, account(&visitor).await?);
    let status = format!("/api/v1/users/{}/status", disabled.1);
    fleet.admin().await?.put(&status, &json!({"status": "DISABLED"})).await?.require(200)?;

    let mut times: [Vec<Duration>; 3] = Default::default();
    let mut answer = None;
    for n in 0..TRIES {
        let emails = [known.0.clone(), new_email(), disabled.0.clone()];
        // One after the other, each time beginning with another one: what disturbs the machine
        // disturbs all three alike.
        for at in (0..emails.len()).map(|at| (at + n) % emails.len()) {
            let reply = try_login(&visitor, &emails[at], "a wrong password").await?;
            refused(&reply, 401, "CREDENTIALS_INVALID")?;
            let said = without_trace(&reply);
            ensure!(*answer.get_or_insert_with(|| said.clone()) == said, "{said}");
            times[at].push(reply.elapsed);
        }
    }
    let medians = times.map(median);
    let [known, unknown, disabled] = medians.map(|median| median.as_secs_f64() * 1_000.0);
    println!(
        "medians over {TRIES} tries each: known {known:.2} ms, unknown {unknown:.2} ms, disabled {disabled:.2} ms"
    );
    for other in [unknown, disabled] {
        let apart = (other / known - 1.0).abs();
        ensure!(apart <= BOUND, "{:.1} % apart", apart * 100.0);
    }
    fleet.finish().await
}

/// A new account: its address and its id.
async fn account(visitor: &Api) -> Result<(String, String)> {
    let email = new_email();
    let user = visitor.register(&email, PASSWORD, "Customer").await?.require(201)?;
    Ok((email, text(&user, "id")?))
}

fn without_trace(reply: &Reply) -> Value {
    let mut body = reply.body.clone();
    body["trace_id"] = Value::Null;
    let header = |name| reply.header(name).map(str::to_owned);
    json!({"body": body, "challenge": header("www-authenticate"), "length": header("content-length")})
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
