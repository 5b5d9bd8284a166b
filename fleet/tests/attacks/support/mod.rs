//! What rows need: clients with addresses of their own, users, forged tokens, raw bytes on a
//! connection, and what a refusal has to look like.

pub(crate) mod contract;
pub(crate) mod frames;
pub(crate) mod problem;
pub(crate) mod raw;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod stage;

use std::time::Duration;

use anyhow::{Context, Result};
use fleet::harness::{Api, Reply};
use serde_json::{Value, json};

use self::stage::Stage;

/// How long a row waits for what happens after an event.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The product that most rows order; see `fleet::seed`.
pub(crate) const TEA: &str = fleet::seed::DEMO_SKU;

/// The sum of those series of a process, named by its service and number, whose lines are meant.
pub(crate) async fn counted(
    stage: &Stage,
    (service, replica): (&str, usize),
    is_meant: impl Fn(&str) -> bool,
) -> Result<u64> {
    let url = stage.fleet.lock().await.internal_url(service, replica)?;
    counted_at(&url, is_meant).await
}

/// The same of the process whose internal port is at `url`.
pub(crate) async fn counted_at(url: &str, is_meant: impl Fn(&str) -> bool) -> Result<u64> {
    let metrics = fleet::http::client().build()?.get(format!("{url}/metrics")).send().await?;
    let metrics = metrics.text().await?;
    let lines = metrics.lines().filter(|line| is_meant(line));
    let counts = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    Ok(counts.sum())
}

/// A member that must be text.
pub(crate) fn text(body: &Value, member: &str) -> Result<String> {
    let value = body[member].as_str();
    Ok(value.with_context(|| format!("no {member} in {body}"))?.to_owned())
}

/// Orders one piece of tea and returns the order, settled or not.
pub(crate) async fn order(customer: &Api, payment_method: &str) -> Result<Value> {
    customer.order(TEA, 1, payment_method).await?.require_any(&[201, 202])
}

/// The body of an order of one piece of tea.
pub(crate) fn order_body(payment_method: &str) -> Value {
    json!({"items": [{"sku": TEA, "quantity": 1}], "payment_method": payment_method})
}

/// Reads an order.
pub(crate) async fn read(customer: &Api, order: &str) -> Result<Value> {
    customer.get(&format!("/api/v1/orders/{order}")).await?.require(200)
}

/// Posts a step of an order under a fresh idempotency key.
pub(crate) async fn step(api: &Api, order: &str, step: &str, body: &Value) -> Result<Reply> {
    let key = fleet::harness::api::new_key();
    api.post_once(&format!("/api/v1/orders/{order}/{step}"), &key, body).await
}

/// The caller's own id.
pub(crate) async fn own_id(api: &Api) -> Result<String> {
    text(&api.get("/api/v1/users/me").await?.require(200)?, "id")
}
