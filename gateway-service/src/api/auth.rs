//! Sessions: login, refresh, logout, and the public keys.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use proto::auth::v1 as pb;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::json::{Json, NoBody};
use crate::error::ApiError;
use crate::middleware::authn;
use crate::middleware::client_address::client_address;
use crate::state::Shared;

/// What a session remembers of the client's name at most.
const USER_AGENT_BYTES_MAX: usize = 256;

/// An e-mail address and its password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginBody {
    /// As given at registration; case does not matter.
    #[schema(max_length = 254, example = "li.lei@example.com")]
    email: String,
    /// The password.
    #[schema(format = Password, max_length = 128, example = "correct horse battery")]
    password: String,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshBody {
    /// From the login or the last refresh; good for one use.
    refresh_token: String,
}

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// Goes into `Authorization: Bearer …`.
    access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the access token expires.
    #[schema(example = 900)]
    expires_in: u32,
    /// Opaque; good for one use.
    refresh_token: String,
    /// The session.
    #[schema(format = Uuid)]
    session_id: String,
}

impl Tokens {
    fn of(pair: Option<pb::TokenPair>) -> Result<axum::Json<Self>, ApiError> {
        let pair = pair.ok_or_else(|| ApiError::upstream_invalid("tokens are missing"))?;
        Ok(axum::Json(Self {
            access_token: pair.access_token,
            token_type: "Bearer",
            expires_in: pair.expires_in,
            refresh_token: pair.refresh_token,
            session_id: pair.session_id,
        }))
    }
}

/// The client as a session remembers it.
pub(crate) struct Client {
    user_agent: String,
    address: String,
}

impl axum::extract::FromRequestParts<Shared> for Client {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        gateway: &Shared,
    ) -> Result<Self, Self::Rejection> {
        let trusted = &gateway.trusted_proxies;
        let address = client_address(&parts.headers, &parts.extensions, trusted);
        Ok(Self { user_agent: user_agent(&parts.headers), address: address.to_string() })
    }
}

/// The access token that came along with a refresh token, over or not; empty if none did, or something
/// else. auth-service refuses the exchange when it is another user's.
pub(crate) struct Companion(String);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Companion {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        let value = parts.headers.get(header::AUTHORIZATION);
        let token = value.and_then(|value| authn::bearer_token(value).ok());
        Ok(Self(token.unwrap_or_default().to_owned()))
    }
}

fn user_agent(headers: &HeaderMap) -> String {
    let value = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    // `to_str` allows visible ASCII only, so that any byte is the border of a character.
    value.map(|value| value.chars().take(USER_AGENT_BYTES_MAX).collect()).unwrap_or_default()
}

/// Starts a session.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = LoginBody,
    responses((status = 200, description = "The session's tokens.", body = Tokens)))]
pub(crate) async fn login(
    State(gateway): State<Shared>,
    client: Client,
    Json(body): Json<LoginBody>,
) -> Result<axum::Json<Tokens>, ApiError> {
    let message = pb::LoginRequest {
        email: body.email,
        password: body.password,
        user_agent: client.user_agent,
        client_address: client.address,
    };
    let auth = &gateway.upstreams.auth;
    let reply = auth.once(message, async |mut auth, message| auth.login(message).await).await?;
    Tokens::of(reply.tokens)
}

/// Exchanges a refresh token for new tokens.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", request_body = RefreshBody,
    responses((status = 200, description = "The session's new tokens.", body = Tokens)))]
pub(crate) async fn refresh(
    State(gateway): State<Shared>,
    Companion(access_token): Companion,
    Json(body): Json<RefreshBody>,
) -> Result<axum::Json<Tokens>, ApiError> {
    let message = pb::RefreshRequest { refresh_token: body.refresh_token, access_token };
    let auth = &gateway.upstreams.auth;
    let reply = auth.once(message, async |mut auth, message| auth.refresh(message).await).await?;
    Tokens::of(reply.tokens)
}

/// Ends the session of the access token, also when the token is over or the session has ended.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth",
    responses((status = 204, description = "The session is over.")))]
pub(crate) async fn logout(
    State(gateway): State<Shared>,
    NoBody: NoBody,
) -> Result<StatusCode, ApiError> {
    let auth = &gateway.upstreams.auth;
    let message = pb::LogoutRequest {};
    auth.idempotent(message, async |mut auth, message| auth.logout(message).await).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads the public keys that access tokens are signed with (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "auth",
    responses((status = 200, description = "The key set. May be cached for five minutes.",
        content_type = "application/json", body = Object)))]
pub(crate) async fn jwks(State(gateway): State<Shared>) -> Result<Response, ApiError> {
    let auth = &gateway.upstreams.auth;
    let message = pb::GetJwksRequest {};
    let reply =
        auth.idempotent(message, async |mut auth, message| auth.get_jwks(message).await).await?;
    if serde_json::from_str::<IgnoredAny>(&reply.jwks).is_err() {
        return Err(ApiError::upstream_invalid("the key set is not JSON"));
    }
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    Ok((headers, reply.jwks).into_response())
}
