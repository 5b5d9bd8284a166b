//! What becomes of a key that comes again.

use anyhow::{Context, Result, ensure};
use fleet::harness::api::new_key;
use fleet::harness::{Api, Reply};
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{REPLAYED, operations};
use crate::support::problem::refused;
use crate::support::stage::{PASSWORD, Stage};
use crate::support::{TEA, order, order_body, text};

const PATH: &str = "/api/v1/orders";

/// Checks that an answer repeats another one.
fn repeats(again: &Reply, first: &Reply) -> Result<()> {
    ensure!(again.status == first.status, "{} instead of {}", again.status, first.status);
    ensure!(again.body == first.body, "{} instead of {}", again.body, first.body);
    ensure!(again.header(REPLAYED) == Some("true"), "not marked as repeated");
    Ok(())
}

async fn count(api: &Api) -> Result<usize> {
    let list = api.get("/api/v1/orders?page_size=100").await?.require(200)?;
    list["items"].as_array().map(Vec::len).context("no items")
}

pub(super) async fn a096_same_request_again(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    for (path, body) in operations(&user.api).await? {
        let key = new_key();
        let first = user.api.post_once(&path, &key, &body).await?;
        ensure!(first.status < 300 && first.header(REPLAYED).is_none(), "{path}: {}", first.body);
        for _ in 0..5 {
            let again = user.api.post_once(&path, &key, &body).await?;
            repeats(&again, &first).with_context(|| path.clone())?;
        }
    }
    // Three for the operations, one by them.
    ensure!(count(&user.api).await? == 4, "an order was placed twice");
    Ok(())
}

pub(super) async fn a097_same_key_for_another_request(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let key = new_key();
    let body = |quantity: u32, method: &str| json!({"items": [{"sku": TEA, "quantity": quantity}], "payment_method": method});
    let first = user.api.post_once(PATH, &key, &body(1, "pm_ok")).await?;
    ensure!(first.status == 201, "{}", first.body);
    let other = json!({"items": [{"sku": "CUP-001", "quantity": 1}], "payment_method": "pm_ok"});
    let more = json!({"items": [{"sku": TEA, "quantity": 1}, {"sku": "CUP-001", "quantity": 1}],
        "payment_method": "pm_ok"});
    for changed in [body(2, "pm_ok"), body(1, "pm_declined"), other, more] {
        let reply = user.api.post_once(PATH, &key, &changed).await?;
        refused(&reply, 422, "IDEMPOTENCY_KEY_REUSED")?;
    }
    // The same members in another order and with other space say the same.
    let item = format!("{{ \"quantity\" : 1,\n\"sku\":\"{TEA}\"}}");
    let text = format!(" {{\"payment_method\":\"pm_ok\" , \"items\":[{item}]}} ");
    let request = user.api.request(Method::POST, PATH).header("content-type", "application/json");
    let again = user.api.send(request.header("idempotency-key", &key).body(text)).await?;
    repeats(&again, &first)?;
    // A key that was used for one order is used up for another.
    let (one, two) =
        (order(&user.api, "pm_declined").await?, order(&user.api, "pm_declined").await?);
    let paths =
        [&one, &two].map(|order| format!("{PATH}/{}/pay", order["id"].as_str().unwrap_or("?")));
    let (key, body) = (new_key(), json!({"payment_method": "pm_ok"}));
    user.api.post_once(&paths[0], &key, &body).await?.require(200)?;
    refused(&user.api.post_once(&paths[1], &key, &body).await?, 422, "IDEMPOTENCY_KEY_REUSED")
}

pub(super) async fn a098_fifty_at_once(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let apis = [user.api.clone(), user.api.at(stage.gateway(1))];
    for method in ["pm_ok", "pm_slow_2s"] {
        let (key, body) = (new_key(), order_body(method));
        let before = count(&user.api).await?;
        let replies =
            try_join_all((0..50).map(|n| apis[n % 2].post_once(PATH, &key, &body))).await?;
        let (good, bad): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status < 300);
        ensure!(!good.is_empty(), "{}", bad[0].body);
        for reply in bad {
            refused(reply, 409, "IDEMPOTENCY_IN_PROGRESS")?;
            ensure!(reply.header("retry-after").is_some(), "no Retry-After");
        }
        let first = good.iter().filter(|reply| reply.header(REPLAYED).is_none()).count();
        ensure!(first <= 1, "{first} were carried out");
        ensure!(good.iter().all(|reply| reply.body["id"] == good[0].body["id"]), "{good:?}");
        ensure!(count(&user.api).await? == before + 1, "not one effect");
    }
    Ok(())
}

