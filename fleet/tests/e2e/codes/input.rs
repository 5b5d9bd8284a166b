//! What is wrong with a request before anybody looks at what it asks for.

use std::time::Duration;

use anyhow::{Context, Result};
use fleet::harness::Reply;
use fleet::harness::api::new_key;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Stage;
use crate::support::TEA;

/// Longer than `http.max_body_bytes`.
const TOO_LONG: usize = 1_048_577;
const SLOW_LIMIT: Duration = Duration::from_secs(20);

pub(super) async fn produce(stage: &mut Stage) -> Result<()> {
    bodies(stage).await?;
    slow_body(stage).await?;
    heads(stage).await?;
    addresses(stage).await?;
    keys(stage).await
}

async fn bodies(stage: &mut Stage) -> Result<()> {
    let login = "/api/v1/auth/login";
    for (content_type, body, code) in [
        ("application/json", "{\"email\":".to_owned(), "JSON_INVALID"),
        ("text/plain", "{}".to_owned(), "MEDIA_TYPE_UNSUPPORTED"),
        ("application/json", "a".repeat(TOO_LONG), "BODY_TOO_LARGE"),
        (
            "application/json",
            r#"{"email":"a@example.com","email":"b@example.com","password":"x"}"#.to_owned(),
            "DUPLICATE_FIELD",
        ),
        (
            "application/json",
            r#"{"email":"a@example.com","password":"x","role":"admin"}"#.to_owned(),
            "UNKNOWN_FIELD",
        ),
        ("application/json", r#"{"email":1,"password":"x"}"#.to_owned(), "VALIDATION_FAILED"),
    ] {
        let request = stage.visitor.request(Method::POST, login);
        let request = request.header("content-type", content_type).body(body);
        let reply = stage.visitor.send(request).await?;
        stage.seen.expect(&reply, code)?;
    }
    Ok(())
}

/// Announces a body and never sends it.
async fn slow_body(stage: &mut Stage) -> Result<()> {
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: 127.0.0.1\r\n\
                content-type: application/json\r\ncontent-length: 40\r\n\r\n{";
    let reply = exchange(stage, "POST /api/v1/auth/login", head).await?;
    stage.seen.expect(&reply, "REQUEST_TIMEOUT")
}

/// Heads that no client library sends.
async fn heads(stage: &mut Stage) -> Result<()> {
    let long = "a".repeat(64 * 1024);
    for (request, head, code) in [
        ("GET /livez", "GET /livez HTTP/1.1\r\nhost : x\r\n\r\n".to_owned(), "REQUEST_MALFORMED"),
        ("GET /livez", format!("GET /livez HTTP/1.1\r\nx: {long}\r\n\r\n"), "HEADERS_TOO_LARGE"),
        ("GET", format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"), "URI_TOO_LONG"),
        (
            "GET /livez",
            "GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(),
            "HOST_INVALID",
        ),
    ] {
        let reply = exchange(stage, request, &head).await?;
        stage.seen.expect(&reply, code)?;
    }
    Ok(())
}

/// Sends bytes, and reads what comes until the gateway closes.
async fn exchange(stage: &mut Stage, request: &str, bytes: &str) -> Result<Reply> {
    let port = stage.fleet.port("gateway-service", 0)?;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(bytes.as_bytes()).await?;
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(SLOW_LIMIT, read).await.context("the connection stays open")??;
    parse(request, &answer).with_context(|| format!("not an answer: {answer}"))
}

fn parse(request: &str, answer: &str) -> Option<Reply> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let name = reqwest::header::HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.insert(name, value.parse().ok()?);
    }
    Some(Reply {
        request: request.to_owned(),
        status,
        headers,
        body: serde_json::from_str(body).ok()?,
        elapsed: Duration::ZERO,
    })
}

async fn addresses(stage: &mut Stage) -> Result<()> {
    let Stage { visitor, customer, seen, .. } = stage;
    seen.expect(&visitor.get("/api/v1/nothing").await?, "ROUTE_NOT_FOUND")?;
    let deleted = visitor.send(visitor.request(Method::DELETE, "/api/v1/products")).await?;
    seen.expect(&deleted, "METHOD_NOT_ALLOWED")?;
    seen.expect(&visitor.get("/docs/errors/NO_SUCH_CODE").await?, "ERROR_PAGE_NOT_FOUND")?;
    seen.expect(&visitor.get("/api/v1/products?colour=red").await?, "QUERY_INVALID")?;
    seen.expect(&visitor.get("/api/v1/products?page_token=forged").await?, "CURSOR_INVALID")?;
    seen.expect(&customer.get("/api/v1/orders/17").await?, "ID_INVALID")
}

async fn keys(stage: &mut Stage) -> Result<()> {
    let Stage { customer, seen, .. } = stage;
    let path = "/api/v1/orders";
    let body = |quantity: u32, method: &str| json!({"items": [{"sku": TEA, "quantity": quantity}], "payment_method": method});
    seen.expect(&customer.post(path, &body(1, "pm_ok")).await?, "IDEMPOTENCY_KEY_MISSING")?;
    let odd = customer.post_once(path, "a b", &body(1, "pm_ok")).await?;
    seen.expect(&odd, "IDEMPOTENCY_KEY_INVALID")?;
    let key = new_key();
    customer.post_once(path, &key, &body(1, "pm_ok")).await?.require(201)?;
    let other = customer.post_once(path, &key, &body(2, "pm_ok")).await?;
    seen.expect(&other, "IDEMPOTENCY_KEY_REUSED")?;
    // Of two requests at once, the slow one holds the key and the other one is told so.
    let (key, slow) = (new_key(), body(1, "pm_slow_2s"));
    let both = tokio::try_join!(
        customer.post_once(path, &key, &slow),
        customer.post_once(path, &key, &slow)
    )?;
    let refused = if both.0.status == 409 { &both.0 } else { &both.1 };
    seen.expect(refused, "IDEMPOTENCY_IN_PROGRESS")
}
