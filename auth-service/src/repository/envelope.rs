//! Envelopes around the events of a session, for the outbox.

use chassis::messaging::Envelope;

use crate::model::{Session, SessionError, SessionEvent};

/// The name under which this service signs its events.
const SOURCE: &str = "auth-service";

/// Wraps the events of a session.
pub(super) fn envelopes(
    session: &Session,
    events: &[SessionEvent],
) -> Result<Vec<Envelope>, SessionError> {
    let subject = session.id().as_uuid();
    let time = session.stored().last_used_at;
    let wrap = |event: &SessionEvent| {
        Envelope::new(SOURCE, event.name(), subject, event.version(), time, event)
            .map_err(SessionError::internal)
    };
    events.iter().map(wrap).collect()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::model::{Client, EndReason, Identity, Lifetimes, Login, TokenDigest, UserId};

    fn assert_follow_schema(session: &Session, events: &[SessionEvent]) {
        for envelope in envelopes(session, events).unwrap() {
            let schema = proto::events::schema(envelope.event()).unwrap();
            let schema = serde_json::from_str(schema).unwrap();
            let text = envelope.to_json().unwrap();
            let document: serde_json::Value = serde_json::from_str(&text).unwrap();
            jsonschema::validate(&schema, &document).unwrap();
        }
    }

    #[test]
    fn every_event_follows_its_schema() {
        let now = DateTime::UNIX_EPOCH;
        let day = TimeDelta::days(1);
        let lifetimes = Lifetimes { absolute: day, idle: day, retry_grace: TimeDelta::zero() };
        let login = Login {
            identity: Identity {
                user_id: UserId::generate(),
                roles: Vec::new(),
                session_epoch: 1,
                version: 1,
            },
            client: Client { user_agent: "curl/8".to_owned(), address: "127.0.0.1".to_owned() },
            first_token: TokenDigest::new([1; 32]),
        };
        let opened = Session::open(login, &lifetimes, now);
        assert_eq!(opened.events.len(), 1);
        assert_follow_schema(&opened.session, &opened.events);
        for reason in [EndReason::Logout, EndReason::TokenReuse, EndReason::AccountDisabled] {
            let ended = opened.session.end(reason, now).unwrap();
            assert!(!ended.events.is_empty());
            assert_follow_schema(&ended.session, &ended.events);
        }
    }
}
