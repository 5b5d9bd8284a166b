//! Accounts: registration, the caller's own profile, administration.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use proto::user::v1 as pb;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::conditions::Conditions;
use super::extract::{CurrentUser, PathId, Query, invalid};
use super::json::Json;
use super::roles;
use super::wire::{Page, PageParameters, Time, required, short_name};
use crate::error::ApiError;
use crate::state::Shared;

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterBody {
    /// Compared after normalisation (NFKC, case folding).
    #[schema(format = Email, max_length = 254, example = "li.lei@example.com")]
    email: String,
    /// Neither common nor easily guessed, nor equal to the e-mail address or the name.
    #[schema(format = Password, min_length = 8, max_length = 128, example = "correct horse battery")]
    password: String,
    /// How the user wants to be called: visible characters, no word of mixed scripts.
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = r"^[^\u0000-\u0020\u007f-\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]([^\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*[^\u0000-\u0020\u007f-\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff])?$",
        example = "Li Lei"
    )]
    display_name: String,
    /// Language of notifications: `en` or `zh-CN`.
    #[schema(pattern = "^(en|zh-CN)$", default = "en")]
    locale: Option<String>,
}

/// Changes to a profile; absent members stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileBody {
    /// How the user wants to be called: visible characters, no word of mixed scripts.
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = r"^[^\u0000-\u0020\u007f-\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]([^\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*[^\u0000-\u0020\u007f-\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff])?$",
        example = "Han Meimei"
    )]
    display_name: Option<String>,
    /// Language of notifications: `en` or `zh-CN`.
    #[schema(pattern = "^(en|zh-CN)$", example = "zh-CN")]
    locale: Option<String>,
}

/// A change of the password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordBody {
    /// The password in force.
    #[schema(format = Password, max_length = 128)]
    current_password: String,
    /// Neither common nor easily guessed, nor equal to the e-mail address or the name.
    #[schema(format = Password, min_length = 8, max_length = 128)]
    new_password: String,
}

/// Whether an account may act.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusBody {
    /// `ACTIVE` or `DISABLED`.
    #[schema(pattern = "^(ACTIVE|DISABLED)$", example = "DISABLED")]
    status: String,
}

/// The roles of an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RolesBody {
    /// Any of `customer` and `admin`.
    #[schema(schema_with = roles::given)]
    roles: Vec<String>,
}

/// An account.
#[derive(Serialize, ToSchema)]
pub(crate) struct User {
    /// UUIDv7.
    #[schema(format = Uuid)]
    id: String,
    /// As given at registration.
    #[schema(example = "li.lei@example.com")]
    email: String,
    /// How the user wants to be called.
    #[schema(example = "Li Lei")]
    display_name: String,
    /// `en` or `zh-CN`.
    #[schema(example = "en")]
    locale: String,
    /// `ACTIVE` or `DISABLED`; more may come.
    #[schema(example = "ACTIVE")]
    status: &'static str,
    /// `customer`, `admin`.
    #[schema(schema_with = roles::held)]
    roles: Vec<String>,
    /// When the account was registered.
    created_at: Time,
    /// When it last changed.
    updated_at: Time,
    /// When its owner proved to receive mail at the address; null: not yet.
    email_verified_at: Option<Time>,
    #[serde(skip)]
    #[schema(ignore)]
    version: u64,
}

impl TryFrom<pb::User> for User {
    type Error = ApiError;

    fn try_from(user: pb::User) -> Result<Self, ApiError> {
        let status = short_name(user.status, "USER_STATUS_", pb::UserStatus::as_str_name)?;
        Ok(Self {
            id: user.id,
            email: user.email,
            display_name: user.display_name,
            locale: user.locale,
            status,
            roles: user.roles,
            created_at: Time::required(user.created_at, "user.created_at")?,
            updated_at: Time::required(user.updated_at, "user.updated_at")?,
            email_verified_at: Time::optional(user.email_verified_at)?,
            version: user.version,
        })
    }
}

