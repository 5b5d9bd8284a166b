//! Keys by which producers sign their events.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::{Credentials, write};

/// Who tells of something.
const PRODUCERS: [&str; 4] = ["user-service", "auth-service", "order-service", "payment-service"];

/// Who listens, and to whom.
const CONSUMERS: [(&str, &[&str]); 2] = [
    ("order-service", &["payment-service"]),
    ("notify-service", &["user-service", "auth-service", "order-service"]),
];

impl Credentials {
    /// Makes the keys of events that are not there yet. They have no end: replacing one takes a
    /// time in which consumers know both, which is nothing to do behind anybody's back.
    pub(super) fn provide_event_keys(&self) -> Result<()> {
        for producer in PRODUCERS {
            if self.event_key(producer).is_file() && self.event_public_key(producer).is_file() {
                continue;
            }
            let key = Ed25519KeyPair::generate().context("no key can be made")?;
            let private: Pkcs8V1Der<'_> = key.as_der().context("the key cannot be encoded")?;
            write(&self.event_key(producer), &STANDARD.encode(private.as_ref()))?;
            let public = STANDARD.encode(key.public_key().as_ref());
            write(&self.event_public_key(producer), &public)?;
        }
        Ok(())
    }

    /// The file of a producer's private key.
    pub fn event_key(&self, producer: &str) -> PathBuf {
        self.folder.join(format!("{producer}.events.key"))
    }

    /// The file of its public key.
    pub fn event_public_key(&self, producer: &str) -> PathBuf {
        self.folder.join(format!("{producer}.events.pub"))
    }

    /// Signs a message as that producer does (`chassis::messaging::Signer`, which this crate does not
    /// know): for messages of a producer with a defect. One that ends in no brace stays unsigned.
    pub fn sign_as(&self, producer: &str, message: &str) -> Result<String> {
        let file = self.event_key(producer);
        let key = fs::read_to_string(&file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        let key = Ed25519KeyPair::from_pkcs8(&STANDARD.decode(key)?)
            .ok()
            .with_context(|| format!("{} holds no key", file.display()))?;
        let Some(open) = message.strip_suffix('}') else {
            return Ok(message.to_owned());
        };
        let id = digest(&SHA256, key.public_key().as_ref());
        let id =
            id.as_ref().iter().take(8).fold(String::new(), |id, byte| format!("{id}{byte:02x}"));
        let signature = key.sign(format!("enterprisehub.event.v1\n{message}").as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.as_ref());
        Ok(format!("{open},\"signature\":\"{id}:{signature}\"}}"))
    }

    /// What a service is told of keys: the ends of names of variables, and values.
    pub fn event_variables(&self, service: &str) -> Result<Vec<(String, String)>> {
        let mut variables = Vec::new();
        if PRODUCERS.contains(&service) {
            let file = self.event_key(service).display().to_string();
            variables.push(("EVENTS__SIGNING_KEY_FILE".to_owned(), file));
        }
        let heard = CONSUMERS.iter().find(|(consumer, _)| *consumer == service);
        for producer in heard.map(|(_, producers)| *producers).unwrap_or_default() {
            let file = self.event_public_key(producer);
            let key = fs::read_to_string(&file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            let name = producer.replace('-', "_").to_uppercase();
            variables.push((format!("EVENTS__TRUSTED__{name}"), key));
        }
        Ok(variables)
    }
}

#[cfg(test)]
mod tests {
    use chassis::config::EventsConfig;
    use chassis::messaging::{Trust, Untrusted};

    use super::*;

    #[test]
    fn the_services_believe_the_keys_that_are_made() {
        let folder =
            std::env::temp_dir().join(format!("ehub-events-{:032x}", rand::random::<u128>()));
        let credentials = Credentials::provide(&folder).unwrap();
        let told = credentials.event_variables("order-service").unwrap();
        let (name, key) = told.last().unwrap();
        assert_eq!(name, "EVENTS__TRUSTED__PAYMENT_SERVICE");
        let trusted = [("payment-service".to_owned(), vec![key.clone()])].into();
        let trust = Trust::new(&EventsConfig { trusted, ..EventsConfig::default() }).unwrap();
        let signed = credentials.sign_as("payment-service", "{\"a\":1}").unwrap();
        // Properly signed, and no event: the signature is all that is right.
        assert!(matches!(trust.open(signed.as_bytes()), Err(Untrusted::NoEvent(_))));
        let foreign = credentials.sign_as("order-service", "{\"a\":1}").unwrap();
        assert!(matches!(trust.open(foreign.as_bytes()), Err(Untrusted::UnknownKey)));
        fs::remove_dir_all(folder).unwrap();
    }
}
