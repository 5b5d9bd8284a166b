//! What is done to the broker through its management API.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};

use super::act::Poison;
use crate::harness::Fleet;
use crate::random;

/// Deeper than any reader should go.
const DEPTH: usize = 10_000;
/// How names of queues of dead letters end.
const DEAD: &str = ".dead";
/// Larger than any event.
const LARGE: usize = 2_000_000;

/// Deletes the queue of a consumer with everything in it.
pub async fn delete_queue(fleet: &Fleet, consumer: &str) -> Result<()> {
    let path = format!("/api/queues/%2f/{}.{consumer}", fleet.namespace());
    call(fleet, Method::DELETE, &path, None).await.map(|_| ())
}

/// Publishes a message that nobody can process, where good ones of its kind arrive. It is signed as
/// far as it can be: the defect is the producer's.
pub async fn publish_poison(fleet: &Fleet, poison: Poison) -> Result<()> {
    let path = format!("/api/exchanges/%2f/{}.events/publish", fleet.namespace());
    let payload = fleet.credentials().sign_as("order-service", &payload(poison))?;
    let message = json!({
        "properties": {
            "delivery_mode": 2,
            "content_type": "application/cloudevents+json",
            "message_id": format!("poison-{}", random::token()),
        },
        "routing_key": "order.paid",
        "payload": payload,
        "payload_encoding": "string",
    });
    let reply = call(fleet, Method::POST, &path, Some(message)).await?;
    anyhow::ensure!(reply["routed"] == true, "the poison reached no queue");
    Ok(())
}

/// No two are alike: equal dead letters count as one.
fn payload(poison: Poison) -> String {
    let event = |data: Value| {
        let id = format!("poison-{}", random::token());
        json!({
            "specversion": "1.0", "id": id, "source": "chaos", "type": "order.paid",
            "subject": "00000000-0000-7000-8000-000000000000", "time": "2024-01-01T00:00:00.000Z",
            "data": data,
        })
        .to_string()
    };
    match poison {
        Poison::NoJson => format!("{{\"id\": \"{}\", ", random::token()),
        Poison::WrongTypes => event(json!({"version": "two", "user_id": 7, "order_id": []})),
        Poison::UnknownVersion => event(json!({"version": 1})).replace("\"1.0\"", "\"9.9\""),
        Poison::Deep => format!("{}\"{}\"", "[".repeat(DEPTH), random::token()),
        Poison::Large => event(json!({"filler": "x".repeat(LARGE)})),
    }
}

/// Queues of the fleet in which messages wait, dead letters left out.
pub async fn waiting(fleet: &Fleet) -> Result<Vec<(String, u64)>> {
    let list = call(fleet, Method::GET, "/api/queues/%2f", None).await?;
    let prefix = format!("{}.", fleet.namespace());
    let queues = list.as_array().context("the broker lists no queues")?;
    let own = queues.iter().filter_map(|queue| {
        let name = queue["name"].as_str()?.strip_prefix(&prefix)?;
        let messages = queue["messages"].as_u64().filter(|count| *count > 0)?;
        (!name.ends_with(DEAD)).then(|| (name.to_owned(), messages))
    });
    Ok(own.collect())
}

async fn call(fleet: &Fleet, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
    let management = fleet.addresses().amqp_management.as_ref();
    let base = Url::parse(management.context("the broker has no management API")?)?;
    let client = crate::http::client().build()?;
    let mut url = base.join(path)?;
    let (account, password) = (base.username().to_owned(), base.password().map(str::to_owned));
    let _ = (url.set_username(""), url.set_password(None));
    let mut request = client.request(method, url).basic_auth(account, password);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let reply = request.send().await?.error_for_status()?;
    if reply.status() == StatusCode::NO_CONTENT {
        return Ok(Value::Null);
    }
    Ok(reply.json().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_poison_is_wrong_in_its_own_way() {
        let parsed = |poison| serde_json::from_str::<Value>(&payload(poison)).ok();
        assert!(parsed(Poison::NoJson).is_none() && parsed(Poison::Deep).is_none());
        assert_eq!(parsed(Poison::UnknownVersion).unwrap()["specversion"], "9.9");
        assert!(parsed(Poison::WrongTypes).unwrap()["data"]["version"].is_string());
        assert!(payload(Poison::Large).len() > LARGE);
        for poison in [Poison::NoJson, Poison::Deep, Poison::WrongTypes, Poison::UnknownVersion] {
            assert_ne!(payload(poison), payload(poison), "{poison:?}");
        }
    }
}
