//! What operators ask: where the services are, what could not be processed, what is stuck.

use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chassis::discovery::{InstanceStatus, ServiceView};
use chassis::error::{Chain, codes as fleet};
use proto::notify::v1 as notify_pb;
use proto::order::v1 as order_pb;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{PathId, Query, invalid};
use super::json::{JsonOrNothing, NoBody};
use super::orders::Order;
use super::wire::{Page, PageParameters, Time, non_empty, required, short_name};
use crate::error::ApiError;
use crate::state::Shared;

/// Every service that the registry knows.
#[derive(Serialize, ToSchema)]
pub(crate) struct Services {
    /// By name.
    items: Vec<Service>,
}

/// A service.
#[derive(Serialize, ToSchema)]
pub(crate) struct Service {
    /// Its name.
    #[schema(example = "order-service")]
    name: String,
    /// Its instances, healthy or not.
    instances: Vec<Instance>,
}

/// An instance of a service.
#[derive(Serialize, ToSchema)]
pub(crate) struct Instance {
    /// The id that it registered under.
    id: String,
    /// Where it listens.
    #[schema(example = "127.0.0.1:50053")]
    address: String,
    /// `PASSING`, `WARNING`, `CRITICAL` or `UNKNOWN`.
    #[schema(example = "PASSING")]
    status: &'static str,
}

impl From<ServiceView> for Service {
    fn from(service: ServiceView) -> Self {
        let instances = service.instances.into_iter().map(|instance| Instance {
            id: instance.id,
            address: instance.endpoint.to_string(),
            status: match instance.status {
                InstanceStatus::Passing => "PASSING",
                InstanceStatus::Warning => "WARNING",
                InstanceStatus::Critical => "CRITICAL",
                InstanceStatus::Unknown => "UNKNOWN",
            },
        });
        Self { name: service.name, instances: instances.collect() }
    }
}

/// An event that could not be processed.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadLetter {
    /// UUIDv7.
    #[schema(format = Uuid)]
    id: String,
    /// Id of the event, if it could be read.
    event_id: Option<String>,
    /// The routing key it came with.
    #[schema(example = "order.paid")]
    routing_key: String,
    /// Why it could not be processed.
    reason: String,
    /// `OPEN`, `REPLAYED` or `DISCARDED`; more may come.
    #[schema(example = "OPEN")]
    status: &'static str,
    /// When it arrived.
    created_at: Time,
    /// When it was decided on.
    decided_at: Option<Time>,
    /// The administrator who decided.
    decided_by: Option<String>,
    /// Why they decided so, in their words.
    decision_reason: Option<String>,
}

/// Why an event is given up.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiscardBody {
    /// For whoever looks later: one line.
    #[schema(
        max_length = 255,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$",
        example = "a test event"
    )]
    reason: Option<String>,
}

/// A dead letter with its content.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadLetterWithPayload {
    #[serde(flatten)]
    dead_letter: DeadLetter,
    /// The content as received.
    payload: String,
    /// `utf-8`, or `base64` for content that is not text.
    #[schema(example = "utf-8")]
    payload_encoding: &'static str,
}

impl TryFrom<notify_pb::DeadLetter> for DeadLetter {
    type Error = ApiError;

    fn try_from(letter: notify_pb::DeadLetter) -> Result<Self, ApiError> {
        let name = notify_pb::DeadLetterStatus::as_str_name;
        Ok(Self {
            id: letter.id,
            event_id: non_empty(letter.event_id),
            routing_key: letter.routing_key,
            reason: letter.reason,
            status: short_name(letter.status, "DEAD_LETTER_STATUS_", name)?,
            created_at: Time::required(letter.created_at, "dead letter's created_at")?,
            decided_at: Time::optional(letter.decided_at)?,
            decided_by: non_empty(letter.decided_by),
            decision_reason: non_empty(letter.decision_reason),
        })
    }
}

impl TryFrom<notify_pb::GetDeadLetterResponse> for DeadLetterWithPayload {
    type Error = ApiError;

    fn try_from(reply: notify_pb::GetDeadLetterResponse) -> Result<Self, ApiError> {
        let dead_letter = required(reply.dead_letter, "dead letter")?;
        let (payload, payload_encoding) = match String::from_utf8(reply.payload) {
            Ok(text) => (text, "utf-8"),
            Err(error) => (STANDARD.encode(error.as_bytes()), "base64"),
        };
        Ok(Self { dead_letter, payload, payload_encoding })
    }
}

/// Parameters of the list of dead letters.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that the extractor reads by name")]
pub(crate) struct DeadLetterListParameters {
    /// Items per page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    page_size: Option<i32>,
    /// `next_page_token` of the page before. Bound to the user and the filter.
    #[param(pattern = "^([A-Za-z0-9_-]{22,1024})?$")]
    page_token: Option<String>,
    /// Only those of this status.
    #[param(pattern = "^(OPEN|REPLAYED|DISCARDED)$")]
    status: Option<String>,
}

/// Lists every service with its instances and their health.
#[utoipa::path(get, path = "/api/v1/admin/services", tag = "admin",
    responses((status = 200, description = "What the registry knows.", body = Services)))]
