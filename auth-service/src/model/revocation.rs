//! What makes access tokens worthless before their time.

use super::{SessionId, UserId};

/// What has become of an account, as user-service tells it. Versions are those of the account, which
/// rise by one with every change of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountChange {
    /// The account.
    pub user_id: UserId,
    /// Its version at the change.
    pub version: u64,
    /// Whether it may act.
    pub is_active: bool,
    /// Sessions begun under a lower one have ended.
    pub session_epoch: u64,
    /// The version at which the epoch rose last; 0: never.
    pub sessions_from: u64,
    /// The session that outlived that.
    pub kept_session: Option<SessionId>,
    /// The version at which the roles changed last; 0: never.
    pub roles_from: u64,
}

/// A part of the changes of accounts, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChanges {
    /// The changes; some may have come before.
    pub changes: Vec<AccountChange>,
    /// Where the next part begins.
    pub cursor: String,
    /// There is more already.
    pub more: bool,
}

/// What the access tokens of an account have to comply with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRule {
    /// The account.
    pub user_id: UserId,
    /// The account's version that the rule follows from; a higher one replaces a lower one.
    pub version: u64,
    /// No token is accepted.
    pub is_disabled: bool,
    /// Tokens issued under a lower version belong to sessions that ended.
    pub sessions_from: u64,
    /// Except this session's.
    pub kept_session: Option<SessionId>,
    /// Tokens issued under a lower version name roles that changed.
    pub roles_from: u64,
}

impl From<&AccountChange> for AccountRule {
    fn from(change: &AccountChange) -> Self {
        Self {
            user_id: change.user_id,
            version: change.version,
            is_disabled: !change.is_active,
            sessions_from: change.sessions_from,
            kept_session: change.kept_session,
            roles_from: change.roles_from,
        }
    }
}

/// An entry of the feed that verifiers read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// A session that ended.
    Session(SessionId),
    /// What an account's tokens have to comply with.
    Account(AccountRule),
}

/// A part of the feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationPage {
    /// Each with the seconds for which it still matters.
    pub entries: Vec<(Revocation, u32)>,
    /// Where the next part begins.
    pub cursor: String,
    /// There is more already.
    pub more: bool,
}
