//! Sends one call to one gateway and records what came of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use reqwest::{Client, Method, Response};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::history::{self, Call, History, Op, Outcome};

/// An account that orders.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub user_id: String,
    /// Its access token.
    pub token: String,
}

/// Something to be asked, once or, under its key, as often as it takes.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What.
    pub op: Op,
    /// By whom.
    pub account: Arc<Account>,
    /// About which order.
    pub order_id: Option<String>,
    /// Under which key.
    pub key: Option<String>,
    /// With which body.
    pub body: Option<Value>,
}

impl Ask {
    fn method(&self) -> Method {
        if matches!(self.op, Op::Read | Op::List) { Method::GET } else { Method::POST }
    }

    /// The order that it is about.
    pub fn order(&self) -> Option<&str> {
        self.order_id.as_deref()
    }

    /// The route's template.
    pub fn route(&self) -> &'static str {
        match self.op {
            Op::Place | Op::List => "/api/v1/orders",
            Op::Pay => "/api/v1/orders/{id}/pay",
            Op::Cancel => "/api/v1/orders/{id}/cancel",
            Op::Refund => "/api/v1/orders/{id}/refund",
            Op::Read => "/api/v1/orders/{id}",
        }
    }

    fn path(&self) -> String {
        let path = self.route().replace("{id}", self.order_id.as_deref().unwrap_or_default());
        if self.op == Op::List { format!("{path}?page_size=20") } else { path }
    }
}

/// Sends calls.
#[derive(Debug)]
pub struct Sender {
    http: Client,
    gateways: Vec<String>,
    history: Arc<History>,
}

impl Sender {
    /// A client that gives up on a reply after `patience`.
    pub fn new(gateways: Vec<String>, patience: Duration, history: Arc<History>) -> Result<Self> {
        let http = crate::http::client().timeout(patience).build()?;
        Ok(Self { http, gateways, history })
    }

    /// How many gateways there are.
    pub fn gateways(&self) -> usize {
        self.gateways.len()
    }

    /// Sends it to one of the gateways and records what came of it.
    pub async fn send(&self, ask: &Ask, gateway: usize) -> Result<Call> {
        let base = self.gateways.get(gateway).context("no such gateway")?;
        let body = ask.body.as_ref().map(serde_json::to_vec).transpose()?;
        let mut request = self
            .http
            .request(ask.method(), format!("{base}{}", ask.path()))
            .bearer_auth(&ask.account.token);
        if let Some(key) = &ask.key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = &body {
            request = request.header("Content-Type", "application/json").body(body.clone());
        }
        let mut call = blank(ask, body.as_deref(), gateway);
        let start = Instant::now();
        match receive(request.send().await).await {
            Ok(reply) => reply.fill(&mut call),
            Err(error) => call.error = Some(crate::http::reason(&error).to_owned()),
        }
        call.elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        call.ended_at = history::now();
        self.history.record(call.clone())?;
        Ok(call)
    }
}

fn blank(ask: &Ask, body: Option<&[u8]>, gateway: usize) -> Call {
    let now = history::now();
    Call {
        op: ask.op,
        user_id: ask.account.user_id.clone(),
        order_id: ask.order_id.clone(),
        key: ask.key.clone(),
        method: if ask.method() == Method::GET { "GET" } else { "POST" },
        route: ask.route(),
        body_sha256: body.map(sha256),
        outcome: Outcome::Unknown,
        status: 0,
        code: None,
        reply_sha256: None,
        order_status: None,
        order_version: None,
        started_at: now,
        ended_at: now,
        elapsed_ms: 0,
        gateway,
        retry_after: false,
        error: None,
    }
}

struct Reply {
    status: u16,
    retry_after: bool,
    body: Vec<u8>,
}

impl Reply {
    fn fill(self, call: &mut Call) {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |member: &str| body[member].as_str().map(str::to_owned);
        call.status = self.status;
        call.retry_after = self.retry_after;
        match self.status {
            200..=299 => {
                call.outcome = Outcome::Ok;
                call.reply_sha256 = Some(sha256(&self.body));
                if call.op != Op::List {
                    call.order_id = call.order_id.take().or_else(|| text("id"));
                    call.order_status = text("status");
                    call.order_version = body["version"].as_u64();
                }
            }
            400..=499 => {
                call.outcome = Outcome::Refused;
                call.code = text("code");
            }
            _ => call.code = text("code"),
        }
    }
}

async fn receive(reply: reqwest::Result<Response>) -> reqwest::Result<Reply> {
    let reply = reply?;
    let status = reply.status().as_u16();
    let retry_after = reply.headers().contains_key("retry-after");
    Ok(Reply { status, retry_after, body: reply.bytes().await?.to_vec() })
}

/// A digest in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::history::fixtures::call;
    use super::*;

    #[test]
    fn a_reply_is_told_by_its_status() {
        let told = |status, body: &str| {
            let mut call =
                Call { order_id: None, outcome: Outcome::Unknown, ..call(Op::Place, (0, 1)) };
            Reply { status, retry_after: false, body: body.into() }.fill(&mut call);
            call
        };
        let placed = told(201, r#"{"id":"o-9","status":"PAID","version":2}"#);
        assert_eq!((placed.outcome, placed.order_id.as_deref()), (Outcome::Ok, Some("o-9")));
        let refused = told(409, r#"{"code":"ORDER_STATE_CONFLICT"}"#);
        assert_eq!(refused.outcome, Outcome::Refused);
        assert_eq!(refused.code.as_deref(), Some("ORDER_STATE_CONFLICT"));
        assert_eq!(told(503, "{}").outcome, Outcome::Unknown);
    }

    #[test]
    fn digests_are_the_published_ones() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), empty);
    }
}
