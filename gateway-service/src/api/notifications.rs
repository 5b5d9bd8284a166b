//! The caller's notifications and what it wants to be told.

use axum::extract::State;
use proto::notify::v1 as pb;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{PathId, Query};
use super::json::{Json, NoBody};
use super::object::Object;
use super::wire::{Page, Time, required};
use crate::error::ApiError;
use crate::state::Shared;

/// A message to the user.
#[derive(Serialize, ToSchema)]
pub(crate) struct Notification {
    /// UUIDv7.
    #[schema(format = Uuid)]
    id: String,
    /// The event it tells of.
    #[schema(example = "order.paid")]
    event: String,
    /// In the user's language.
    #[schema(example = "Order paid")]
    title: String,
    /// In the user's language.
    #[schema(example = "We received your payment.")]
    body: String,
    /// What it is about, such as an order's id.
    subject: String,
    /// When it was written.
    created_at: Time,
    /// When it was read; null while it is not.
    read_at: Option<Time>,
}

impl TryFrom<pb::Notification> for Notification {
    type Error = ApiError;

    fn try_from(notification: pb::Notification) -> Result<Self, ApiError> {
        Ok(Self {
            id: notification.id,
            event: notification.event,
            title: notification.title,
            body: notification.body,
            subject: notification.subject,
            created_at: Time::required(notification.created_at, "notification.created_at")?,
            read_at: Time::optional(notification.read_at)?,
        })
    }
}

/// Whether the user wants to be told of an event over a channel.
#[derive(Serialize, ToSchema)]
pub(crate) struct Preference {
    /// The event; more may come.
    #[schema(example = "order.paid")]
    event: String,
    /// `in_app`; more may come.
    #[schema(example = "in_app")]
    channel: String,
    /// Whether it is wanted.
    #[schema(example = true)]
    enabled: bool,
}

impl From<pb::Preference> for Preference {
    fn from(preference: pb::Preference) -> Self {
        Self { event: preference.event, channel: preference.channel, enabled: preference.enabled }
    }
}

/// What the user wants of an event over a channel.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreferenceBody {
    /// The event. What warns of a stolen account cannot be switched off: `user.password_changed`,
    /// `user.disabled` and `auth.token_reuse_detected`.
    #[schema(
        pattern = r"^(user\.registered|user\.password_changed|user\.disabled|auth\.session_started|auth\.token_reuse_detected|order\.created|order\.paid|order\.payment_failed|order\.cancelled|order\.expired|order\.shipped|order\.completed|order\.refunding|order\.refunded)$",
        example = "order.paid"
    )]
    event: String,
    /// The channel.
    #[schema(pattern = "^in_app$", example = "in_app")]
    channel: String,
    /// Whether it is wanted.
    #[schema(example = true)]
    enabled: bool,
}

impl From<Object<PreferenceBody>> for pb::Preference {
    fn from(Object(wish): Object<PreferenceBody>) -> Self {
        Self { event: wish.event, channel: wish.channel, enabled: wish.enabled }
    }
}

/// What the user wants.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreferencesBody {
    /// Those that differ from the default, each event and channel once; the others fall back to it.
    #[schema(value_type = Vec<PreferenceBody>, max_items = 14)]
    preferences: Vec<Object<PreferenceBody>>,
}

/// What the user wants.
#[derive(Serialize, ToSchema)]
pub(crate) struct Preferences {
    /// Every event and channel there is.
    preferences: Vec<Preference>,
}

impl Preferences {
    fn of(preferences: Vec<pb::Preference>) -> axum::Json<Self> {
        let preferences = preferences.into_iter().map(Preference::from).collect();
        axum::Json(Self { preferences })
    }
}

/// Parameters of the list of notifications.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that the extractor reads by name")]
pub(crate) struct NotificationListParameters {
    /// Items per page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    page_size: Option<i32>,
    /// `next_page_token` of the page before. Bound to the user and the filter.
    #[param(pattern = "^([A-Za-z0-9_-]{22,1024})?$")]
    page_token: Option<String>,
    /// Only those not read yet.
    #[param(default = false)]
    unread_only: Option<bool>,
}

/// Lists the caller's notifications, newest first.
#[utoipa::path(get, path = "/api/v1/notifications", tag = "notifications",
    params(NotificationListParameters),
    responses((status = 200, description = "One page.", body = Page<Notification>)))]
pub(crate) async fn list(
    State(gateway): State<Shared>,
    query: Query,
) -> Result<axum::Json<Page<Notification>>, ApiError> {
    let message = pb::ListNotificationsRequest {
        page_size: query.page_size()?,
        page_token: query.page_token(),
        unread_only: query.flag("unread_only")?,
    };
    let notify = &gateway.upstreams.notify;
    let reply = notify
        .idempotent(message, async |mut notify, message| notify.list_notifications(message).await)
        .await?;
    Page::of(reply.notifications, reply.next_page_token).map(axum::Json)
}

/// Marks one of the caller's notifications as read.
#[utoipa::path(post, path = "/api/v1/notifications/{id}/read", tag = "notifications",
    params(("id" = Uuid, Path, description = "The notification.")),
    responses((status = 200, description = "The notification.", body = Notification)))]
pub(crate) async fn mark_read(
    State(gateway): State<Shared>,
    PathId(id): PathId,
    NoBody: NoBody,
) -> Result<axum::Json<Notification>, ApiError> {
    let message = pb::MarkReadRequest { notification_id: id.to_string() };
    let notify = &gateway.upstreams.notify;
    let reply = notify
        .idempotent(message, async |mut notify, message| notify.mark_read(message).await)
        .await?;
    required(reply.notification, "read notification").map(axum::Json)
}

/// Reads what the caller wants to be told.
#[utoipa::path(get, path = "/api/v1/notifications/preferences", tag = "notifications",
    responses((status = 200, description = "The preferences.", body = Preferences)))]
pub(crate) async fn read_preferences(
    State(gateway): State<Shared>,
) -> Result<axum::Json<Preferences>, ApiError> {
    let notify = &gateway.upstreams.notify;
    let message = pb::GetPreferencesRequest {};
    let reply = notify
        .idempotent(message, async |mut notify, message| notify.get_preferences(message).await)
        .await?;
    Ok(Preferences::of(reply.preferences))
}

/// Replaces what the caller wants to be told.
#[utoipa::path(put, path = "/api/v1/notifications/preferences", tag = "notifications",
    request_body = PreferencesBody,
    responses((status = 200, description = "The preferences.", body = Preferences)))]
pub(crate) async fn put_preferences(
    State(gateway): State<Shared>,
    Json(body): Json<PreferencesBody>,
) -> Result<axum::Json<Preferences>, ApiError> {
    let preferences = body.preferences.into_iter().map(pb::Preference::from).collect();
    let message = pb::PutPreferencesRequest { preferences };
    let notify = &gateway.upstreams.notify;
    let reply = notify
        .idempotent(message, async |mut notify, message| notify.put_preferences(message).await)
        .await?;
    Ok(Preferences::of(reply.preferences))
}
