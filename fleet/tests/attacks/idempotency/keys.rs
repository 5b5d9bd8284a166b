//! Keys that are missing or none.

use anyhow::{Context, Result, ensure};

use super::operations;
use crate::support::problem::refused;
use crate::support::raw;
use crate::support::stage::Stage;

pub(super) async fn a094_no_key(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let all = operations(&user.api).await?;
    let before = user.api.get("/api/v1/orders").await?.require(200)?;
    for (path, body) in &all {
        refused(&user.api.post(path, body).await?, 400, "IDEMPOTENCY_KEY_MISSING")
            .context(path.clone())?;
        for name in ["X-Idempotency-Key", "Idempotency_Key", "Request-Id"] {
            let request =
                user.api.request(reqwest::Method::POST, path).header(name, "key-1").json(body);
            refused(&user.api.send(request).await?, 400, "IDEMPOTENCY_KEY_MISSING")?;
        }
    }
    let after = user.api.get("/api/v1/orders").await?.require(200)?;
    ensure!(before == after, "{before} became {after}");
    Ok(())
}

pub(super) async fn a095_odd_keys(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    let bearer = format!("Bearer {}", user.api.token().context("no token")?);
    let all = operations(&user.api).await?;
    let before = user.api.get("/api/v1/orders").await?.require(200)?;
    let long = "k".repeat(256);
    let odd: [&[u8]; 13] = [
        b"",
        b" ",
        b"a b",
        b"'; DROP TABLE idempotency_keys; --",
        "\u{952e}".as_bytes(),
        b"\xff",
        b"a\tb",
        b"\x7f",
        b"a\x0bb",
        "caf\u{e9}".as_bytes(),
        long.as_bytes(),
        b"\x01",
        b"\"a b\"",
    ];
    for (path, body) in &all {
        let body = body.to_string();
        let line = format!("POST {path}");
        let ask = async |keys: &[&[u8]]| {
            let mut headers: Vec<(&str, &[u8])> =
                vec![("authorization", bearer.as_bytes()), ("content-type", b"application/json")];
            headers.extend(keys.iter().map(|key| ("idempotency-key", *key)));
            raw::ask(stage.gateway(0), &raw::request(&line, &headers, body.as_bytes())).await
        };
        for key in odd {
            let reply = ask(&[key]).await?;
            // A control character makes it no header at all: nobody reads a key there.
            let is_header = !key.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t');
            let code = if is_header { "IDEMPOTENCY_KEY_INVALID" } else { "REQUEST_MALFORMED" };
            refused(&reply, 400, code)
                .with_context(|| format!("{path} {}", String::from_utf8_lossy(key)))?;
        }
        for keys in [[b"one".as_slice(), b"two"], [b"one", b"one"], [b"one", b""]] {
            refused(&ask(&keys).await?, 400, "IDEMPOTENCY_KEY_INVALID")?;
        }
        // A line feed makes another header of the rest.
        let reply = ask(&[b"one\r\nx-other: two"]).await?;
        ensure!(reply.status != 400, "{}", reply.body);
    }
    let known = before["items"].as_array().map(Vec::len);
    let after = user.api.get("/api/v1/orders").await?.require(200)?;
    let placed = after["items"].as_array().map(Vec::len);
    ensure!(placed == known.map(|known| known + 1), "{known:?} orders became {placed:?}");
    Ok(())
}