impl User {
    /// The tag names the user too: browsers share one cache among all who log in on it.
    fn etag(&self) -> String {
        format!("\"{}.{}\"", self.id, self.version)
    }

    /// The version that a tag of this user's resource names.
    fn version_of(etag: &str, user_id: Uuid) -> Option<u64> {
        let (id, version) = etag.strip_prefix('"')?.strip_suffix('"')?.split_once('.')?;
        (id.parse() == Ok(user_id)).then(|| version.parse().ok())?
    }

    fn into_tagged(self) -> Response {
        let etag = HeaderValue::try_from(self.etag()).unwrap_or(HeaderValue::from_static("\"\""));
        let mut response = axum::Json(self).into_response();
        response.headers_mut().insert(header::ETAG, etag);
        private(response)
    }
}

/// May be kept by the user's own browser, if it asks each time whether it is still current.
fn private(mut response: Response) -> Response {
    let policy = HeaderValue::from_static("private, no-cache");
    response.headers_mut().insert(header::CACHE_CONTROL, policy);
    response
}

/// Registers an account.
///
/// The role is `customer`, and a login works at once. A link by e-mail proves the address.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = RegisterBody,
    responses((status = 201, description = "The new account.", body = User,
        headers(("Location" = String, description = "Where the user reads it.")))))]
pub(crate) async fn register(
    State(gateway): State<Shared>,
    Json(body): Json<RegisterBody>,
) -> Result<Response, ApiError> {
    let message = pb::RegisterRequest {
        email: body.email,
        password: body.password,
        display_name: body.display_name,
        locale: body.locale,
    };
    let users = &gateway.upstreams.users;
    let reply =
        users.once(message, async |mut users, message| users.register(message).await).await?;
    let user: User = required(reply.user, "registered user")?;
    let location = [(header::LOCATION, HeaderValue::from_static("/api/v1/users/me"))];
    Ok((StatusCode::CREATED, location, axum::Json(user)).into_response())
}

/// Reads the caller's own account.
#[utoipa::path(get, path = "/api/v1/users/me", tag = "users",
    params(("If-None-Match" = Option<String>, Header, description = "An ETag that is held already.")),
    responses(
        (status = 200, description = "The account.", body = User,
            headers(("ETag" = String, description = "Names the version, for If-Match."))),
        (status = 304, description = "The ETag that is held is still current."),
    ))]
pub(crate) async fn read_me(
    State(gateway): State<Shared>,
    CurrentUser(caller): CurrentUser,
    conditions: Conditions,
) -> Result<Response, ApiError> {
    let user = find(&gateway, caller.user_id).await?;
    let etag = user.etag();
    if conditions.holds_already(&etag) {
        return Ok(private((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response()));
    }
    Ok(user.into_tagged())
}

/// Changes the caller's own profile.
#[utoipa::path(patch, path = "/api/v1/users/me", tag = "users", request_body = ProfileBody,
    params(("If-Match" = Option<String>, Header,
        description = "The ETag that the change is based on, or `*`.",
        pattern = r#"^(\*|(W/)?"[!#-~\u0080-\u00ff]*"([ \t]*,[ \t]*(W/)?"[!#-~\u0080-\u00ff]*")*)$"#)),
    responses((status = 200, description = "The changed account.", body = User,
        headers(("ETag" = String, description = "Names the new version.")))))]
pub(crate) async fn update_me(
    State(gateway): State<Shared>,
    CurrentUser(caller): CurrentUser,
    conditions: Conditions,
    Json(body): Json<ProfileBody>,
) -> Result<Response, ApiError> {
    let read = |etag: &str| User::version_of(etag, caller.user_id);
    let message = pb::UpdateProfileRequest {
        display_name: body.display_name,
        locale: body.locale,
        expected_version: conditions.expected_version(read)?,
    };
    let users = &gateway.upstreams.users;
    let reply =
        users.once(message, async |mut users, message| users.update_profile(message).await).await?;
    Ok(required::<_, User>(reply.user, "changed user")?.into_tagged())
}

/// Changes the caller's own password.
///
/// Other sessions end.
#[utoipa::path(put, path = "/api/v1/users/me/password", tag = "users", request_body = PasswordBody,
    responses((status = 204, description = "The password is changed.")))]
