//! What user-service tells about accounts.

use chassis::config::Secret;

use super::SessionId;

chassis::id_type!(
    /// Identity of an account; user-service owns it.
    UserId,
    "user id"
);

/// What someone logs in with. Never printed: the address is personal, the password secret.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// E-mail address as typed.
    pub email: Secret,
    /// Password as typed.
    pub password: Secret,
}

/// Whom a pair of credentials belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub user_id: UserId,
    /// What it may do.
    pub roles: Vec<String>,
    /// Rises when all sessions begun before must end.
    pub session_epoch: u64,
    /// The account's version.
    pub version: u64,
}

/// What an account may do at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountAccess {
    /// Whether the account may act at all.
    pub is_active: bool,
    /// What it may do.
    pub roles: Vec<String>,
    /// Rises when all sessions begun before must end.
    pub session_epoch: u64,
    /// The account's version.
    pub version: u64,
    /// The session that outlived the last rise of the epoch.
    pub kept_session: Option<SessionId>,
}
