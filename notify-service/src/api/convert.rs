//! Between the wire and the model: every check of input is here.

use chassis::error::{Invalid, Validator};
use chassis::grpc::timestamp;
use proto::notify::v1 as pb;
use uuid::Uuid;

use crate::model::{
    DeadLetter, DeadLetterStatus, DeadMail, Notice, Notification, NotifyError, Preferences, Receipt,
};

const DEFAULT_PAGE_SIZE: u32 = 20;
const MAX_PAGE_SIZE: u32 = 100;
/// Room for the reason of a decision, as its column has it.
const MAX_REASON_CHARS: usize = 255;

/// Reads a page size: 1 to 100, 0 meaning 20.
pub(super) fn page_size(size: i32) -> Result<u32, Invalid> {
    let read = u32::try_from(size).ok().filter(|size| *size <= MAX_PAGE_SIZE);
    let mut validator = Validator::new();
    validator.check(read.is_some(), "page_size", "OUT_OF_RANGE", "must be between 1 and 100");
    validator.finish()?;
    Ok(read.filter(|size| *size > 0).unwrap_or(DEFAULT_PAGE_SIZE))
}

/// Reads a filter by status; `None` means all.
pub(super) fn status_filter(status: i32) -> Result<Option<DeadLetterStatus>, Invalid> {
    match pb::DeadLetterStatus::try_from(status) {
        Ok(pb::DeadLetterStatus::Unspecified) => Ok(None),
        Ok(pb::DeadLetterStatus::Open) => Ok(Some(DeadLetterStatus::Open)),
        Ok(pb::DeadLetterStatus::Replayed) => Ok(Some(DeadLetterStatus::Replayed)),
        Ok(pb::DeadLetterStatus::Discarded) => Ok(Some(DeadLetterStatus::Discarded)),
        Err(_) => {
            let mut validator = Validator::new();
            validator.reject("status", "UNKNOWN", "there is no such status");
            validator.finish().map(|()| None)
        }
    }
}

/// Reads the id of an aggregate.
pub(super) fn subject(text: &str) -> Result<Uuid, Invalid> {
    Uuid::try_parse(text).map_err(|_| Invalid::single("subject", "FORMAT", "must be a UUID"))
}

/// Reads the reason of a decision; nobody has to give one.
pub(super) fn reason(text: &str) -> Result<Option<String>, Invalid> {
    let mut validator = Validator::new();
    let is_short = text.chars().count() <= MAX_REASON_CHARS;
    validator.check(is_short, "reason", "TOO_LONG", "must be at most 255 characters");
    let is_printable = !text.chars().any(char::is_control);
    validator.check(is_printable, "reason", "FORMAT", "must be one line of printable text");
    validator.finish()?;
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// Reads preferences.
pub(super) fn preferences(request: &pb::PutPreferencesRequest) -> Result<Preferences, NotifyError> {
    let switches = request.preferences.iter();
    let switches = switches.map(|p| (p.event.as_str(), p.channel.as_str(), p.enabled));
    Ok(Preferences::parse(switches)?)
}

/// Renders preferences: every switch there is.
pub(super) fn switches(preferences: &Preferences) -> Vec<pb::Preference> {
    let switches = preferences.switches().into_iter();
    switches
        .map(|switch| pb::Preference {
            event: switch.topic.as_str().to_owned(),
            channel: switch.channel.as_str().to_owned(),
            enabled: switch.enabled,
        })
        .collect()
}

impl From<Receipt> for pb::EventReceipt {
    fn from(receipt: Receipt) -> Self {
        let Receipt { arrival, last_received_at, deliveries, notices } = receipt;
        Self {
            event_id: arrival.event_id,
            r#type: arrival.event,
            version: arrival.version,
            received_at: Some(timestamp(arrival.at)),
            last_received_at: Some(timestamp(last_received_at)),
            deliveries,
            trace_id: arrival.trace_id,
            notices: notices.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Notice> for pb::Notice {
    fn from(notice: Notice) -> Self {
        Self {
            notification_id: notice.id.to_string(),
            channel: notice.channel.as_str().to_owned(),
            created_at: Some(timestamp(notice.created_at)),
            read_at: notice.read_at.map(timestamp),
        }
    }
}

impl From<Notification> for pb::Notification {
    fn from(notification: Notification) -> Self {
        Self {
            id: notification.id.to_string(),
            event: notification.topic.as_str().to_owned(),
            event_id: notification.event_id,
            title: notification.wording.title,
            body: notification.wording.body,
            subject: notification.subject.to_string(),
            created_at: Some(timestamp(notification.created_at)),
            read_at: notification.read_at.map(timestamp),
        }
    }
}

impl From<DeadLetter> for pb::DeadLetter {
    fn from(letter: DeadLetter) -> Self {
        let status = match letter.status {
            DeadLetterStatus::Open => pb::DeadLetterStatus::Open,
            DeadLetterStatus::Replayed => pb::DeadLetterStatus::Replayed,
            DeadLetterStatus::Discarded => pb::DeadLetterStatus::Discarded,
        };
        Self {
            id: letter.id.to_string(),
            event_id: letter.event_id,
            routing_key: letter.routing_key,
            reason: letter.reason,
            status: status.into(),
            created_at: Some(timestamp(letter.created_at)),
            decided_at: letter.decided_at.map(timestamp),
            decided_by: letter.decided_by.map(|by| by.to_string()).unwrap_or_default(),
            decision_reason: letter.decision_reason.unwrap_or_default(),
        }
    }
}

impl From<DeadMail> for pb::DeadMail {
    fn from(mail: DeadMail) -> Self {
        let (died_at, reason) = match mail.death {
            Some(death) => (Some(timestamp(death.at)), death.reason),
            None => (None, String::new()),
        };
        Self {
            id: mail.id.to_string(),
            event_id: mail.event_id,
            event: mail.event,
            user_id: mail.user_id.to_string(),
            attempts: mail.attempts,
            reason,
            created_at: Some(timestamp(mail.created_at)),
            died_at,
            expires_at: Some(timestamp(mail.expires_at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_sizes_have_a_default_and_bounds() {
        assert_eq!(page_size(0), Ok(20));
        assert_eq!(page_size(1), Ok(1));
        assert_eq!(page_size(100), Ok(100));
        for size in [-1, 101, i32::MAX, i32::MIN] {
            assert_eq!(page_size(size).unwrap_err().violations[0].field, "page_size");
        }
    }

    #[test]
    fn a_reason_is_one_line_that_fits_or_none() {
        assert_eq!((reason(""), reason("  ")), (Ok(None), Ok(None)));
        assert_eq!(reason(" 测试事件 "), Ok(Some("测试事件".to_owned())));
        assert!(reason(&"é".repeat(255)).is_ok());
        for (text, rule) in [
            ("é".repeat(256), "TOO_LONG"),
            ("a\nb".to_owned(), "FORMAT"),
            ("a test event\n".to_owned(), "FORMAT"),
        ] {
            let refused = reason(&text).unwrap_err();
            assert_eq!(refused.violations[0].reason, rule);
        }
    }

    #[test]
    fn an_unknown_status_is_refused() {
        assert_eq!(status_filter(0), Ok(None));
        assert_eq!(status_filter(1), Ok(Some(DeadLetterStatus::Open)));
        assert!(status_filter(17).is_err());
    }
}
