//! Port: where one-time tokens are kept, and requests for another password until they are answered.
//!
//! What a token allows is a change of its account, stored by [`UserRepository::save`] in the
//! transaction that uses the token up.
//!
//! [`UserRepository::save`]: super::UserRepository::save

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::model::{
    Email, IssuedToken, LiveToken, Purpose, RecoveryRequest, RecoveryRequestId, TokenDigest,
    UserError,
};

/// What became of a token that was to be issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issue {
    /// It is stored and told.
    Done,
    /// The account has as many live ones for this purpose as it may have.
    TooMany,
    /// The request was answered before.
    Answered,
}

/// Keeps one-time tokens.
#[async_trait]
pub trait TokenRepository: Send + Sync {
    /// Stores a token with its event, unless `live_max` of its account and purpose are good already.
    /// The request that it answers, if it answers one, is over in either case: of several who
    /// answer one, one does.
    async fn issue(
        &self,
        issued: &IssuedToken,
        live_max: u32,
        answers: Option<RecoveryRequestId>,
    ) -> Result<Issue, UserError>;

    /// Finds a token for `purpose` by what it is known by, if it is still good at `now`.
    async fn find_live(
        &self,
        digest: &TokenDigest,
        purpose: Purpose,
        now: DateTime<Utc>,
    ) -> Result<Option<LiveToken>, UserError>;

    /// Leaves a request for another password. A second one for the same address is the same one, and
    /// beyond `waiting_max` waiting ones it is refused as [`UserError::Unavailable`].
    async fn request_recovery(
        &self,
        email: &Email,
        now: DateTime<Utc>,
        waiting_max: u32,
    ) -> Result<(), UserError>;

    /// Lists at most `limit` waiting requests, oldest first.
    async fn waiting_requests(&self, limit: u32) -> Result<Vec<RecoveryRequest>, UserError>;

    /// Ends a request for which there is nothing to send.
    async fn drop_request(&self, id: RecoveryRequestId) -> Result<(), UserError>;

    /// Forgets at most `limit` tokens that were good until `now` or before, and as many requests from
    /// before `oldest_request`. Returns how many it were.
    async fn forget(
        &self,
        now: DateTime<Utc>,
        oldest_request: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, UserError>;
}
