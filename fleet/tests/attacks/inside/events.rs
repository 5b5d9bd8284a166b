//! Events that no producer has told.

use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use chassis::clock::{Clock as _, SystemClock};
use chassis::config::{AmqpConfig, DEVELOPMENT_KEY, EventsConfig, Secret};
use chassis::id::new_id;
use chassis::messaging::amqp::Broker;
use chassis::messaging::{Envelope, EventKeys, OutboundMessage, Publisher as _, Signer};
use chassis::shutdown::Shutdown;
use fleet::credentials::Credentials;
use fleet::harness::Api;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::stage::{Stage, User};
use crate::support::{PATIENCE, order, read, text};

/// Somebody with an account at the broker, and no producer's key.
struct Intruder {
    broker: Broker,
    shutdown: Shutdown,
    credentials: Credentials,
    _supervisor: JoinSet<()>,
}

impl Intruder {
    async fn enter(stage: &Stage) -> Result<Self> {
        let fleet = stage.fleet.lock().await;
        let config = AmqpConfig {
            url: Secret::new(fleet.addresses().amqp.clone()),
            namespace: fleet.namespace().to_owned(),
            ..AmqpConfig::default()
        };
        // Without a key the publisher sends what it is given as it is.
        let keys = EventKeys::new("intruder", &EventsConfig::default())?;
        let broker = Broker::new(&config, "intruder", keys)?;
        let (shutdown, mut supervisor) = (Shutdown::new(), JoinSet::new());
        supervisor.spawn(broker.clone().supervise(shutdown.clone()));
        broker.wait_connected().await;
        let credentials = fleet.credentials().clone();
        Ok(Self { broker, shutdown, credentials, _supervisor: supervisor })
    }

    async fn publish(&self, routing_key: &str, payload: &str) -> Result<()> {
        let message = OutboundMessage {
            id: new_id().to_string(),
            routing_key: routing_key.to_owned(),
            payload: payload.to_owned(),
            traceparent: None,
        };
        for outcome in self.broker.publisher().publish(&[message]).await {
            outcome.context("the broker does not take it")?;
        }
        Ok(())
    }

    /// The signer of a producer: its real key, as nobody else has it.
    fn signer(&self, producer: &str) -> Result<Signer> {
        let key = fs::read_to_string(self.credentials.event_key(producer))?;
        signer(producer, &key)
    }
}

fn signer(producer: &str, key: &str) -> Result<Signer> {
    let config = EventsConfig { signing_key: Secret::new(key), ..EventsConfig::default() };
    Ok(Signer::new(producer, &config)?)
}

/// An event as its producer would tell it.
fn event(source: &str, name: &str, subject: Uuid, user: Uuid, version: u64) -> Result<String> {
    let schema: Value = serde_json::from_str(proto::events::schema(name).context("no event")?)?;
    let mut data = schema["examples"][0]["data"].clone();
    (data["user_id"], data["version"]) = (json!(user), json!(version));
    let now = SystemClock.now();
    Ok(Envelope::new(source, name, subject, version, now, data)?.to_json()?)
}

/// Open dead letters whose id of the event is about this subject.
async fn letters(admin: &Api, subject: Uuid) -> Result<Vec<Value>> {
    let path = "/api/v1/admin/dead-letters?status=OPEN&page_size=100";
    let page = admin.get(path).await?.require(200)?;
    let items = page["items"].as_array().context("no items")?;
    let about = |letter: &&Value| {
        letter["event_id"].as_str().is_some_and(|id| id.contains(&subject.to_string()))
    };
    Ok(items.iter().filter(about).cloned().collect())
}

async fn told(user: &User, subject: Uuid) -> Result<usize> {
    let list = user.api.get("/api/v1/notifications?page_size=100").await?.require(200)?;
    let items = list["items"].as_array().context("no items")?;
    Ok(items.iter().filter(|item| item["subject"] == json!(subject)).count())
}

