//! What several tests ask of a fleet.

use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result};
use chassis::config::{TlsConfig, UpstreamConfig};
use chassis::discovery::Endpoint;
use chassis::grpc::Channel;
use chassis::identity::Identity;
use fleet::harness::{Api, Reply};
use fleet::{Fleet, environment};
use reqwest::Url;
use serde_json::{Value, json};

/// The product that most tests order; see `fleet::seed`.
pub(crate) const TEA: &str = fleet::seed::DEMO_SKU;

/// A number that whoever wants the full claim sets higher, such as `EH_TEST_ROLLING_REQUESTS=20000`.
pub(crate) fn number<N>(variable: &str, usual: N) -> Result<N>
where
    N: FromStr,
    N::Err: std::error::Error + Send + Sync + 'static,
{
    let given = environment::find(variable).map(|text| text.parse::<N>());
    given.unwrap_or(Ok(usual)).with_context(|| format!("{variable} is no number"))
}

/// The identity of a service of the fleet.
pub(crate) fn identity(fleet: &Fleet, service: &str) -> Result<Option<Arc<Identity>>> {
    let credentials = fleet.credentials();
    let config = TlsConfig {
        certificate_path: credentials.certificate(service).display().to_string(),
        key_path: credentials.key(service).display().to_string(),
        ca_path: credentials.ca(service).display().to_string(),
        ..TlsConfig::default()
    };
    Ok(Identity::load(service, &config)?)
}

/// A way to the gRPC port of a service, for calls under the name of another.
pub(crate) fn channel(fleet: &Fleet, caller: &str, service: &'static str) -> Result<Channel> {
    let endpoint = Endpoint::new("127.0.0.1", fleet.port(service, 0)?);
    let (own, config) = (identity(fleet, caller)?, UpstreamConfig::default());
    Ok(chassis::testing::grpc::channel_as(own, service, &[endpoint], &config))
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

/// Reads an order.
pub(crate) async fn read(customer: &Api, order: &str) -> Result<Value> {
    customer.get(&format!("/api/v1/orders/{order}")).await?.require(200)
}

/// Waits until an order has this status.
pub(crate) async fn until_status(
    fleet: &Fleet,
    customer: &Api,
    order: &str,
    status: &str,
) -> Result<Value> {
    let what = format!("order {order} being {status}");
    fleet
        .eventually(&what, || async {
            let found = read(customer, order).await?;
            Ok((found["status"] == status).then_some(found))
        })
        .await
}

/// Waits until the customer was told of an event of a subject, and returns the notifications
/// about it.
pub(crate) async fn until_told(
    fleet: &Fleet,
    customer: &Api,
    event: &str,
    subject: &str,
) -> Result<Vec<Value>> {
    let what = format!("a notification of {event} about {subject}");
    fleet
        .eventually(&what, || async {
            let told = told(customer, event, subject).await?;
            Ok((!told.is_empty()).then_some(told))
        })
        .await
}

/// The customer's notifications of an event of a subject.
pub(crate) async fn told(customer: &Api, event: &str, subject: &str) -> Result<Vec<Value>> {
    let list = customer.get("/api/v1/notifications?page_size=100").await?.require(200)?;
    let items = list["items"].as_array().context("no items")?;
    let about = |item: &&Value| item["event"] == event && item["subject"] == subject;
    Ok(items.iter().filter(about).cloned().collect())
}

/// Pieces of a product that can still be ordered.
pub(crate) async fn stock(api: &Api, sku: &str) -> Result<i64> {
    let product = api.get(&format!("/api/v1/products/{sku}")).await?.require(200)?;
    product["stock"].as_i64().context("a product without stock")
}

/// Posts a step of an order under a fresh idempotency key.
pub(crate) async fn step(api: &Api, order: &str, step: &str, body: &Value) -> Result<Reply> {
    let key = fleet::harness::api::new_key();
    api.post_once(&format!("/api/v1/orders/{order}/{step}"), &key, body).await
}

/// Publishes to the fleet's exchange as a broken producer would.
pub(crate) async fn publish(fleet: &Fleet, routing_key: &str, payload: &str) -> Result<()> {
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
