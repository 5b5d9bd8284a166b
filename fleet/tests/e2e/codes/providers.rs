//! Payments, and the signed messages of the payment provider.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use aws_lc_rs::hmac;
use chassis::clock::{Clock as _, SystemClock};
use chassis::error::RemoteError;
use fleet::harness::Reply;
use proto::payment::v1::RefundPaymentRequest;
use proto::payment::v1::payment_service_client::PaymentServiceClient;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Stage;
use crate::support::{channel, order, text};

/// The development key of `callback.keys` in payment-service's defaults.
const KEY: &[u8] = b"whsec_for-development-only-0123456789abcdef";

pub(super) async fn produce(stage: &mut Stage) -> Result<()> {
    let nothing = format!("/api/v1/payments/{}", Uuid::from_u128(1));
    let reply = stage.customer.get(&nothing).await?;
    stage.seen.expect(&reply, "PAYMENT_NOT_FOUND")?;
    callbacks(stage).await?;
    refund_of_nothing(stage).await
}

async fn callbacks(stage: &mut Stage) -> Result<()> {
    let placed = order(&stage.customer, "pm_never").await?;
    let good = json!({
        "id": "evt_1",
        "type": "payment.succeeded",
        "reference": text(&placed, "payment_id")?,
        "amount": placed["total"]["amount"],
        "currency": placed["total"]["currency"],
    });
    let mut other = good.clone();
    other["amount"] = json!(1);
    let now = SystemClock.now().timestamp();
    for (body, time, code) in [
        (&other, Some(now), "AMOUNT_MISMATCH"),
        (&json!({"hello": "world"}), Some(now), "CALLBACK_INVALID"),
        (&good, Some(now - 400), "TIMESTAMP_OUT_OF_RANGE"),
        (&good, None, "SIGNATURE_MISSING"),
    ] {
        let signature = time.map(|time| sign(time, &body.to_string()));
        let reply = send(stage, body, signature).await?;
        stage.seen.expect(&reply, code)?;
    }
    let many = format!("t={now}{}", ",v1=00".repeat(17));
    stage.seen.expect(&send(stage, &good, Some(many)).await?, "SIGNATURE_MALFORMED")?;
    let reply = send(stage, &good, Some(sign(now, "another body"))).await?;
    stage.seen.expect(&reply, "SIGNATURE_INVALID")
}

async fn send(stage: &Stage, body: &Value, signature: Option<String>) -> Result<Reply> {
    let request = stage.visitor.request(Method::POST, "/api/v1/payments/callback").json(body);
    let request = match signature {
        Some(signature) => request.header("EnterpriseHub-Signature", signature),
        None => request,
    };
    stage.visitor.send(request).await
}

/// As a provider signs: HMAC-SHA256 over the time, a full stop and the body.
fn sign(time: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY);
    let tag = hmac::sign(&key, format!("{time}.{body}").as_bytes());
    tag.as_ref().iter().fold(format!("t={time},v1="), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Only order-service asks for refunds, and never for one of a declined payment: asked directly,
/// payment-service refuses; and it hears nobody else.
async fn refund_of_nothing(stage: &mut Stage) -> Result<()> {
    let declined = order(&stage.customer, "pm_declined").await?;
    let request = RefundPaymentRequest {
        payment_id: text(&declined, "payment_id")?,
        refund_id: Uuid::from_u128(7).to_string(),
        reason: "customer_request".to_owned(),
    };
    for (caller, code) in
        [("order-service", "PAYMENT_STATE_CONFLICT"), ("notify-service", "CALLER_NOT_ALLOWED")]
    {
        let channel = channel(&stage.fleet, caller, "payment-service")?;
        let refused = PaymentServiceClient::new(channel).refund_payment(request.clone()).await;
        let refused = RemoteError::from_status(&refused.err().context("a refund of nothing")?);
        stage.seen.expect_remote(&refused, code)?;
    }
    Ok(())
}
