//! What arrived: every event that was delivered, how often, and what was made of it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Channel, Happening, NotificationId, UserId};

/// One delivery of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The event's id.
    pub event_id: String,
    /// The event, such as `order.paid`.
    pub event: String,
    /// The aggregate it is about.
    pub subject: Uuid,
    /// The aggregate's version after it.
    pub version: u64,
    /// Whose it is.
    pub user_id: UserId,
    /// W3C trace id of the work that it tells of; empty if there was none.
    pub trace_id: String,
    /// When it was delivered.
    pub at: DateTime<Utc>,
}

impl Arrival {
    /// The delivery of what a happening was read from.
    pub fn of(happening: &Happening, at: DateTime<Utc>) -> Self {
        Self {
            event_id: happening.event_id.clone(),
            event: happening.event.clone(),
            subject: happening.subject,
            version: happening.version,
            user_id: happening.user_id,
            trace_id: happening.trace_id.clone(),
            at,
        }
    }
}

/// An event that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its first delivery.
    pub arrival: Arrival,
    /// When it was delivered last.
    pub last_received_at: DateTime<Utc>,
    /// How often it was delivered.
    pub deliveries: u32,
    /// What was made of it.
    pub notices: Vec<Notice>,
}

/// A notification, as its event's receipt shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Which one.
    pub id: NotificationId,
    /// Over which channel it went.
    pub channel: Channel,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was read; `None` while it is not.
    pub read_at: Option<DateTime<Utc>>,
}
