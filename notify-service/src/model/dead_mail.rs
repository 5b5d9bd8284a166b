//! Messages that were given up, and whether they can still be sent.

use chrono::{DateTime, Utc};

use super::{MailId, UserId};

/// How a message ended that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// When.
    pub at: DateTime<Utc>,
    /// Why, in at most [`Death::REASON_MAX`] characters; neither address nor token is in it.
    pub reason: String,
}

impl Death {
    /// Longest reason in characters, as its column has it.
    pub const REASON_MAX: usize = 255;

    /// A death at `at`, for a reason that is cut where it is too long.
    pub fn new(at: DateTime<Utc>, reason: &str) -> Self {
        Self { at, reason: reason.chars().take(Self::REASON_MAX).collect() }
    }
}

/// A message that was given up. Neither address nor token is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadMail {
    /// Identity; grows with time.
    pub id: MailId,
    /// Id of the event that asked for it.
    pub event_id: String,
    /// That event, e.g. `user.recovery_requested`.
    pub event: String,
    /// Whose account.
    pub user_id: UserId,
    /// How often it was tried to send it, in all.
    pub attempts: u32,
    /// How it ended; `None` where a version before did not say so.
    pub death: Option<Death>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When its link is good for nothing any more.
    pub expires_at: DateTime<Utc>,
    /// Whether address and token are still kept, sealed.
    pub is_sealed: bool,
}

impl DeadMail {
    /// Whether sending it at `now` is of use.
    pub fn can_be_sent(&self, now: DateTime<Utc>) -> bool {
        self.is_sealed && self.expires_at > now
    }
}

/// Somebody has a message sent after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// The administrator who says so.
    pub by: UserId,
    /// When.
    pub at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_characters() {
        let death = Death::new(DateTime::UNIX_EPOCH, &"名".repeat(300));
        assert_eq!(death.reason, "名".repeat(Death::REASON_MAX));
    }
}
