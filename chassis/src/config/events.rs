//! `[events]`: by which keys events are signed, and whose are believed.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{ConfigError, Profile, Secret};
use crate::messaging::{Signer, Trust};

/// What stands for the key that anyone can derive from the source, in development.
pub const DEVELOPMENT_KEY: &str = "development";

/// Keys of events; see [`crate::messaging::Signer`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsConfig {
    /// This producer's Ed25519 private key: PKCS #8, in PEM or its base64 alone. `development`
    /// stands for a key that everybody knows; empty, for a service that tells nothing.
    pub signing_key: Secret,
    /// The public keys of each producer that is listened to, by the producer's name: 32 bytes in
    /// base64, or `development`. Several while a key is replaced.
    #[serde(deserialize_with = "super::list::map_of_lists")]
    pub trusted: BTreeMap<String, Vec<String>>,
}

impl EventsConfig {
    /// Checks the keys of a service; one that tells of something needs one of its own.
    pub fn validate(
        &self,
        service: &str,
        role: EventRole,
        profile: Profile,
    ) -> Result<(), ConfigError> {
        let wants_key = matches!(role, EventRole::Producer | EventRole::Both);
        if wants_key && self.signing_key.is_empty() {
            return Err(ConfigError::value("events.signing_key", "must be set"));
        }
        if matches!(role, EventRole::Consumer | EventRole::Both) && self.trusted.is_empty() {
            return Err(ConfigError::value("events.trusted", "must name the producers"));
        }
        if profile == Profile::Production {
            self.refuse_development_keys()?;
        }
        Signer::new(service, self)?;
        Trust::new(self).map(|_| ())
    }

    fn refuse_development_keys(&self) -> Result<(), ConfigError> {
        let message = "is the key for development, which anyone can derive from the source";
        if self.signing_key.expose() == DEVELOPMENT_KEY {
            return Err(ConfigError::value("events.signing_key", message));
        }
        for (producer, keys) in &self.trusted {
            if keys.iter().any(|key| key == DEVELOPMENT_KEY) {
                return Err(ConfigError::value(format!("events.trusted.{producer}"), message));
            }
        }
        Ok(())
    }
}

/// What a service has to do with events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventRole {
    /// It tells of what happened.
    Producer,
    /// It listens.
    Consumer,
    /// Both.
    Both,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn development() -> EventsConfig {
        EventsConfig {
            signing_key: Secret::new(DEVELOPMENT_KEY),
            trusted: [("payment-service".to_owned(), vec![DEVELOPMENT_KEY.to_owned()])].into(),
        }
    }

    fn refusal(config: &EventsConfig, role: EventRole, profile: Profile) -> String {
        config.validate("order-service", role, profile).unwrap_err().to_string()
    }

    #[test]
    fn keys_for_development_do_not_start_production() {
        let config = development();
        config.validate("order-service", EventRole::Both, Profile::Development).unwrap();
        let refused = refusal(&config, EventRole::Both, Profile::Production);
        assert!(refused.contains("events.signing_key"), "{refused}");
        let config = EventsConfig { signing_key: Secret::default(), ..config };
        let refused = refusal(&config, EventRole::Consumer, Profile::Production);
        assert!(refused.contains("events.trusted.payment-service"), "{refused}");
    }

    #[test]
    fn missing_and_damaged_keys_are_refused_and_not_repeated() {
        let nothing = EventsConfig::default();
        assert!(
            refusal(&nothing, EventRole::Producer, Profile::Development).contains("signing_key")
        );
        assert!(refusal(&nothing, EventRole::Consumer, Profile::Development).contains("trusted"));
        let damaged = EventsConfig { signing_key: Secret::new("c2VjcmV0"), ..development() };
        let refused = refusal(&damaged, EventRole::Both, Profile::Development);
        assert!(refused.contains("events.signing_key") && !refused.contains("c2V"), "{refused}");
        let trusted = [("payment-service".to_owned(), vec!["c2hvcnQ".to_owned()])].into();
        let damaged = EventsConfig { trusted, ..development() };
        let refused = refusal(&damaged, EventRole::Both, Profile::Development);
        assert!(refused.contains("events.trusted.payment-service"), "{refused}");
    }
}