pub(crate) async fn services(
    State(gateway): State<Shared>,
) -> Result<axum::Json<Services>, ApiError> {
    let services = gateway.registry.services().await.map_err(|error| {
        tracing::warn!(error = %Chain(&error), "registry not readable");
        ApiError::new(fleet::SERVICE_UNAVAILABLE, "the registry does not answer")
    })?;
    let items = services.into_iter().map(Service::from).collect();
    Ok(axum::Json(Services { items }))
}

/// Lists events that could not be processed, newest first.
#[utoipa::path(get, path = "/api/v1/admin/dead-letters", tag = "admin",
    params(DeadLetterListParameters),
    responses((status = 200, description = "One page.", body = Page<DeadLetter>)))]
pub(crate) async fn list_dead_letters(
    State(gateway): State<Shared>,
    query: Query,
) -> Result<axum::Json<Page<DeadLetter>>, ApiError> {
    let message = notify_pb::ListDeadLettersRequest {
        page_size: query.page_size()?,
        page_token: query.page_token(),
        status: dead_letter_status(query.find("status"))?.into(),
    };
    let notify = &gateway.upstreams.notify;
    let reply = notify
        .idempotent(message, async |mut notify, message| notify.list_dead_letters(message).await)
        .await?;
    Page::of(reply.dead_letters, reply.next_page_token).map(axum::Json)
}

fn dead_letter_status(name: Option<&str>) -> Result<notify_pb::DeadLetterStatus, ApiError> {
    use notify_pb::DeadLetterStatus as Status;
    match name {
        None => Ok(Status::Unspecified),
        Some("OPEN") => Ok(Status::Open),
        Some("REPLAYED") => Ok(Status::Replayed),
        Some("DISCARDED") => Ok(Status::Discarded),
        Some(_) => Err(invalid("status", "UNKNOWN_VALUE", "must be OPEN, REPLAYED or DISCARDED")),
    }
}

/// Reads an event that could not be processed, with its content.
#[utoipa::path(get, path = "/api/v1/admin/dead-letters/{id}", tag = "admin",
    params(("id" = Uuid, Path, description = "The dead letter.")),
    responses((status = 200, description = "The dead letter.", body = DeadLetterWithPayload)))]
pub(crate) async fn read_dead_letter(
    State(gateway): State<Shared>,
    PathId(id): PathId,
) -> Result<axum::Json<DeadLetterWithPayload>, ApiError> {
    let message = notify_pb::GetDeadLetterRequest { dead_letter_id: id.to_string() };
    let notify = &gateway.upstreams.notify;
    let reply = notify
        .idempotent(message, async |mut notify, message| notify.get_dead_letter(message).await)
        .await?;
    DeadLetterWithPayload::try_from(reply).map(axum::Json)
}

/// Processes an event again.
#[utoipa::path(post, path = "/api/v1/admin/dead-letters/{id}/replay", tag = "admin",
    params(("id" = Uuid, Path, description = "The dead letter.")),
    responses((status = 200, description = "The dead letter as decided.", body = DeadLetter)))]
pub(crate) async fn replay_dead_letter(
    State(gateway): State<Shared>,
    PathId(id): PathId,
    NoBody: NoBody,
) -> Result<axum::Json<DeadLetter>, ApiError> {
    let message = notify_pb::ReplayDeadLetterRequest { dead_letter_id: id.to_string() };
    let notify = &gateway.upstreams.notify;
    let reply = notify
        .once(message, async |mut notify, message| notify.replay_dead_letter(message).await)
        .await?;
    required(reply.dead_letter, "replayed dead letter").map(axum::Json)
}

/// Gives an event up.
#[utoipa::path(post, path = "/api/v1/admin/dead-letters/{id}/discard", tag = "admin",
    request_body = DiscardBody, params(("id" = Uuid, Path, description = "The dead letter.")),
    responses((status = 200, description = "The dead letter as decided.", body = DeadLetter)))]
pub(crate) async fn discard_dead_letter(
    State(gateway): State<Shared>,
    PathId(id): PathId,
    JsonOrNothing(body): JsonOrNothing<DiscardBody>,
) -> Result<axum::Json<DeadLetter>, ApiError> {
    let reason = body.reason.unwrap_or_default();
    let message = notify_pb::DiscardDeadLetterRequest { dead_letter_id: id.to_string(), reason };
    let notify = &gateway.upstreams.notify;
    let reply = notify
        .once(message, async |mut notify, message| notify.discard_dead_letter(message).await)
        .await?;
    required(reply.dead_letter, "discarded dead letter").map(axum::Json)
}

/// Lists orders whose payment is unsettled for longer than usual, oldest first.
#[utoipa::path(get, path = "/api/v1/admin/stuck-orders", tag = "admin", params(PageParameters),
    responses((status = 200, description = "One page.", body = Page<Order>)))]
pub(crate) async fn list_stuck_orders(
    State(gateway): State<Shared>,
    query: Query,
) -> Result<axum::Json<Page<Order>>, ApiError> {
    let message = order_pb::ListStuckOrdersRequest {
        page_size: query.page_size()?,
        page_token: query.page_token(),
    };
    let orders = &gateway.upstreams.orders;
    let reply = orders
        .idempotent(message, async |mut orders, message| orders.list_stuck_orders(message).await)
        .await?;
    Page::of(reply.orders, reply.next_page_token).map(axum::Json)
}
