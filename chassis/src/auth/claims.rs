//! The claims of an access token and its type.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The `typ` header every access token carries (RFC 9068), so that no other kind of signed token
/// can be passed off as one.
pub const TOKEN_TYPE: &str = "at+jwt";

/// The claims of an access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued the token.
    pub iss: String,
    /// Whom it is meant for; a single audience.
    pub aud: String,
    /// The user's id.
    pub sub: Uuid,
    /// The session's id.
    pub sid: Uuid,
    /// The token's own id.
    pub jti: Uuid,
    /// When it was issued, in seconds since the epoch.
    pub iat: i64,
    /// When it expires, in seconds since the epoch.
    pub exp: i64,
    /// Before when it is not valid, in seconds since the epoch; absent means from `iat` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// The account's version when the token was issued; 0 when the token does not say.
    #[serde(default)]
    pub ver: u64,
    /// The user's roles when the token was issued.
    pub roles: Vec<String>,
}
