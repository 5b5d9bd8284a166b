//! Everything that happened to an order, put together from the services that took part.
//!
//! order-service alone decides whether the caller may see the order, and without it there is no
//! timeline. What the others add is left out, and their name is told, when they do not answer.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chassis::grpc::context;
use http::header;
use proto::notify::v1 as notify;
use proto::order::v1 as order;
use proto::payment::v1 as payment;
use tokio::time::Instant;
use uuid::Uuid;

use super::story::{Story, Timeline};
use crate::api::extract::PathId;
use crate::api::language::Language;
use crate::error::ApiError;
use crate::state::{Gateway, Shared};

/// Reads what happened to an order, oldest first, and why it is in its state.
#[utoipa::path(get, path = "/api/v1/orders/{id}/timeline", tag = "orders",
    params(("id" = Uuid, Path, description = "The order."),
        ("Accept-Language" = Option<String>, Header,
            description = "Language of the explanation: English or Chinese.")),
    responses((status = 200, description = "What happened.", body = Timeline,
        headers(("Content-Language" = String, description = "`en` or `zh-CN`."),
            ("Vary" = String, description = "Names `Accept-Language`.")))))]
pub(crate) async fn timeline(
    State(gateway): State<Shared>,
    PathId(id): PathId,
    language: Language,
) -> Result<Response, ApiError> {
    let (orders, callbacks, receipts) = tokio::join!(
        steps(&gateway, id, language),
        in_time(&gateway, callbacks(&gateway, id)),
        in_time(&gateway, receipts(&gateway, id)),
    );
    let mut story = Story::of(orders?)?;
    story.add("payment-service", callbacks, Story::tell_callbacks);
    story.add("notify-service", receipts, Story::tell_receipts);
    let headers = [(header::CONTENT_LANGUAGE, language.tag()), (header::VARY, "accept-language")];
    Ok((headers, axum::Json(story.end())).into_response())
}

/// Gives up in time for the rest of the timeline to be told.
async fn in_time<T>(
    gateway: &Gateway,
    call: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    let mut bounded = context::current();
    let latest = Instant::now() + patience(gateway.timeline_wait, context::remaining());
    bounded.deadline = Some(latest);
    context::scope(bounded, call).await
}

/// How long to wait for what may be missing: as configured, and no longer than half of the time
/// that the request has left.
fn patience(configured: Duration, remaining: Option<Duration>) -> Duration {
    remaining.map_or(configured, |left| configured.min(left / 2))
}

async fn steps(
    gateway: &Gateway,
    id: Uuid,
    language: Language,
) -> Result<order::GetTimelineResponse, ApiError> {
    let (order_id, locale) = (id.to_string(), language.tag().to_owned());
    let message = order::GetTimelineRequest { order_id, locale };
    let orders = &gateway.upstreams.orders;
    orders.idempotent(message, async |mut orders, message| orders.get_timeline(message).await).await
}

async fn callbacks(
    gateway: &Gateway,
    id: Uuid,
) -> Result<payment::ListCallbacksResponse, ApiError> {
    let message = payment::ListCallbacksRequest { order_id: id.to_string() };
    let payments = &gateway.upstreams.payments;
    payments
        .idempotent(message, async |mut payments, message| payments.list_callbacks(message).await)
        .await
}

async fn receipts(
    gateway: &Gateway,
    id: Uuid,
) -> Result<notify::ListEventReceiptsResponse, ApiError> {
    let message = notify::ListEventReceiptsRequest { subject: id.to_string() };
    let notify = &gateway.upstreams.notify;
    notify
        .idempotent(message, async |mut notify, message| notify.list_event_receipts(message).await)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_longer_than_the_request_can() {
        let seconds = Duration::from_secs;
        assert_eq!(patience(seconds(2), None), seconds(2));
        assert_eq!(patience(seconds(2), Some(seconds(10))), seconds(2));
        assert_eq!(patience(seconds(2), Some(seconds(3))), Duration::from_millis(1_500));
        assert_eq!(patience(seconds(2), Some(Duration::ZERO)), Duration::ZERO);
    }
}
