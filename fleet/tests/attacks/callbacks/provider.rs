//! A payment provider, honest or not.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use aws_lc_rs::hmac;
use chassis::clock::{Clock as _, SystemClock};
use fleet::harness::Reply;
use fleet::random;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::stage::Stage;

/// The development key of `callback.keys` in payment-service's defaults.
pub(crate) const KEY: &[u8] = b"whsec_for-development-only-0123456789abcdef";
/// The header that a signature stands in.
pub(crate) const HEADER: &str = "EnterpriseHub-Signature";
/// Where callbacks are sent.
pub(super) const PATH: &str = "/api/v1/payments/callback";

/// What a callback says.
#[derive(Clone)]
pub(crate) struct Notice {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) reference: String,
    pub(crate) amount: i64,
    pub(crate) currency: &'static str,
}

impl Notice {
    /// That the payment of this order, which is in yuan, has succeeded.
    pub(crate) fn success_of(order: &Value) -> Result<Self> {
        Ok(Self {
            id: format!("evt_{}", random::token()),
            kind: "payment.succeeded",
            reference: crate::support::text(order, "payment_id")?,
            amount: order["total"]["amount"].as_i64().context("no total")?,
            currency: "CNY",
        })
    }

    /// As it is sent.
    pub(crate) fn body(&self) -> String {
        json!({
            "id": self.id,
            "type": self.kind,
            "reference": self.reference,
            "amount": self.amount,
            "currency": self.currency,
        })
        .to_string()
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    SystemClock.now().timestamp()
}

/// HMAC-SHA256 over the time, a full stop and the body, in hexadecimal.
pub(crate) fn tag(key: &[u8], time: &str, body: &[u8]) -> String {
    hmac_of(key, &[time.as_bytes(), b".", body].concat())
}

/// HMAC-SHA256 over a message as it is, in hexadecimal.
pub(crate) fn hmac_of(key: &[u8], message: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    tag.as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The header of a body that the provider signs at this time.
pub(crate) fn signed_at(time: i64, body: &str) -> String {
    let time = time.to_string();
    format!("t={time},v1={}", tag(KEY, &time, body.as_bytes()))
}

/// Sends a body that is signed now.
pub(crate) async fn send(stage: &Stage, body: &str) -> Result<Reply> {
    send_with(stage, body, &[&signed_at(now(), body)]).await
}

/// Sends a body under these signature headers.
pub(crate) async fn send_with(stage: &Stage, body: &str, headers: &[&str]) -> Result<Reply> {
    let visitor = stage.visitor()?;
    let request = visitor.request(Method::POST, PATH).body(body.to_owned());
    let request = request.header("content-type", "application/json");
    let request = headers.iter().fold(request, |request, value| request.header(HEADER, *value));
    visitor.send(request).await
}

/// What became of the deliveries of a callback, and how many there were of each.
pub(crate) async fn rulings(stage: &Stage, id: &str) -> Result<Vec<(String, u32)>> {
    let mut database = stage.database("payment-service").await?;
    let query = "SELECT ruling, deliveries FROM callbacks WHERE callback_id = ? ORDER BY ruling";
    Ok(sqlx::query_as(query).bind(id).fetch_all(&mut database).await?)
}