pub(super) async fn a099_key_of_another_user(stage: &Stage) -> Result<()> {
    let (owner, other) = (stage.user().await?, stage.user().await?);
    let (key, body) = (new_key(), order_body("pm_ok"));
    let first = owner.api.post_once(PATH, &key, &body).await?.require(201)?;
    let second = other.api.post_once(PATH, &key, &body).await?;
    ensure!(second.header(REPLAYED).is_none(), "another user's answer was repeated");
    let second = second.require(201)?;
    ensure!(first["id"] != second["id"] && second["user_id"] == json!(other.id), "{second}");
    // Another body under the same key is no conflict between users either.
    let third = stage.user().await?;
    third.api.post_once(PATH, &key, &order_body("pm_declined")).await?.require(201)?;
    // An operation on another's order stays hidden whatever the key.
    let path = format!("{PATH}/{}/cancel", text(&first, "id")?);
    let reply = other.api.post_once(&path, &key, &json!({})).await?;
    refused(&reply, 404, "ORDER_NOT_FOUND")
}

pub(super) async fn a100_replay_everywhere(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let (key, body) = (new_key(), order_body("pm_ok"));
    let first = user.api.post_once(PATH, &key, &body).await?;
    ensure!(first.status == 201, "{}", first.body);
    let other = user.api.at(stage.gateway(1));
    repeats(&other.post_once(PATH, &key, &body).await?, &first).context("another gateway")?;
    let login = json!({"email": user.email, "password": PASSWORD});
    let visitor = stage.visitor()?;
    let session = visitor.post("/api/v1/auth/login", &login).await?.require(200)?;
    let refresh = json!({"refresh_token": session["refresh_token"]});
    let tokens = visitor.post("/api/v1/auth/refresh", &refresh).await?.require(200)?;
    let refreshed = visitor.with_token(text(&tokens, "access_token")?);
    repeats(&refreshed.post_once(PATH, &key, &body).await?, &first).context("another token")?;
    flush_redis(stage).await?;
    for api in [&user.api, &other, &refreshed] {
        repeats(&api.post_once(PATH, &key, &body).await?, &first)
            .context("without Redis' memory")?;
    }
    ensure!(count(&user.api).await? == 1, "not one order");
    Ok(())
}

/// Empties the fleet's own Redis.
async fn flush_redis(stage: &Stage) -> Result<()> {
    let url = stage.fleet.lock().await.addresses().redis.clone();
    let url = reqwest::Url::parse(&url)?;
    let address = (url.host_str().context("no host")?, url.port().context("no port")?);
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"FLUSHALL\r\n").await?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await?;
    ensure!(&answer == b"+OK\r\n", "{:?}", String::from_utf8_lossy(&answer));
    Ok(())
}

pub(super) async fn a101_same_key_for_another_operation(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let key = new_key();
    for (path, body) in operations(&user.api).await? {
        let reply = user.api.post_once(&path, &key, &body).await?;
        ensure!(reply.header(REPLAYED).is_none(), "{path}: repeated");
        ensure!(reply.status < 300, "{path}: {}", reply.body);
    }
    // Where no key belongs it means nothing.
    for _ in 0..2 {
        let request = user.api.request(Method::GET, PATH).header("idempotency-key", &key);
        let reply = user.api.send(request).await?;
        ensure!(reply.header(REPLAYED).is_none(), "a reading is repeated");
        reply.require(200)?;
    }
    Ok(())
}

pub(super) async fn a102_refused_requests_keep_no_key(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let good = order_body("pm_ok");
    let with = |items: Value, method: &str| json!({"items": items, "payment_method": method});
    for (bad, code) in [
        (with(json!([]), "pm_ok"), "VALIDATION_FAILED"),
        (with(json!([{"sku": TEA, "quantity": 0}]), "pm_ok"), "VALIDATION_FAILED"),
        (with(json!([{"sku": "NONE-001", "quantity": 1}]), "pm_ok"), "PRODUCT_UNKNOWN"),
        (with(json!([{"sku": TEA, "quantity": 1}]), "4111111111111111"), "PAYMENT_METHOD_INVALID"),
        (json!({"items": 1}), "VALIDATION_FAILED"),
        (json!({"note": 1}), "UNKNOWN_FIELD"),
    ] {
        let key = new_key();
        refused(&user.api.post_once(PATH, &key, &bad).await?, 422, code)?;
        let corrected = user.api.post_once(PATH, &key, &good).await?;
        ensure!(corrected.header(REPLAYED).is_none(), "{code}: repeated");
        corrected.require(201)?;
        // Now the key is used, also for what was refused before it was.
        let other = with(json!([{"sku": "NONE-001", "quantity": 1}]), "pm_ok");
        let reply = user.api.post_once(PATH, &key, &other).await?;
        refused(&reply, 422, "IDEMPOTENCY_KEY_REUSED")?;
    }
    Ok(())
}
