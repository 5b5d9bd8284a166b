//! Payments, and the messages of the payment provider.

use axum::extract::State;
use http::HeaderMap;
use proto::payment::v1 as pb;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::PathId;
use super::json::Raw;
use super::wire::{Money, Time, money, non_empty, short_name};
use crate::error::ApiError;
use crate::state::Shared;

const SIGNATURE: &str = "enterprisehub-signature";

/// One attempt to pay an order.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the API's")]
pub(crate) struct Payment {
    /// UUIDv7.
    #[schema(format = Uuid)]
    id: String,
    /// Which order.
    #[schema(format = Uuid)]
    order_id: String,
    /// What is charged.
    amount: Money,
    /// `INITIATED`, `PENDING`, `SUCCEEDED`, `FAILED`, `REFUNDING`, `REFUNDED`; more may come.
    #[schema(example = "SUCCEEDED")]
    status: &'static str,
    /// The provider's token for the method.
    #[schema(example = "pm_ok")]
    payment_method: String,
    /// The provider's reference, once there is one.
    provider_reference: Option<String>,
    /// Why it failed.
    #[schema(example = "card_declined")]
    failure_reason: Option<String>,
    /// When it was recorded.
    created_at: Time,
    /// When it last changed.
    updated_at: Time,
    /// Its refunds, oldest first.
    refunds: Vec<Refund>,
}

/// A return of captured money.
#[derive(Serialize, ToSchema)]
pub(crate) struct Refund {
    /// UUID.
    #[schema(format = Uuid)]
    id: String,
    /// How much goes back.
    amount: Money,
    /// `PENDING` or `SUCCEEDED`; more may come.
    #[schema(example = "SUCCEEDED")]
    status: &'static str,
    /// Why it was asked for.
    #[schema(example = "customer_request")]
    reason: String,
    /// When it was asked for.
    created_at: Time,
}

/// A payment with the other attempts at its order.
#[derive(Serialize, ToSchema)]
pub(crate) struct PaymentWithAttempts {
    #[serde(flatten)]
    payment: Payment,
    /// Every attempt at the same order, oldest first, this one included.
    attempts: Vec<Payment>,
}

/// The acknowledgement of a provider's message.
#[derive(Serialize, ToSchema)]
pub(crate) struct Received {
    /// Always true.
    received: bool,
}

impl TryFrom<pb::Payment> for Payment {
    type Error = ApiError;

    fn try_from(payment: pb::Payment) -> Result<Self, ApiError> {
        let name = pb::PaymentStatus::as_str_name;
        let refunds = payment.refunds.into_iter().map(Refund::try_from);
        Ok(Self {
            id: payment.id,
            order_id: payment.order_id,
            amount: money(payment.amount)?,
            status: short_name(payment.status, "PAYMENT_STATUS_", name)?,
            payment_method: payment.payment_method,
            provider_reference: non_empty(payment.provider_reference),
            failure_reason: non_empty(payment.failure_reason),
            created_at: Time::required(payment.created_at, "payment.created_at")?,
            updated_at: Time::required(payment.updated_at, "payment.updated_at")?,
            refunds: refunds.collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<pb::Refund> for Refund {
    type Error = ApiError;

    fn try_from(refund: pb::Refund) -> Result<Self, ApiError> {
        Ok(Self {
            id: refund.id,
            amount: money(refund.amount)?,
            status: short_name(refund.status, "REFUND_STATUS_", pb::RefundStatus::as_str_name)?,
            reason: refund.reason,
            created_at: Time::required(refund.created_at, "refund.created_at")?,
        })
    }
}

impl TryFrom<pb::GetPaymentResponse> for PaymentWithAttempts {
    type Error = ApiError;

    fn try_from(reply: pb::GetPaymentResponse) -> Result<Self, ApiError> {
        let attempts = reply.attempts.into_iter().map(Payment::try_from);
        Ok(Self {
            payment: super::wire::required(reply.payment, "payment")?,
            attempts: attempts.collect::<Result<_, _>>()?,
        })
    }
}

/// Reads a payment with the other attempts at its order.
#[utoipa::path(get, path = "/api/v1/payments/{id}", tag = "payments",
    params(("id" = Uuid, Path, description = "The payment.")),
    responses((status = 200, description = "The payment.", body = PaymentWithAttempts)))]
pub(crate) async fn read(
    State(gateway): State<Shared>,
    PathId(id): PathId,
) -> Result<axum::Json<PaymentWithAttempts>, ApiError> {
    let message = pb::GetPaymentRequest { payment_id: id.to_string() };
    let payments = &gateway.upstreams.payments;
    let reply = payments
        .idempotent(message, async |mut payments, message| payments.get_payment(message).await)
        .await?;
    PaymentWithAttempts::try_from(reply).map(axum::Json)
}

/// Takes a signed message of the payment provider.
///
/// The body is passed on byte for byte: the signature covers it. A message that came before is
/// acknowledged again and has no effect.
#[utoipa::path(post, path = "/api/v1/payments/callback", tag = "payments",
    request_body(content = Object, content_type = "application/json",
        description = "What happened to a payment, as the provider states it."),
    params(("EnterpriseHub-Signature" = String, Header,
        description = "`t=UNIX_SECONDS,v1=HEX`: HMAC-SHA256 over `t.body`; at most 300 s old.",
        pattern = "^t=[0-9]{1,19}(,v1=[0-9a-f]{64}){1,16}$")),
    responses((status = 200, description = "The message was taken.", body = Received)))]
pub(crate) async fn callback(
    State(gateway): State<Shared>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<axum::Json<Received>, ApiError> {
    let message = pb::HandleCallbackRequest { body: body.into(), signature: signature(&headers) };
    let payments = &gateway.upstreams.payments;
    // A callback may come any number of times, so it may also be passed on twice.
    payments
        .idempotent(message, async |mut payments, message| payments.handle_callback(message).await)
        .await?;
    Ok(axum::Json(Received { received: true }))
}

/// The signature, or nothing. Two headers are joined as HTTP says, which the service refuses.
fn signature(headers: &HeaderMap) -> String {
    let values = headers.get_all(SIGNATURE).iter();
    let texts: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    texts.join(",")
}
