//! A notification and whose it is.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Channel, Happening, Topic, Wording};

chassis::id_type!(
    /// Identity of a notification.
    NotificationId, "notification id"
);
chassis::id_type!(
    /// Identity of a user.
    UserId, "user id"
);

/// A message to a user about one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Identity; grows with time, so it is also the order of the inbox.
    pub id: NotificationId,
    /// Whose inbox it is in.
    pub user_id: UserId,
    /// What it tells of.
    pub topic: Topic,
    /// The event, the key of deduplication.
    pub event_id: String,
    /// The aggregate the event is about, such as an order.
    pub subject: Uuid,
    /// What it says.
    pub wording: Wording,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was read; `None` while it is not.
    pub read_at: Option<DateTime<Utc>>,
}

impl Notification {
    /// Writes the notification of an event, which is one of `topic`.
    pub fn write(
        happening: &Happening,
        topic: Topic,
        wording: Wording,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id: NotificationId::generate(),
            user_id: happening.user_id,
            topic,
            event_id: happening.event_id.clone(),
            subject: happening.subject,
            wording,
            created_at: now,
            read_at: None,
        }
    }
}

/// What a user is not told of an event, having muted it when the event was handled.
///
/// It tells whoever audits a silence that was asked for from a notification that was lost. It decides
/// nothing: an event that comes again after its user has changed their mind may have both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MutedNotice {
    /// The event.
    pub event_id: String,
    /// Over which channel nothing is told.
    pub channel: Channel,
    /// Who is not told.
    pub user_id: UserId,
    /// When the event was handled.
    pub created_at: DateTime<Utc>,
}

impl MutedNotice {
    /// Marks that nothing is told of an event over `channel`.
    pub fn mark(happening: &Happening, channel: Channel, now: DateTime<Utc>) -> Self {
        Self {
            event_id: happening.event_id.clone(),
            channel,
            user_id: happening.user_id,
            created_at: now,
        }
    }
}
