//! Keys by which producers sign their events.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::Credentials;
use super::files::Step;

/// Who tells of something.
const PRODUCERS: [&str; 4] = ["user-service", "auth-service", "order-service", "payment-service"];

/// Who listens, and to whom.
const CONSUMERS: [(&str, &[&str]); 2] = [
    ("order-service", &["payment-service"]),
    ("notify-service", &["user-service", "auth-service", "order-service"]),
];

impl Credentials {
    /// What is to be done for every producer to have a key, and for whom it concerns to know its
    /// public part. Keys have no end: replacing one takes a time in which consumers know both,
    /// which is nothing to do behind anybody's back.
    pub(super) fn due_event_keys(&self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for producer in PRODUCERS {
            let file = self.event_key(producer);
            let key = if file.is_file() {
                read_key(&file)?
            } else {
                let key = Ed25519KeyPair::generate().context("no key can be made")?;
                let private: Pkcs8V1Der<'_> = key.as_der().context("the key cannot be encoded")?;
                steps.push(Step::Write(file, STANDARD.encode(private.as_ref())));
                key
            };
            // From the key, whatever was there before: the two belong together.
            let public = STANDARD.encode(key.public_key().as_ref());
            let hearing = CONSUMERS.iter().filter(|(_, heard)| heard.contains(&producer));
            let told = hearing.map(|(consumer, _)| self.trusted_key(consumer, producer));
            let files = told.chain([self.event_public_key(producer)]);
            let stale =
                files.filter(|file| fs::read_to_string(file).ok().as_ref() != Some(&public));
            steps.extend(stale.map(|file| Step::Write(file, public.clone())));
        }
        Ok(steps)
    }

    /// The file of a producer's private key.
    pub fn event_key(&self, producer: &str) -> PathBuf {
        self.of(producer).join("events.key")
    }

    /// The file of its public key.
    pub fn event_public_key(&self, producer: &str) -> PathBuf {
        self.of(producer).join("events.pub")
    }

    /// The file of its public key, as a consumer has it.
    fn trusted_key(&self, consumer: &str, producer: &str) -> PathBuf {
        self.of(consumer).join(format!("{producer}.pub"))
    }

    /// Signs a message as that producer does (`chassis::messaging::Signer`, which this crate does not
    /// know): for messages of a producer with a defect. One that ends in no brace stays unsigned.
    pub fn sign_as(&self, producer: &str, message: &str) -> Result<String> {
        let key = read_key(&self.event_key(producer))?;
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

    /// What a service is told of keys: the ends of names of variables, and files.
    pub fn event_variables(&self, service: &str) -> Vec<(String, PathBuf)> {
        let mut variables = Vec::new();
        if PRODUCERS.contains(&service) {
            variables.push(("EVENTS__SIGNING_KEY_FILE".to_owned(), self.event_key(service)));
        }
        let heard = CONSUMERS.iter().find(|(consumer, _)| *consumer == service);
        for producer in heard.map(|(_, producers)| *producers).unwrap_or_default() {
            let name = producer.replace('-', "_").to_uppercase();
            let file = self.trusted_key(service, producer);
            variables.push((format!("EVENTS__TRUSTED__{name}_FILE"), file));
        }
        variables
    }
}

fn read_key(file: &Path) -> Result<Ed25519KeyPair> {
    let key = fs::read_to_string(file);
    let key = key.with_context(|| format!("{} cannot be read", file.display()))?;
    let key = STANDARD.decode(key).ok().and_then(|der| Ed25519KeyPair::from_pkcs8(&der).ok());
    key.with_context(|| format!("{} holds no key", file.display()))
}

#[cfg(test)]
mod tests {
    use chassis::config::EventsConfig;
    use chassis::messaging::{Trust, Untrusted};

    use super::*;
    use crate::services::Service;

    fn folder() -> PathBuf {
        std::env::temp_dir().join(format!("ehub-events-{:032x}", rand::random::<u128>()))
    }

