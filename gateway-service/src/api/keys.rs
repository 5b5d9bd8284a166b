//! The keys that access tokens are signed with, for administrators.

use axum::extract::State;
use proto::auth::v1 as pb;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::json::Json;
use super::wire::{Time, short_name};
use crate::error::ApiError;
use crate::state::Shared;

/// A signing key; its private part is shown to nobody.
#[derive(Serialize, ToSchema)]
pub(crate) struct SigningKey {
    /// The `kid` of tokens and of the key set.
    kid: String,
    /// `PENDING` (published, does not sign yet), `SIGNING`, or `RETIRED` (published for the tokens that
    /// it signed).
    #[schema(example = "SIGNING")]
    state: &'static str,
    /// When it was made.
    created_at: Time,
    /// From when on it signs.
    signs_from: Time,
    /// Until when it is published; null while that is not known.
    published_until: Option<Time>,
}

impl TryFrom<pb::SigningKey> for SigningKey {
    type Error = ApiError;

    fn try_from(key: pb::SigningKey) -> Result<Self, ApiError> {
        Ok(Self {
            state: short_name(key.state, "KEY_STATE_", pb::KeyState::as_str_name)?,
            kid: key.kid,
            created_at: Time::required(key.created_at, "key.created_at")?,
            signs_from: Time::required(key.signs_from, "key.signs_from")?,
            published_until: Time::optional(key.published_until)?,
        })
    }
}

/// Every key that is published.
#[derive(Serialize, ToSchema)]
pub(crate) struct SigningKeys {
    /// Oldest first.
    items: Vec<SigningKey>,
}

impl SigningKeys {
    fn of(keys: Vec<pb::SigningKey>) -> Result<axum::Json<Self>, ApiError> {
        let items = keys.into_iter().map(SigningKey::try_from).collect::<Result<_, _>>()?;
        Ok(axum::Json(Self { items }))
    }
}

/// How the next key comes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotationBody {
    /// True when somebody else may have a key: the new one signs at once, all others are withdrawn, and
    /// every access token issued before is worthless. False: the new one signs once every service knows
    /// it, and nobody notices.
    #[schema(example = false)]
    withdraw_others: bool,
}

/// Lists the signing keys.
#[utoipa::path(get, path = "/api/v1/admin/keys", tag = "admin",
    responses((status = 200, description = "Every published key.", body = SigningKeys)))]
pub(crate) async fn list(
    State(gateway): State<Shared>,
) -> Result<axum::Json<SigningKeys>, ApiError> {
    let auth = &gateway.upstreams.auth;
    let message = pb::ListKeysRequest {};
    let reply =
        auth.idempotent(message, async |mut auth, message| auth.list_keys(message).await).await?;
    SigningKeys::of(reply.keys)
}

/// Makes the next signing key.
#[utoipa::path(post, path = "/api/v1/admin/keys/rotate", tag = "admin", request_body = RotationBody,
    responses((status = 200, description = "Every published key.", body = SigningKeys)))]
pub(crate) async fn rotate(
    State(gateway): State<Shared>,
    Json(body): Json<RotationBody>,
) -> Result<axum::Json<SigningKeys>, ApiError> {
    let auth = &gateway.upstreams.auth;
    let message = pb::RotateKeysRequest { withdraw_others: body.withdraw_others };
    let reply =
        auth.once(message, async |mut auth, message| auth.rotate_keys(message).await).await?;
    SigningKeys::of(reply.keys)
}
