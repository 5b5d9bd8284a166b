//! Where revocations come from, and what they say.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::TokenFacts;

/// What an account's access tokens have to comply with. Versions are those of the account, which rise
/// by one with every change of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRule {
    /// The account.
    pub user_id: Uuid,
    /// The version that the rule is from; a higher one replaces a lower one.
    pub version: u64,
    /// No token is accepted.
    pub is_disabled: bool,
    /// Tokens issued under a lower version belong to sessions that ended.
    pub sessions_from: u64,
    /// Except this session's.
    pub kept_session: Option<Uuid>,
    /// Tokens issued under a lower version name roles that changed.
    pub roles_from: u64,
}

impl AccountRule {
    pub(super) fn ends_session_of(&self, token: &TokenFacts) -> bool {
        token.version < self.sessions_from && self.kept_session != Some(token.session_id)
    }
}

/// Something that matters for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept<T> {
    /// What matters.
    pub item: T,
    /// For how many seconds.
    pub keep_s: u32,
}

/// A part of what the issuer tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedPage {
    /// Sessions that ended, each with the seconds for which that matters.
    pub sessions: Vec<(Uuid, u32)>,
    /// Rules of accounts.
    pub accounts: Vec<Kept<AccountRule>>,
    /// Where the next page begins.
    pub cursor: String,
    /// There is more already.
    pub more: bool,
    /// The ids of all keys that are published now, in any order; empty when the issuer does not say.
    pub key_ids: Vec<String>,
}

/// A source of revocations.
#[async_trait]
pub trait RevocationFeed: Send + Sync {
    /// Reads what happened since the page that returned `cursor`; everything in force when it is
    /// empty. What came before may come again. It ends with the deadline of the
    /// [call](crate::grpc::context) that it belongs to. A cursor that is refused is
    /// [`InvalidCursor`](crate::feed::InvalidCursor).
    async fn read(&self, cursor: &str) -> anyhow::Result<FeedPage>;
}
