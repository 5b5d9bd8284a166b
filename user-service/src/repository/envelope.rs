//! Envelopes around the events of an account, for the outbox.

use chassis::messaging::Envelope;

use crate::model::{Change, IssuedToken, UserError};

/// The name under which this service signs its events.
const SOURCE: &str = "user-service";

/// Wraps the events of a change.
pub(super) fn envelopes(change: &Change) -> Result<Vec<Envelope>, UserError> {
    let subject = change.user.id().as_uuid();
    let time = change.user.updated_at();
    let wrap = |event: &crate::model::UserEvent| {
        Envelope::new(SOURCE, event.name(), subject, event.version(), time, event)
            .map_err(UserError::internal)
    };
    let issued = change.tokens.issues.iter().map(token_envelope);
    change.events.iter().map(wrap).chain(issued).collect()
}

/// Wraps what has a token delivered: the token is the aggregate.
pub(super) fn token_envelope(issued: &IssuedToken) -> Result<Envelope, UserError> {
    let (event, id) = (issued.token.purpose.event(), issued.token.id.as_uuid());
    Envelope::new(SOURCE, event, id, IssuedToken::VERSION, issued.issued_at, issued.event())
        .map_err(UserError::internal)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::{
        DisplayName, Email, Locale, PasswordHash, ProfileChange, Registration, Roles, Status, User,
    };

    fn assert_follows_schema(change: &Change) {
        for envelope in envelopes(change).unwrap() {
            let schema = proto::events::schema(envelope.event()).unwrap();
            let schema = serde_json::from_str(schema).unwrap();
            let text = envelope.to_json().unwrap();
            let document: serde_json::Value = serde_json::from_str(&text).unwrap();
            jsonschema::validate(&schema, &document).unwrap();
            assert!(!text.contains("alice@"), "an address must not travel");
        }
    }

    #[test]
    fn every_event_follows_its_schema() {
        let registered = User::register(
            Registration {
                email: Email::parse("alice@example.com").unwrap(),
                display_name: DisplayName::parse("爱丽丝").unwrap(),
                locale: Locale::ZhCn,
                roles: Roles::customer(),
                password_hash: PasswordHash::new("hash"),
            },
            DateTime::UNIX_EPOCH,
        );
        let user = &registered.user;
        let changed = user.change_password(PasswordHash::new("other"), None, DateTime::UNIX_EPOCH);
        let wanted = ProfileChange { locale: Some(Locale::En), ..ProfileChange::default() };
        let updated = user.update_profile(wanted, DateTime::UNIX_EPOCH).unwrap().unwrap();
        let disabled = user.set_status(Status::Disabled, DateTime::UNIX_EPOCH).unwrap();
        for change in [&registered, &updated, &changed.unwrap().unwrap(), &disabled] {
            assert_eq!(change.events.len(), 1);
            assert_follows_schema(change);
        }
    }
}
