//! What makes access tokens worthless before their time: a changed password, status or roles.

use uuid::Uuid;

use super::{Status, UserId};

/// What a change of an account does to the tokens that were issued before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessEffect {
    /// The sessions have to end.
    pub ends_sessions: bool,
    /// Except this one, in which it was done.
    pub kept_session: Option<Uuid>,
    /// The tokens name roles that are not so any more.
    pub changes_roles: bool,
}

/// The latest such state of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessChange {
    /// The account.
    pub user_id: UserId,
    /// Its version at the change.
    pub version: u64,
    /// Whether it may act.
    pub status: Status,
    /// Sessions begun under a lower one have ended.
    pub session_epoch: u64,
    /// The version at which the sessions had to end; 0: never.
    pub sessions_from: u64,
    /// The session that outlived that.
    pub kept_session: Option<Uuid>,
    /// The version at which the roles changed; 0: never.
    pub roles_from: u64,
}

/// A part of the changes, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessChanges {
    /// The changes; some may have come before.
    pub changes: Vec<AccessChange>,
    /// Where the next part begins.
    pub cursor: String,
    /// There is more already.
    pub more: bool,
}
