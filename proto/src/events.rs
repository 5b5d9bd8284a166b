//! The events of the fleet: one JSON Schema per event, with an example, read from `events/`.
//!
//! Producers and consumers are tested against these documents; the services do not parse them at run time.

/// Routing key and JSON Schema of every event, sorted by routing key.
pub const SCHEMAS: &[(&str, &str)] = &[
    ("auth.session_started", include_str!("../events/auth.session_started.json")),
    ("auth.sessions_revoked", include_str!("../events/auth.sessions_revoked.json")),
    ("auth.token_reuse_detected", include_str!("../events/auth.token_reuse_detected.json")),
    ("order.cancelled", include_str!("../events/order.cancelled.json")),
    ("order.completed", include_str!("../events/order.completed.json")),
    ("order.created", include_str!("../events/order.created.json")),
    ("order.expired", include_str!("../events/order.expired.json")),
    ("order.paid", include_str!("../events/order.paid.json")),
    ("order.payment_failed", include_str!("../events/order.payment_failed.json")),
    ("order.refunded", include_str!("../events/order.refunded.json")),
    ("order.refunding", include_str!("../events/order.refunding.json")),
    ("order.shipped", include_str!("../events/order.shipped.json")),
    ("payment.failed", include_str!("../events/payment.failed.json")),
    ("payment.refunded", include_str!("../events/payment.refunded.json")),
    ("payment.succeeded", include_str!("../events/payment.succeeded.json")),
    ("user.disabled", include_str!("../events/user.disabled.json")),
    ("user.password_changed", include_str!("../events/user.password_changed.json")),
    ("user.profile_updated", include_str!("../events/user.profile_updated.json")),
    ("user.recovery_requested", include_str!("../events/user.recovery_requested.json")),
    ("user.registered", include_str!("../events/user.registered.json")),
    ("user.verification_requested", include_str!("../events/user.verification_requested.json")),
];

/// What the mail key is used for where an event has a member `sealed`: salt and purpose of the key that is
/// derived from it. Both sides of the event derive the same.
pub const SEALED: (&[u8], &[u8]) = (b"enterprisehub mail", b"sealed members of events, v1");

/// Finds the JSON Schema of an event by its routing key, e.g. `order.paid`.
pub fn schema(event: &str) -> Option<&'static str> {
    SCHEMAS.iter().find(|(name, _)| *name == event).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_example_follows_its_schema() {
        for (event, text) in SCHEMAS {
            let schema: Value = serde_json::from_str(text).unwrap();
            let validator = jsonschema::validator_for(&schema).unwrap();
            let examples = schema["examples"].as_array().unwrap();
            assert!(!examples.is_empty(), "{event} has no example");
            for example in examples {
                validator.validate(example).unwrap();
                assert_eq!(example["type"], format!("enterprisehub.{event}.v1"));
            }
        }
    }

    #[test]
    fn an_event_without_its_version_is_refused() {
        for (event, text) in SCHEMAS {
            let schema: Value = serde_json::from_str(text).unwrap();
            let mut example = schema["examples"][0].clone();
            example["data"].as_object_mut().unwrap().remove("version");
            assert!(!jsonschema::is_valid(&schema, &example), "{event}");
        }
    }
}