pub(crate) async fn change_password(
    State(gateway): State<Shared>,
    Json(body): Json<PasswordBody>,
) -> Result<StatusCode, ApiError> {
    let message = pb::ChangePasswordRequest {
        current_password: body.current_password,
        new_password: body.new_password,
    };
    let users = &gateway.upstreams.users;
    users.once(message, async |mut users, message| users.change_password(message).await).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists accounts, newest first.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", params(PageParameters),
    responses((status = 200, description = "One page.", body = Page<User>)))]
pub(crate) async fn list(
    State(gateway): State<Shared>,
    query: Query,
) -> Result<axum::Json<Page<User>>, ApiError> {
    let message =
        pb::ListUsersRequest { page_size: query.page_size()?, page_token: query.page_token() };
    let users = &gateway.upstreams.users;
    let reply = users
        .idempotent(message, async |mut users, message| users.list_users(message).await)
        .await?;
    Page::of(reply.users, reply.next_page_token).map(axum::Json)
}

/// Reads any account.
#[utoipa::path(get, path = "/api/v1/users/{id}", tag = "users",
    params(("id" = Uuid, Path, description = "The user.")),
    responses((status = 200, description = "The account.", body = User)))]
pub(crate) async fn read(
    State(gateway): State<Shared>,
    PathId(id): PathId,
) -> Result<axum::Json<User>, ApiError> {
    find(&gateway, id).await.map(axum::Json)
}

/// Enables or disables an account.
///
/// A disabled user cannot log in, and its sessions end.
#[utoipa::path(put, path = "/api/v1/users/{id}/status", tag = "users", request_body = StatusBody,
    params(("id" = Uuid, Path, description = "The user.")),
    responses((status = 200, description = "The changed account.", body = User)))]
pub(crate) async fn set_status(
    State(gateway): State<Shared>,
    PathId(id): PathId,
    Json(body): Json<StatusBody>,
) -> Result<axum::Json<User>, ApiError> {
    let status = match body.status.as_str() {
        "ACTIVE" => pb::UserStatus::Active,
        "DISABLED" => pb::UserStatus::Disabled,
        _ => return Err(invalid("status", "UNKNOWN_VALUE", "must be ACTIVE or DISABLED")),
    };
    let message = pb::SetStatusRequest { user_id: id.to_string(), status: status.into() };
    let users = &gateway.upstreams.users;
    let reply =
        users.once(message, async |mut users, message| users.set_status(message).await).await?;
    required(reply.user, "changed user").map(axum::Json)
}

/// Replaces the roles of an account.
#[utoipa::path(put, path = "/api/v1/users/{id}/roles", tag = "users", request_body = RolesBody,
    params(("id" = Uuid, Path, description = "The user.")),
    responses((status = 200, description = "The changed account.", body = User)))]
pub(crate) async fn set_roles(
    State(gateway): State<Shared>,
    PathId(id): PathId,
    Json(body): Json<RolesBody>,
) -> Result<axum::Json<User>, ApiError> {
    let message = pb::SetRolesRequest { user_id: id.to_string(), roles: body.roles };
    let users = &gateway.upstreams.users;
    let reply =
        users.once(message, async |mut users, message| users.set_roles(message).await).await?;
    required(reply.user, "changed user").map(axum::Json)
}

async fn find(gateway: &Shared, id: Uuid) -> Result<User, ApiError> {
    let message = pb::GetUserRequest { user_id: id.to_string() };
    let users = &gateway.upstreams.users;
    let reply =
        users.idempotent(message, async |mut users, message| users.get_user(message).await).await?;
    required(reply.user, "user")
}
