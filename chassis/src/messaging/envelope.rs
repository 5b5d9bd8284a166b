//! The envelope around every event: CloudEvents 1.0 in JSON, structured mode.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{OutboundMessage, trace};
use crate::telemetry::traceparent::is_well_formed;

/// The content type of an encoded envelope.
pub(crate) const CONTENT_TYPE: &str = "application/cloudevents+json";

/// Longest encoded envelope that is accepted; events are facts, not documents.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// Longest id that is accepted; the tables that recognise repetitions by it have room for as much.
const MAX_ID_BYTES: usize = 160;

/// Longest name of an event that is accepted; it fits into an id, and tables have room for it.
const MAX_EVENT_BYTES: usize = 80;

const SPEC_VERSION: &str = "1.0";
const DATA_CONTENT_TYPE: &str = "application/json";
const TYPE_PREFIX: &str = "enterprisehub.";
const TYPE_VERSION: &str = ".v1";

/// An event on its way between services.
///
/// Its id is a function of what happened: event, aggregate and version. Writing the same
/// transition twice therefore collides instead of telling it twice, and consumers recognise
/// repetitions across restarts of anything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope {
    specversion: Cow<'static, str>,
    /// `{event}:{subject}:{version}`; unique across the fleet.
    pub id: String,
    /// The service that tells of it, such as `order-service`.
    pub source: String,
    /// `enterprisehub.{event}.v1`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The aggregate that changed.
    pub subject: Uuid,
    /// When it changed.
    pub time: DateTime<Utc>,
    /// W3C trace context of the operation that changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    #[serde(default)]
    datacontenttype: Cow<'static, str>,
    data: Box<RawValue>,
}

/// Why bytes are not an event, or a value cannot become one.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON, or members are missing or of the wrong type.
    #[error("not a valid event: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version of CloudEvents.
    #[error("unknown event format version {0:?}")]
    SpecVersion(String),
    /// Another version of the event, or no event of this fleet at all. Its reader may be older than
    /// its producer: it is kept until there is one that knows it.
    #[error("unknown type or version of event {0:?}")]
    Type(String),
    /// The id is not one that every table and header can hold.
    #[error("the event's id is not 1 to {MAX_ID_BYTES} visible ASCII characters")]
    Id,
    /// Larger than events may be.
    #[error("event of {0} bytes is too large")]
    TooLarge(usize),
}

impl Envelope {
    /// Creates the envelope of `event` (such as `order.paid`), which took `subject` to `version`.
    ///
    /// The trace context is that of the current span.
    pub fn new(
        source: &str,
        event: &str,
        subject: Uuid,
        version: u64,
        time: DateTime<Utc>,
        data: impl Serialize,
    ) -> Result<Self, EnvelopeError> {
        Ok(Self {
            specversion: Cow::Borrowed(SPEC_VERSION),
            id: format!("{event}:{subject}:{version}"),
            source: source.to_owned(),
            type_: format!("{TYPE_PREFIX}{event}{TYPE_VERSION}"),
            subject,
            time,
            traceparent: trace::current(),
            datacontenttype: Cow::Borrowed(DATA_CONTENT_TYPE),
            data: serde_json::value::to_raw_value(&data)?,
        })
    }

    /// Decodes an envelope and checks that it is one of this format.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_BYTES {
            return Err(EnvelopeError::TooLarge(bytes.len()));
        }
        let envelope: Self = serde_json::from_slice(bytes)?;
        if envelope.specversion != SPEC_VERSION {
            return Err(EnvelopeError::SpecVersion(envelope.specversion.into_owned()));
        }
        if !is_id(&envelope.id) {
            return Err(EnvelopeError::Id);
        }
        if !envelope.name().is_some_and(is_event) {
            return Err(EnvelopeError::Type(envelope.type_.chars().take(MAX_ID_BYTES).collect()));
        }
        Ok(envelope)
    }

    /// Encodes the envelope.
    pub fn to_json(&self) -> Result<String, EnvelopeError> {
        Ok(serde_json::to_string(self)?)
    }

    /// What happened, such as `order.paid`: the type without prefix and format version.
    pub fn event(&self) -> &str {
        self.name().unwrap_or(&self.type_)
    }

    fn name(&self) -> Option<&str> {
        self.type_.strip_prefix(TYPE_PREFIX)?.strip_suffix(TYPE_VERSION)
    }

    /// The trace id in [`Envelope::traceparent`], if there is a well-formed one.
    pub fn trace_id(&self) -> Option<&str> {
        let context = self.traceparent.as_deref().filter(|text| is_well_formed(text))?;
        context.split('-').nth(1)
    }

    /// The routing key under which the event is published.
    pub fn routing_key(&self) -> &str {
        self.event()
    }

    /// The version to which the event took its subject.
    pub fn version(&self) -> Option<u64> {
        self.id.rsplit_once(':')?.1.parse().ok()
    }

    /// Decodes the event's data.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, EnvelopeError> {
        Ok(serde_json::from_str(self.data.get())?)
    }

    /// The event's data as it was encoded.
    pub fn data(&self) -> &str {
        self.data.get()
    }

    /// Encodes the envelope for a [`Publisher`](super::Publisher).
    pub fn to_message(&self) -> Result<OutboundMessage, EnvelopeError> {
        Ok(OutboundMessage {
            id: self.id.clone(),
            routing_key: self.routing_key().to_owned(),
            payload: self.to_json()?,
            traceparent: self.traceparent.clone(),
        })
    }
}

