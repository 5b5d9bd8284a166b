//! A process that dies with a key in its hands.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fleet::harness::Api;
use fleet::harness::api::new_key;
use serde_json::Value;

use super::REPLAYED;
use crate::support::stage::{Stage, User};
use crate::support::{order_body, text};

const PATH: &str = "/api/v1/orders";
/// How long a client repeats its request.
const PATIENCE: Duration = Duration::from_mins(1);

/// Kills a process while it works on an order, starts it again, and repeats the request.
pub(super) async fn a103_killed_in_between(stage: &Stage) -> Result<()> {
    for service in ["order-service", "payment-service", "gateway-service"] {
        let user = stage.user().await?;
        let (key, body) = (new_key(), order_body("pm_slow_2s"));
        let first = user.api.post_once(PATH, &key, &body);
        let killed = kill_at_work(stage, &user, service);
        let (first, killed) = tokio::join!(first, killed);
        killed.context(service)?;
        ensure!(first.is_err() || first.is_ok_and(|reply| reply.status >= 202), "killed too late");
        stage.fleet.lock().await.restart(service, 0).await?;
        let answer = repeat(&user.api, &key, &body).await.context(service)?;
        let id = text(&answer, "id")?;
        let paid = fleet::wait::until("the order being paid", PATIENCE, || async {
            let found = crate::support::read(&user.api, &id).await?;
            Ok((found["status"] == "PAID").then_some(found))
        })
        .await?;
        ensure!(paid["version"] == 2, "{service}: {paid}");
        let orders = user.api.get(PATH).await?.require(200)?;
        ensure!(orders["items"].as_array().map(Vec::len) == Some(1), "{service}: {orders}");
        let payment = format!("/api/v1/payments/{}", text(&paid, "payment_id")?);
        let payment = user.api.get(&payment).await?.require(200)?;
        ensure!(payment["attempts"].as_array().map(Vec::len) == Some(1), "{service}: {payment}");
        let again = user.api.post_once(PATH, &key, &body).await?;
        ensure!(
            again.header(REPLAYED) == Some("true") && again.body["id"] == answer["id"],
            "{again:?}"
        );
    }
    Ok(())
}

/// Waits until the order is stored, at which time its payment is on its way, and kills.
async fn kill_at_work(stage: &Stage, user: &User, service: &str) -> Result<()> {
    let mut database = stage.database("order-service").await?;
    let query = "SELECT COUNT(*) FROM orders WHERE user_id = ? AND status = 'CREATED'";
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let stored: i64 = sqlx::query_scalar(query).bind(user.id).fetch_one(&mut database).await?;
        if stored == 1 {
            return stage.fleet.lock().await.kill(service, 0);
        }
        ensure!(tokio::time::Instant::now() < deadline, "the order was never stored");
        tokio::task::yield_now().await;
    }
}

/// Repeats a request until it is answered, as a client does that wants to know.
async fn repeat(api: &Api, key: &str, body: &Value) -> Result<Value> {
    fleet::wait::until("an answer", PATIENCE, || async {
        let reply = api.post_once(PATH, key, body).await?;
        match (reply.status, reply.code()) {
            (201 | 202, _) => Ok(Some(reply.body)),
            (503, _) | (409, "IDEMPOTENCY_IN_PROGRESS")
                if reply.header("retry-after").is_some() =>
            {
                Ok(None)
            }
            (status, _) => bail!("answered {status}: {}", reply.body),
        }
    })
    .await
}
