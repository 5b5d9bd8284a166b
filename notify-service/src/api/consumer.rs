//! The in-port for events: reads envelopes, hands happenings to the use case.

use std::sync::Arc;

use async_trait::async_trait;
use chassis::error::{Kind, ServiceError as _};
use chassis::messaging::{Envelope, HandleError, Handler, Trust};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::model::{Facts, Happening, Locale, MailKind, MailOrder, NotifyError, Topic, UserId};
use crate::service::{NotifyService, sealed_bytes};

/// Routing keys that the queue of this service is bound to.
pub const BINDINGS: [&str; 3] = ["user.*", "auth.*", "order.*"];

/// Tells the language of a user, and nothing that the user would have to be told.
const PROFILE_UPDATED: &str = "user.profile_updated";

/// Longest sealed text; its column has room for as much.
const SEALED_MAX_BYTES: usize = 2000;

/// Applies events of other services.
pub struct EventHandler {
    service: Arc<NotifyService>,
}

impl EventHandler {
    /// Hands events to this service.
    pub fn new(service: Arc<NotifyService>) -> Self {
        Self { service }
    }
}

#[async_trait]
impl Handler for EventHandler {
    async fn handle(&self, batch: &[Envelope]) -> Result<(), HandleError> {
        let read: Result<Vec<_>, _> = batch.iter().filter_map(|e| read(e).transpose()).collect();
        let happenings = read.map_err(HandleError::Poison)?;
        self.service.tell_users(&happenings).await.map_err(outcome)
    }
}

/// Only what the event itself is to blame for can never be applied. Anything else, a defect that
/// the next version repairs included, comes again until the queue's delivery limit ends it.
fn outcome(error: NotifyError) -> HandleError {
    match error.code().kind {
        Kind::Malformed | Kind::InvalidArgument => HandleError::Poison(error.to_string()),
        _ => HandleError::Retry(error.into()),
    }
}

/// The members of `data` that this service reads; others are ignored, so producers may add some.
#[derive(Deserialize)]
struct Data {
    user_id: Uuid,
    version: u64,
    display_name: Option<String>,
    locale: Option<String>,
    failure_reason: Option<String>,
    sealed: Option<String>,
    expires_at: Option<DateTime<Utc>>,
}

/// Reads an envelope. Of an event that means nothing to this service, such as one that a later
/// version of its producer sends, it is known only that it arrived; `None` if not even that can be
/// read from it.
pub(super) fn read(envelope: &Envelope) -> Result<Option<Happening>, String> {
    let topic = Topic::find(envelope.event());
    let kind = MailKind::find(envelope.event());
    let is_understood = topic.is_some() || kind.is_some() || envelope.event() == PROFILE_UPDATED;
    let data: Data = match envelope.decode() {
        Ok(data) => data,
        Err(error) if is_understood => return Err(error.to_string()),
        Err(_) => return Ok(None),
    };
    let mail = kind.map(|kind| mail_order(kind, &data)).transpose()?;
    let facts = Facts {
        locale: data.locale.as_deref().map(Locale::from_tag),
        display_name: data.display_name,
        failure_reason: data.failure_reason,
    };
    Ok(Some(Happening {
        event_id: envelope.id.clone(),
        event: envelope.event().to_owned(),
        trace_id: envelope.trace_id().unwrap_or_default().to_owned(),
        topic,
        subject: envelope.subject,
        version: data.version,
        user_id: UserId::from_uuid(data.user_id),
        // A message is written in the language that its event names, and tells nothing of the user:
        // its version is not the user's.
        facts: if is_understood && mail.is_none() { facts } else { Facts::default() },
        mail,
    }))
}

/// Reads what is to be sent by e-mail. What is sealed is opened by whoever sends it.
fn mail_order(kind: MailKind, data: &Data) -> Result<MailOrder, String> {
    let sealed = data.sealed.as_deref().and_then(sealed_bytes);
    let sealed = sealed.filter(|sealed| (1..=SEALED_MAX_BYTES).contains(&sealed.len()));
    Ok(MailOrder {
        kind,
        locale: data.locale.as_deref().map(Locale::from_tag).unwrap_or_default(),
        sealed: sealed.ok_or("there is nothing sealed in the event")?,
        expires_at: data.expires_at.ok_or("the event does not say when its link is over")?,
    })
}

/// Reads a message as received; see [`read`]. What nobody believed when it came is not believed
/// afterwards either.
pub(super) fn read_bytes(payload: &[u8], trust: &Trust) -> Result<Option<Happening>, String> {
    let envelope = trust.open(payload).map_err(|error| error.to_string())?;
    read(&envelope)
}

#[cfg(test)]
mod tests {
    use chassis::error::Invalid;
    use chassis::testing::damage::damaged;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// What is put into events.
    const WORDS: &[&str] = &[
        "",
        "\"",
        "{",
        "}",
        ",",
        ":",
        "=",
        "AAAA",
        "0",
        "null",
        "\u{e9}",
        "\\u0000",
        "zh-CN",
        "order.paid",
        "\"sealed\":\"\",",
        "\"locale\":null,",
    ];

    /// Reads the example of an event's published schema, as its producer sends it.
    fn example(event: &str) -> Envelope {
        let schema: Value = serde_json::from_str(proto::events::schema(event).unwrap()).unwrap();
        Envelope::from_json(schema["examples"][0].to_string().as_bytes()).unwrap()
    }

    #[test]
    fn every_published_event_is_read_or_ignored() {
        for (event, _) in proto::events::SCHEMAS {
            let happening = read(&example(event)).unwrap();
            assert_eq!(happening.and_then(|h| h.topic), Topic::find(event), "{event}");
        }
    }