    #[test]
    fn the_services_believe_the_keys_that_are_made() {
        let folder = folder();
        let credentials = Credentials::provide(&folder).unwrap();
        let told = credentials.event_variables("order-service");
        let (name, file) = told.last().unwrap();
        assert_eq!(name, "EVENTS__TRUSTED__PAYMENT_SERVICE_FILE");
        let key = fs::read_to_string(file).unwrap();
        let trusted = [("payment-service".to_owned(), vec![key])].into();
        let trust = Trust::new(&EventsConfig { trusted, ..EventsConfig::default() }).unwrap();
        let signed = credentials.sign_as("payment-service", "{\"a\":1}").unwrap();
        // Properly signed, and no event: the signature is all that is right.
        assert!(matches!(trust.open(signed.as_bytes()), Err(Untrusted::NoEvent(_))));
        let foreign = credentials.sign_as("order-service", "{\"a\":1}").unwrap();
        assert!(matches!(trust.open(foreign.as_bytes()), Err(Untrusted::UnknownKey)));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn public_keys_follow_the_private_one() {
        let folder = folder();
        let credentials = Credentials::provide(&folder).unwrap();
        let key = fs::read(credentials.event_key("payment-service")).unwrap();
        let public = fs::read(credentials.event_public_key("payment-service")).unwrap();
        let told = credentials.trusted_key("order-service", "payment-service");
        fs::remove_file(credentials.event_public_key("payment-service")).unwrap();
        fs::write(&told, "of another time").unwrap();
        Credentials::provide(&folder).unwrap();
        assert_eq!(fs::read(credentials.event_key("payment-service")).unwrap(), key);
        assert_eq!(fs::read(credentials.event_public_key("payment-service")).unwrap(), public);
        assert_eq!(fs::read(told).unwrap(), public);
        assert!(credentials.due_event_keys().unwrap().is_empty());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_service_is_given_what_is_its_own_and_no_more() {
        let folder = folder();
        let credentials = Credentials::provide(&folder).unwrap();
        let files = |service: &str| {
            let files = fs::read_dir(credentials.of(service)).unwrap();
            let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        let own = ["ca.pem", "certificate.pem", "key.pem"];
        assert!(files("gateway-service").iter().eq(own));
        let heard = ["auth-service.pub", "ca.pem", "certificate.pem", "key.pem"];
        assert!(files("notify-service").iter().take(4).eq(heard));
        let of_order: Vec<_> = files("order-service").into_iter().collect();
        let key_and_trust = ["events.key", "events.pub", "key.pem", "payment-service.pub"];
        assert_eq!(of_order[2..], key_and_trust);
        fs::remove_dir_all(folder).unwrap();
    }
    #[test]
    fn in_containers_a_service_is_given_the_same() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/docker-compose.yml");
        let compose = fs::read_to_string(file).unwrap();
        let has = |line: &str| compose.lines().filter(|found| found.trim() == line).count() == 1;
        let credentials = Credentials::at(Path::new("/credentials"));
        let told = |file: &Path| {
            format!("/credentials/{}", file.file_name().unwrap_or_default().display())
        };
        for Service { name, variable, .. } in Service::ALL {
            let volume = format!("{}-credentials:/credentials", name.trim_end_matches("-service"));
            assert!(has(&format!("- {volume}:ro")), "{name}");
            assert!(has(&format!("- {volume}/{name}")), "{name}");
            for (end, file) in credentials.event_variables(name) {
                assert!(has(&format!("{variable}__{end}: {}", told(&file))), "{variable}__{end}");
            }
            for (end, file) in [
                ("CERTIFICATE_PATH", credentials.certificate(name)),
                ("KEY_PATH", credentials.key(name)),
                ("CA_PATH", credentials.ca(name)),
            ] {
                let line = format!("{variable}__TLS__{end}: {}", told(&file));
                assert!(has(&line), "{line}");
            }
        }
        assert_eq!(compose.matches("authority:/").count(), 1, "its key is for nobody else");
    }
}
