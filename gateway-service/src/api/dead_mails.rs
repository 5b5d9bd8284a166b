//! Messages by e-mail that were given up, for operators.

use axum::extract::State;
use proto::notify::v1 as notify_pb;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::{PathId, Query};
use super::json::NoBody;
use super::wire::{Page, PageParameters, Time, non_empty, required};
use crate::error::ApiError;
use crate::state::Shared;

/// A message by e-mail that was given up. Nobody is told its address or its link.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadMail {
    /// UUIDv7.
    #[schema(format = Uuid)]
    id: String,
    /// Id of the event that asked for it.
    event_id: String,
    /// That event.
    #[schema(example = "user.recovery_requested")]
    event: String,
    /// Whose account.
    #[schema(format = Uuid)]
    user_id: String,
    /// How often it was tried to send it.
    attempts: u32,
    /// Why it was given up, if that is known.
    #[schema(example = "the message was refused with code 550")]
    reason: Option<String>,
    /// When it was asked for.
    created_at: Time,
    /// When it was given up, if that is known.
    died_at: Option<Time>,
    /// When its link is over: then it cannot be replayed any more.
    expires_at: Time,
}

impl TryFrom<notify_pb::DeadMail> for DeadMail {
    type Error = ApiError;

    fn try_from(mail: notify_pb::DeadMail) -> Result<Self, ApiError> {
        Ok(Self {
            id: mail.id,
            event_id: mail.event_id,
            event: mail.event,
            user_id: mail.user_id,
            attempts: mail.attempts,
            reason: non_empty(mail.reason),
            created_at: Time::required(mail.created_at, "dead mail's created_at")?,
            died_at: Time::optional(mail.died_at)?,
            expires_at: Time::required(mail.expires_at, "dead mail's expires_at")?,
        })
    }
}

/// Lists messages by e-mail that were given up, newest first.
#[utoipa::path(get, path = "/api/v1/admin/dead-mails", tag = "admin", params(PageParameters),
    responses((status = 200, description = "One page.", body = Page<DeadMail>)))]
pub(crate) async fn list_dead_mails(
    State(gateway): State<Shared>,
    query: Query,
) -> Result<axum::Json<Page<DeadMail>>, ApiError> {
    let message = notify_pb::ListDeadMailsRequest {
        page_size: query.page_size()?,
        page_token: query.page_token(),
    };
    let notify = &gateway.upstreams.notify;
    let reply = notify
        .idempotent(message, async |mut notify, message| notify.list_dead_mails(message).await)
        .await?;
    Page::of(reply.dead_mails, reply.next_page_token).map(axum::Json)
}

/// Has a message sent after all, as long as its link is good.
#[utoipa::path(post, path = "/api/v1/admin/dead-mails/{id}/replay", tag = "admin",
    params(("id" = Uuid, Path, description = "The message.")),
    responses((status = 200, description = "The message as it was given up.", body = DeadMail)))]
pub(crate) async fn replay_dead_mail(
    State(gateway): State<Shared>,
    PathId(id): PathId,
    NoBody: NoBody,
) -> Result<axum::Json<DeadMail>, ApiError> {
    let message = notify_pb::ReplayDeadMailRequest { dead_mail_id: id.to_string() };
    let notify = &gateway.upstreams.notify;
    let reply = notify
        .once(message, async |mut notify, message| notify.replay_dead_mail(message).await)
        .await?;
    required(reply.dead_mail, "replayed dead mail").map(axum::Json)
}