    /// A replica of this version reads what one of an earlier version has left in the queue, and what one
    /// of a later version puts there.
    #[test]
    fn events_of_every_release_are_read_also_with_members_of_a_later_one() {
        for released in chassis::testing::corpus::events() {
            let read_as = |bytes: &[u8]| {
                let envelope = Envelope::from_json(bytes).unwrap();
                assert!(proto::events::schema(envelope.event()).is_some(), "{}", released.file);
                format!("{:?}", read(&envelope).unwrap())
            };
            let later = read_as(&released.with_unknown_members());
            assert_eq!(read_as(&released.bytes), later, "{}", released.file);
        }
    }

    #[test]
    fn a_registration_tells_name_and_language() {
        let happening = read(&example("user.registered")).unwrap().unwrap();
        assert_eq!(happening.facts.display_name.as_deref(), Some("Ada"));
        assert_eq!(happening.told_locale(), Some(Locale::En));
    }

    #[test]
    fn a_changed_profile_tells_the_language_and_is_no_topic() {
        let happening = read(&example("user.profile_updated")).unwrap().unwrap();
        assert_eq!((happening.topic, happening.told_locale()), (None, Some(Locale::ZhCn)));
    }

    #[test]
    fn what_is_to_be_sent_is_no_notification_and_tells_no_language() {
        for kind in MailKind::ALL {
            let happening = read(&example(kind.as_str())).unwrap().unwrap();
            assert_eq!((happening.topic, happening.told_locale()), (None, None));
            let order = happening.mail.unwrap();
            assert_eq!((order.kind, order.locale), (kind, Locale::En));
            assert!(!order.sealed.is_empty());
            for member in ["sealed", "expires_at"] {
                let text = example(kind.as_str()).to_json().unwrap();
                let mut envelope: Value = serde_json::from_str(&text).unwrap();
                envelope["data"].as_object_mut().unwrap().remove(member);
                let envelope = Envelope::from_json(envelope.to_string().as_bytes()).unwrap();
                assert!(read(&envelope).is_err(), "{member}");
            }
        }
    }

    /// An event that no queue takes stays in its producer's outbox for ever. Those of payments go to
    /// order-service.
    #[test]
    fn every_event_but_those_of_payments_arrives_here() {
        for (event, _) in proto::events::SCHEMAS {
            let (source, _) = event.split_once('.').unwrap();
            let arrives = BINDINGS.contains(&format!("{source}.*").as_str());
            assert_eq!(arrives, source != "payment", "{event}");
        }
    }

    #[test]
    fn only_the_events_own_faults_are_poison() {
        let unavailable = NotifyError::Unavailable { source: "database".into() };
        assert!(matches!(outcome(unavailable), HandleError::Retry(_)));
        let defect = NotifyError::Internal { source: "bug".into() };
        assert!(matches!(outcome(defect), HandleError::Retry(_)));
        let invalid = Invalid::single("locale", "FORMAT", "must be a language tag");
        assert!(matches!(outcome(invalid.into()), HandleError::Poison(_)));
    }

    #[test]
    fn of_an_unknown_event_it_is_known_that_it_arrived() {
        let of = |data: Value| {
            let time = chrono::DateTime::UNIX_EPOCH;
            let event = Envelope::new("order-service", "order.lent", Uuid::nil(), 3, time, data);
            read(&event.unwrap()).unwrap()
        };
        let user_id = Uuid::from_u128(1);
        let seen = of(serde_json::json!({"user_id": user_id, "version": 3, "locale": "zh-CN"}));
        let seen = seen.unwrap();
        assert_eq!((seen.event.as_str(), seen.version, seen.topic), ("order.lent", 3, None));
        assert_eq!(seen.facts, Facts::default(), "what it tells is not guessed");
        assert_eq!(of(serde_json::json!({"lender": user_id})), None);
    }

    #[test]
    fn data_of_another_shape_is_refused() {
        let mut envelope: Value =
            serde_json::from_str(&example("order.paid").to_json().unwrap()).unwrap();
        envelope["data"]["user_id"] = Value::from(17);
        let envelope = Envelope::from_json(envelope.to_string().as_bytes()).unwrap();
        assert!(read(&envelope).is_err());
    }

    /// The events of every release.
    fn released() -> Vec<Vec<u8>> {
        chassis::testing::corpus::events().into_iter().map(|event| event.bytes).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_read_of_a_damaged_event_is_what_it_says(
            event in prop::sample::select(released()),
            changes in prop::collection::vec(
                (any::<usize>(), 0_usize..8, prop::sample::select(WORDS)),
                0..4,
            ),
        ) {
            let envelope = Envelope::from_json(&damaged(&event, &changes));
            let Ok(envelope) = envelope else { return Ok(()) };
            let Ok(Some(happening)) = read(&envelope) else { return Ok(()) };
            let Ok(data) = envelope.decode::<Value>() else { return Ok(()) };
            let user = data["user_id"].as_str().and_then(|text| text.parse::<Uuid>().ok());
            prop_assert_eq!(user.map(UserId::from_uuid), Some(happening.user_id));
            prop_assert_eq!(data["version"].as_u64(), Some(happening.version));
            prop_assert_eq!(&happening.event_id, &envelope.id);
            prop_assert_eq!(happening.topic, Topic::find(envelope.event()));
            prop_assert!(happening.facts.locale.is_none() || data["locale"].is_string());
            if let Some(order) = happening.mail {
                prop_assert!((1..=SEALED_MAX_BYTES).contains(&order.sealed.len()));
                prop_assert_eq!(happening.facts, Facts::default(), "a message tells of nobody");
            }
        }
    }
}