fn is_id(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_event(name: &str) -> bool {
    (1..=MAX_EVENT_BYTES).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paid() -> Envelope {
        let time = DateTime::from_timestamp_millis(1_767_323_045_006).unwrap();
        let data = json!({ "total": { "amount": 1250, "currency": "EUR" } });
        Envelope::new("order-service", "order.paid", Uuid::nil(), 2, time, data).unwrap()
    }

    #[test]
    fn an_event_is_a_cloud_event() {
        let json: serde_json::Value = serde_json::from_str(&paid().to_json().unwrap()).unwrap();
        assert_eq!(
            json,
            json!({
                "specversion": "1.0",
                "id": "order.paid:00000000-0000-0000-0000-000000000000:2",
                "source": "order-service",
                "type": "enterprisehub.order.paid.v1",
                "subject": "00000000-0000-0000-0000-000000000000",
                "time": "2026-01-02T03:04:05.006Z",
                "datacontenttype": "application/json",
                "data": { "total": { "amount": 1250, "currency": "EUR" } },
            })
        );
    }

    #[test]
    fn an_event_survives_the_wire() {
        let sent = paid();
        let got = Envelope::from_json(sent.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(got.event(), "order.paid");
        assert_eq!(got.version(), Some(2));
        assert_eq!(got.data(), sent.data());
        assert_eq!(got.to_json().unwrap(), sent.to_json().unwrap());
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for bytes in [&b"\xff\xfe"[..], b"", b"{}", b"[]", b"{\"specversion\":\"1.0\"}"] {
            assert!(Envelope::from_json(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn another_format_version_is_refused() {
        let json = paid().to_json().unwrap().replace("\"1.0\"", "\"2.0\"");
        let error = Envelope::from_json(json.as_bytes()).unwrap_err();
        assert!(matches!(error, EnvelopeError::SpecVersion(found) if found == "2.0"));
    }

    #[test]
    fn another_version_of_an_event_is_refused() {
        let long = format!("enterprisehub.{}.v1", "a".repeat(81));
        for type_ in ["enterprisehub.order.paid.v2", "order.paid", "enterprisehub..v1", "", &long] {
            let sent = Envelope { type_: type_.to_owned(), ..paid() }.to_json().unwrap();
            let refused = Envelope::from_json(sent.as_bytes());
            assert!(matches!(refused, Err(EnvelopeError::Type(_))), "{type_:?}");
        }
    }

    #[test]
    fn an_id_is_short_and_visible() {
        let with = |id: &str| {
            let envelope = Envelope { id: id.to_owned(), ..paid() };
            Envelope::from_json(envelope.to_json().unwrap().as_bytes())
        };
        assert_eq!(with(&"~".repeat(160)).unwrap().id.len(), 160);
        for id in ["", &"a".repeat(161), "order paid", "tab\t", "nul\0", "größe", "\u{7f}"] {
            assert!(matches!(with(id), Err(EnvelopeError::Id)), "{id:?}");
        }
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let huge = vec![b' '; MAX_BYTES + 1];
        assert!(matches!(Envelope::from_json(&huge), Err(EnvelopeError::TooLarge(_))));
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let envelope = paid().to_json().unwrap().replace(paid().data(), &deep);
        let decoded = Envelope::from_json(envelope.as_bytes())
            .and_then(|envelope| envelope.decode::<serde_json::Value>());
        assert!(decoded.is_err());
    }
}
