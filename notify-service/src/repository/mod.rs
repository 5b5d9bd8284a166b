//! The ports to storage, and their adapters beside them.
//!
//! [`mysql`] is what runs; [`memory`] is the fake for tests. Both pass the suite in `contract`, so a
//! use case tested over memory behaves the same over MySQL. To add an operation: declare it in the
//! trait, write its case in the suite, then make both adapters pass.

mod audit;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod mail_contract;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
pub mod mysql;

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::{
    Arrival, DeadLetter, DeadLetterId, DeadLetterStatus, DeadMail, Locale, Mail, MailId,
    MailOutcome, Memory, MutedNotice, Notification, NotificationId, NotifyError, Preferences,
    Receipt, Replay, TakenMail, UserId, Verdict,
};

/// What is known of somebody who is told things.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recipient {
    /// The language to write in.
    pub locale: Locale,
    /// The user's version that told the language; 0 while none did.
    pub version: u64,
    /// What they want to be told.
    pub preferences: Preferences,
}

/// A user's language, as an event told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Introduction {
    /// Whose language.
    pub user_id: UserId,
    /// Which language.
    pub locale: Locale,
    /// The user's version that told it; an older one never undoes a newer one.
    pub version: u64,
}

/// A page of somebody's inbox.
#[derive(Debug, Clone, Copy)]
pub struct InboxQuery {
    /// Whose inbox.
    pub user_id: UserId,
    /// Continue below this notification; `None` for the newest.
    pub before: Option<NotificationId>,
    /// Only what was not read.
    pub unread_only: bool,
    /// How many at most, 1 to 101.
    pub limit: u32,
}

/// What a batch of events comes to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Effects<'a> {
    /// What users are told.
    pub notifications: &'a [Notification],
    /// What they would be told, had they not muted it.
    pub muted: &'a [MutedNotice],
    /// What the events tell of users.
    pub introductions: &'a [Introduction],
    /// The deliveries that all of it comes from.
    pub arrivals: &'a [Arrival],
    /// What is to be sent by e-mail.
    pub mails: &'a [Mail],
}

/// Notifications, who gets them, and what they want.
#[async_trait]
pub trait NotificationRepository: Send + Sync {
    /// Reads what is known of these users; somebody unknown is absent from the map.
    async fn recipients(&self, users: &[UserId])
    -> Result<HashMap<UserId, Recipient>, NotifyError>;

    /// Stores notifications, marks of what was muted, introductions and messages to send in one
    /// transaction, and counts the deliveries that they come from. A notification, mark or message
    /// whose event was stored before is skipped, so the call may be repeated.
    async fn record(&self, effects: Effects<'_>) -> Result<(), NotifyError>;

    /// Lists an inbox, newest first.
    async fn list(&self, query: InboxQuery) -> Result<Vec<Notification>, NotifyError>;

    /// Marks a notification of this user as read, keeping an earlier mark; `None` if there is none.
    async fn mark_read(
        &self,
        user_id: UserId,
        id: NotificationId,
        now: DateTime<Utc>,
    ) -> Result<Option<Notification>, NotifyError>;

    /// Replaces what a user has muted. Of several calls at once the last one stands as a whole.
    async fn put_preferences(
        &self,
        user_id: UserId,
        preferences: &Preferences,
    ) -> Result<(), NotifyError>;
}

/// What arrived.
#[async_trait]
pub trait ReceiptRepository: Send + Sync {
    /// Lists the events about a subject that arrived, with what was made of them, by version: those
    /// of one user, or all; the latest, at most `limit`.
    async fn receipts(
        &self,
        subject: Uuid,
        only_of: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Receipt>, NotifyError>;

    /// Reads what is remembered of these subjects.
    async fn memory(&self, subjects: &[Uuid]) -> Result<Memory, NotifyError>;

    /// Forgets up to `limit` events that arrived last before `before`; returns how many. What is
    /// older counts as forgotten from now on ([`Memory::since`]).
    async fn forget_receipts(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, NotifyError>;
}

/// Messages to send by e-mail.
#[async_trait]
pub trait MailRepository: Send + Sync {
    /// Takes at most `limit` waiting messages that are due at `now`, those that are due longest first, so
    /// that nobody else takes them before `until`.
    async fn take(
        &self,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<TakenMail>, NotifyError>;

    /// Notes what became of an attempt, unless somebody else has taken the message since. Of one that
    /// will not be sent any more, address and token go; of one that was given up, when its link is over.
    async fn settle(&self, taken: &TakenMail, outcome: MailOutcome) -> Result<(), NotifyError>;

    /// Takes address and token out of up to `limit` messages that were given up and whose links are over
    /// at `now`; returns how many. None is looked at again, unless it is put back meanwhile.
    async fn forget_links(&self, now: DateTime<Utc>, limit: u32) -> Result<u64, NotifyError>;

    /// Forgets up to `limit` messages from before `before`, whatever became of them; returns how many.
    async fn forget_mails(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, NotifyError>;
}

/// A page of the messages that were given up.
#[derive(Debug, Clone, Copy)]
pub struct DeadMailQuery {
    /// Continue below this one; `None` for the newest.
    pub before: Option<MailId>,
    /// How many at most, 1 to 101.
    pub limit: u32,
}

/// Messages that were given up.
#[async_trait]
pub trait DeadMailRepository: Send + Sync {
    /// Lists them, newest first.
    async fn list_dead(&self, query: DeadMailQuery) -> Result<Vec<DeadMail>, NotifyError>;

    /// Finds one.
    async fn find_dead(&self, id: MailId) -> Result<Option<DeadMail>, NotifyError>;

    /// Puts one back to be sent at once, as if no attempt had been made; `false` if it is not given up any
    /// more or cannot be sent any more.
    async fn replay(&self, mail: &DeadMail, replay: Replay) -> Result<bool, NotifyError>;
}

/// A page of the dead letters.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetterQuery {
    /// Only of this status; all when `None`.
    pub status: Option<DeadLetterStatus>,
    /// Continue below this one; `None` for the newest.
    pub before: Option<DeadLetterId>,
    /// How many at most, 1 to 101.
    pub limit: u32,
}

/// Events that could not be processed.
#[async_trait]
pub trait DeadLetterRepository: Send + Sync {
    /// Stores dead letters under their fingerprints; one that was stored before is skipped.
    async fn bury(&self, letters: &[([u8; 32], DeadLetter)]) -> Result<(), NotifyError>;

    /// Lists dead letters without their payloads, newest first.
    async fn list(&self, query: DeadLetterQuery) -> Result<Vec<DeadLetter>, NotifyError>;

    /// Finds one with its payload.
    async fn find(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, NotifyError>;

    /// Counts the open ones, no further than `limit`.
    async fn count_open(&self, limit: u32) -> Result<u32, NotifyError>;

    /// Decides an open one; `false` if it was decided on before.
    async fn decide(&self, id: DeadLetterId, verdict: Verdict) -> Result<bool, NotifyError>;
}