pub(super) async fn a133_forged_events(stage: &Stage) -> Result<()> {
    let intruder = Intruder::enter(stage).await?;
    let (user, admin) = (stage.user().await?, stage.admin().await?);
    let subject = new_id();
    let plain = event("order-service", "order.paid", subject, user.id, 2)?;
    let genuine = intruder.signer("order-service")?.sign(&plain);
    let known = signer("order-service", DEVELOPMENT_KEY)?.sign(&plain);
    let foreign = intruder.signer("auth-service")?.sign(&plain);
    let altered = genuine.replace(&user.id.to_string(), &new_id().to_string());
    ensure!(altered != genuine);
    let forged = [
        (plain, "not signed"),
        (known, "not trusted"),
        (foreign, "not one of the producer"),
        (altered, "signature of the message is wrong"),
    ];
    for (payload, why) in &forged {
        intruder.publish("order.paid", payload).await?;
        let found = fleet::wait::until(why, PATIENCE, || async {
            let found = letters(&admin, subject).await?;
            let is_it = |letter: &&Value| {
                letter["reason"].as_str().is_some_and(|reason| reason.contains(why))
            };
            Ok(found.iter().find(is_it).cloned())
        })
        .await?;
        let id = text(&found, "id")?;
        let replayed =
            admin.post(&format!("/api/v1/admin/dead-letters/{id}/replay"), &json!({})).await?;
        ensure!(replayed.code() == "REPLAY_FAILED", "{why}: {}", replayed.body);
        let discarded =
            admin.post(&format!("/api/v1/admin/dead-letters/{id}/discard"), &json!({})).await?;
        discarded.require_any(&[200, 204])?;
    }
    ensure!(told(&user, subject).await? == 0, "a forged event was told");

    // The same event, from who may tell it: told once, however often it comes.
    for _ in 0..3 {
        intruder.publish("order.paid", &genuine).await?;
    }
    let once = || async { Ok((told(&user, subject).await? == 1).then_some(())) };
    fleet::wait::until("the genuine event", PATIENCE, once).await?;
    no_payment_by_rumour(stage, &intruder, &user).await?;
    ensure!(told(&user, subject).await? == 1, "a repeated event was told again");
    intruder.shutdown.force();
    Ok(())
}

/// Whoever tells order-service of a payment has to be payment-service.
async fn no_payment_by_rumour(stage: &Stage, intruder: &Intruder, user: &User) -> Result<()> {
    let placed = order(&user.api, "pm_never").await?;
    let (id, payment) = (text(&placed, "id")?, text(&placed, "payment_id")?.parse()?);
    let mut rumour: Value =
        serde_json::from_str(&event("payment-service", "payment.succeeded", payment, user.id, 9)?)?;
    rumour["data"]["order_id"] = json!(id);
    rumour["data"]["payment_id"] = json!(payment);
    let metrics = stage.fleet.lock().await.internal_url("order-service", 0)? + "/metrics";
    let client = Arc::new(fleet::http::client().build()?);
    let before = untrusted(&client, &metrics).await?;
    let payload = signer("payment-service", DEVELOPMENT_KEY)?.sign(&rumour.to_string());
    intruder.publish("payment.succeeded", &payload).await?;
    let refused = || async { Ok((untrusted(&client, &metrics).await? > before).then_some(())) };
    fleet::wait::until("the rumour being refused", PATIENCE, refused).await?;
    let status = read(&user.api, &id).await?["status"].clone();
    ensure!(status == "CREATED", "{status}");
    Ok(())
}

/// How many messages order-service has not believed.
async fn untrusted(client: &reqwest::Client, metrics: &str) -> Result<f64> {
    let text = client.get(metrics).send().await?.text().await?;
    let lines = text.lines().filter(|line| {
        line.starts_with("eh_consumer_events_total{") && line.contains("outcome=\"untrusted\"")
    });
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}
