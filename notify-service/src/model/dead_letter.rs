//! Events that could not be processed and what administrators decide about them.

use chrono::{DateTime, Utc};

use super::UserId;

chassis::id_type!(
    /// Identity of a dead letter.
    DeadLetterId, "dead letter id"
);

/// What became of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterStatus {
    /// Waits for a decision.
    Open,
    /// Processed again with success.
    Replayed,
    /// Given up.
    Discarded,
}

impl DeadLetterStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Open, Self::Replayed, Self::Discarded];

    /// The name in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Replayed => "REPLAYED",
            Self::Discarded => "DISCARDED",
        }
    }

    /// Finds a status by its name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// A decision about a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What it becomes: never `Open`.
    pub status: DeadLetterStatus,
    /// The administrator who decides.
    pub by: UserId,
    /// When.
    pub at: DateTime<Utc>,
    /// Why, if they say so.
    pub reason: Option<String>,
}

/// An event that could not be processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Identity; grows with time.
    pub id: DeadLetterId,
    /// Id of the event, empty if the message could not be read.
    pub event_id: String,
    /// Routing key it was published with.
    pub routing_key: String,
    /// Why it could not be processed, and how much of the payload is kept if not all.
    pub reason: String,
    /// The message as received, or its beginning.
    pub payload: Vec<u8>,
    /// What became of it.
    pub status: DeadLetterStatus,
    /// When it arrived here.
    pub created_at: DateTime<Utc>,
    /// When it was decided on.
    pub decided_at: Option<DateTime<Utc>>,
    /// Who decided.
    pub decided_by: Option<UserId>,
    /// Why they decided so, if they said.
    pub decision_reason: Option<String>,
}
