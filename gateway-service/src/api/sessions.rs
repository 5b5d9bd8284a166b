//! The caller's sessions: where they are logged in, and how they end it elsewhere. And how
//! administrators end those of a user.

use axum::extract::State;
use http::StatusCode;
use proto::auth::v1 as pb;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::extract::{PathId, Query};
use super::wire::{Time, non_empty};
use crate::error::ApiError;
use crate::state::Shared;

/// A session.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    /// UUIDv7.
    #[schema(format = Uuid)]
    id: String,
    /// What the client called itself at login (`User-Agent`); null if it did not.
    #[schema(max_length = 256, example = "Mozilla/5.0 (X11; Linux x86_64)")]
    device: Option<String>,
    /// The client's address at login; null if it is not known.
    #[schema(example = "203.0.113.7")]
    address: Option<String>,
    /// When someone logged in.
    created_at: Time,
    /// When it was last refreshed.
    last_used_at: Time,
    /// When it ends, unless it is refreshed before then.
    expires_at: Time,
    /// Whether this request's access token belongs to it.
    current: bool,
}

impl TryFrom<pb::Session> for Session {
    type Error = ApiError;

    fn try_from(session: pb::Session) -> Result<Self, ApiError> {
        Ok(Self {
            id: session.id,
            device: non_empty(session.user_agent),
            address: non_empty(session.client_address),
            created_at: Time::required(session.created_at, "session.created_at")?,
            last_used_at: Time::required(session.last_used_at, "session.last_used_at")?,
            expires_at: Time::required(session.expires_at, "session.expires_at")?,
            current: session.current,
        })
    }
}

/// Every live session of the caller.
#[derive(Serialize, ToSchema)]
pub(crate) struct Sessions {
    /// The most recently used first. There are at most 100: a login beyond that ends the one that was
    /// not used for longest.
    #[schema(max_items = 100)]
    items: Vec<Session>,
}

/// Which sessions end.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that the extractor reads by name")]
pub(crate) struct EndAllParameters {
    /// Leaves the session of this request alone.
    #[param(default = false)]
    keep_current: Option<bool>,
}

/// Lists the caller's live sessions.
#[utoipa::path(get, path = "/api/v1/auth/sessions", tag = "auth",
    responses((status = 200, description = "All of them.", body = Sessions)))]
pub(crate) async fn list(State(gateway): State<Shared>) -> Result<axum::Json<Sessions>, ApiError> {
    let auth = &gateway.upstreams.auth;
    let message = pb::ListSessionsRequest {};
    let reply = auth
        .idempotent(message, async |mut auth, message| auth.list_sessions(message).await)
        .await?;
    let items = reply.sessions.into_iter().map(Session::try_from).collect::<Result<_, _>>()?;
    Ok(axum::Json(Sessions { items }))
}

/// Ends one of the caller's sessions.
#[utoipa::path(delete, path = "/api/v1/auth/sessions/{id}", tag = "auth",
    params(("id" = Uuid, Path, description = "The session.")),
    responses((status = 204, description = "The session is over.")))]
pub(crate) async fn end(
    State(gateway): State<Shared>,
    PathId(id): PathId,
) -> Result<StatusCode, ApiError> {
    let message = pb::RevokeSessionRequest { session_id: id.to_string() };
    let auth = &gateway.upstreams.auth;
    auth.idempotent(message, async |mut auth, message| auth.revoke_session(message).await).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all of the caller's sessions, this one included unless told otherwise.
#[utoipa::path(delete, path = "/api/v1/auth/sessions", tag = "auth", params(EndAllParameters),
    responses((status = 204, description = "The sessions are over.")))]
pub(crate) async fn end_all(
    State(gateway): State<Shared>,
    query: Query,
) -> Result<StatusCode, ApiError> {
    let message = pb::RevokeAllSessionsRequest { keep_current: query.flag("keep_current")? };
    let auth = &gateway.upstreams.auth;
    auth.idempotent(message, async |mut auth, message| auth.revoke_all_sessions(message).await)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all sessions of a user.
///
/// The account stays as it is: its user may log in again, unless it is disabled.
#[utoipa::path(delete, path = "/api/v1/users/{id}/sessions", tag = "users",
    params(("id" = Uuid, Path, description = "The user.")),
    responses((status = 204, description = "The sessions are over.")))]
pub(crate) async fn end_sessions(
    State(gateway): State<Shared>,
    PathId(id): PathId,
) -> Result<StatusCode, ApiError> {
    let message = pb::RevokeUserSessionsRequest { user_id: id.to_string() };
    let auth = &gateway.upstreams.auth;
    auth.idempotent(message, async |mut auth, message| auth.revoke_user_sessions(message).await)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
