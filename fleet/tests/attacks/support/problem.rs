//! What a refusal has to look like.

use anyhow::{Context, Result, ensure};
use fleet::harness::Reply;
use proto::errors::find;
use serde_json::{Value, json};

/// Checks that an answer is the problem document of this status and code: known to the catalogue,
/// traceable, and nothing else.
pub(crate) fn refused(reply: &Reply, status: u16, code: &str) -> Result<()> {
    let Reply { request, body, .. } = reply;
    ensure!(reply.code() == code, "{request}: {} {body} instead of {code}", reply.status);
    ensure!(reply.status == status, "{request}: {}", reply.status);
    documented(body, status, code).with_context(|| request.clone())?;
    let kind = reply.header("content-type");
    ensure!(kind == Some("application/problem+json"), "{request}: {kind:?}");
    if status == 401 {
        ensure!(reply.header("www-authenticate").is_some(), "{request}: no challenge");
    }
    if status == 429 {
        ensure!(reply.header("retry-after").is_some(), "{request}: no Retry-After");
    }
    Ok(())
}

/// Checks that a body is the problem document of this status and code.
pub(crate) fn documented(body: &Value, status: u16, code: &str) -> Result<()> {
    let page = find(code).with_context(|| format!("{code} has no page"))?;
    ensure!(body["code"] == code && page.status == status, "{body} instead of {code}");
    ensure!(body["status"] == status && body["title"] == page.title, "{body}");
    ensure!(body["type"] == format!("/docs/errors/{code}"), "{body}");
    ensure!(body["detail"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    let trace = body["trace_id"].as_str().unwrap_or_default();
    ensure!(trace.len() == 32 && trace.bytes().all(|b| b.is_ascii_hexdigit()), "{body}");
    Ok(())
}

/// As [`refused`], and the answer repeats none of these.
pub(crate) fn refused_silently(
    reply: &Reply,
    status: u16,
    code: &str,
    secrets: &[&str],
) -> Result<()> {
    refused(reply, status, code)?;
    let said = format!("{:?} {}", reply.headers, reply.body);
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        ensure!(!said.contains(secret), "{}: the answer repeats a secret", reply.request);
    }
    Ok(())
}

/// All that a refusal tells, but for its trace.
pub(crate) fn without_trace(reply: &Reply) -> Value {
    let mut body = reply.body.clone();
    body["trace_id"] = Value::Null;
    let header = |name| reply.header(name).map(str::to_owned);
    json!({"body": body, "challenge": header("www-authenticate"), "length": header("content-length")})
}
