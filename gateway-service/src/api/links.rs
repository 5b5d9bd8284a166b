//! Links that go by e-mail: proving an address, and putting another password in force.

use axum::extract::State;
use http::StatusCode;
use proto::user::v1 as pb;
use serde::Deserialize;
use utoipa::ToSchema;

use super::json::{Json, NoBody};
use crate::error::ApiError;
use crate::state::Shared;

/// A token that proves an address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerificationBody {
    /// From the link, behind `#token=`; good for one use.
    #[schema(pattern = "^[A-Za-z0-9_-]{43}$")]
    token: String,
}

/// The address of an account whose password is lost.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LostPasswordBody {
    /// As given at registration; case does not matter.
    #[schema(max_length = 254, example = "li.lei@example.com")]
    email: String,
}

/// Another password, and the token that allows it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecoveryBody {
    /// From the link, behind `#token=`; good for one use.
    #[schema(pattern = "^[A-Za-z0-9_-]{43}$")]
    token: String,
    /// Neither common nor easily guessed, nor equal to the e-mail address or the name.
    #[schema(format = Password, min_length = 8, max_length = 128, example = "correct horse battery")]
    new_password: String,
}

/// Sends the caller a link that proves the address, unless it is proven.
#[utoipa::path(post, path = "/api/v1/users/me/email-verification", tag = "users",
    responses((status = 202, description = "A link is on its way if the address is not proven.")))]
pub(crate) async fn request_verification(
    State(gateway): State<Shared>,
    NoBody: NoBody,
) -> Result<StatusCode, ApiError> {
    let message = pb::RequestEmailVerificationRequest {};
    let users = &gateway.upstreams.users;
    users
        .once(message, async |mut users, message| users.request_email_verification(message).await)
        .await?;
    Ok(StatusCode::ACCEPTED)
}

/// Proves an address by the token of a link.
#[utoipa::path(post, path = "/api/v1/auth/email-verification", tag = "auth",
    request_body = VerificationBody,
    responses((status = 204, description = "The address is proven.")))]
pub(crate) async fn verify(
    State(gateway): State<Shared>,
    Json(body): Json<VerificationBody>,
) -> Result<StatusCode, ApiError> {
    let message = pb::VerifyEmailRequest { token: body.token };
    let users = &gateway.upstreams.users;
    users.once(message, async |mut users, message| users.verify_email(message).await).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a link for another password to an address.
///
/// The answer is the same whether an account has the address or not.
#[utoipa::path(post, path = "/api/v1/auth/password-recovery", tag = "auth",
    request_body = LostPasswordBody,
    responses((status = 202, description = "A link is on its way if an account has the address.")))]
pub(crate) async fn request_recovery(
    State(gateway): State<Shared>,
    Json(body): Json<LostPasswordBody>,
) -> Result<StatusCode, ApiError> {
    let message = pb::RequestPasswordRecoveryRequest { email: body.email };
    let users = &gateway.upstreams.users;
    users
        .once(message, async |mut users, message| users.request_password_recovery(message).await)
        .await?;
    Ok(StatusCode::ACCEPTED)
}

/// Puts another password in force by the token of a link.
///
/// All sessions end.
#[utoipa::path(post, path = "/api/v1/auth/password-recovery/complete", tag = "auth",
    request_body = RecoveryBody,
    responses((status = 204, description = "The password is changed.")))]
pub(crate) async fn recover(
    State(gateway): State<Shared>,
    Json(body): Json<RecoveryBody>,
) -> Result<StatusCode, ApiError> {
    let message = pb::RecoverPasswordRequest { token: body.token, new_password: body.new_password };
    let users = &gateway.upstreams.users;
    users.once(message, async |mut users, message| users.recover_password(message).await).await?;
    Ok(StatusCode::NO_CONTENT)
}
