//! Proof of who tells of an event: each producer signs what it publishes with a key of its own.
//!
//! Whoever reaches the broker can put messages into it; only who has a producer's key can tell an
//! event in its name. The signature (Ed25519, RFC 8032) is over the envelope as it is published and
//! is its last member, `"signature":"KEY:SIGNATURE"`, so that it stays with the event wherever that
//! is kept, such as among dead letters. `KEY` is the beginning of the SHA-256 of the public key:
//! consumers find the key by it, and may know several while one is replaced.
//!
//! A signature says nothing about when: a genuine event that is published again is recognised by
//! its id, which is signed, and has no second effect (see [`crate::inbox`]).

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::envelope::MAX_BYTES;
use super::{Envelope, EnvelopeError};
use crate::config::{ConfigError, DEVELOPMENT_KEY, EventsConfig};

/// Keeps signatures of events apart from those of anything else that the key might ever sign.
const CONTEXT: &[u8] = b"enterprisehub.event.v1\n";

/// What stands between the last member of the envelope and the value of the signature.
const MEMBER: &[u8] = b",\"signature\":\"";

/// Length of a key's id: 64 bits in hexadecimal. Of the few keys that a consumer knows no two
/// share one by chance, and a stranger's key that did would still not verify.
const KEY_ID_CHARS: usize = 16;

/// Length of a signature: 64 bytes in base64 without padding.
const SIGNATURE_CHARS: usize = 86;

/// How the name of a service ends; what is before it begins the names of its events.
const SERVICE_SUFFIX: &str = "-service";

/// Signs the events of one producer.
pub struct Signer {
    key: Option<Ed25519KeyPair>,
    key_id: String,
    #[cfg(any(test, feature = "testing"))]
    for_anybody: bool,
}

impl Signer {
    /// Reads the key of `service`; without one, what is published stays unsigned.
    pub fn new(service: &str, config: &EventsConfig) -> Result<Self, ConfigError> {
        let text = config.signing_key.expose();
        let key = match text {
            "" => None,
            DEVELOPMENT_KEY => Some(development_key(service)),
            _ => Some(decode_private(text)),
        };
        let key =
            key.transpose().map_err(|message| ConfigError::value("events.signing_key", message))?;
        let key_id = key.as_ref().map(|key| id_of(key.public_key().as_ref())).unwrap_or_default();
        Ok(Self {
            key,
            key_id,
            #[cfg(any(test, feature = "testing"))]
            for_anybody: false,
        })
    }

    /// Signs with the development key of whomever the event says that it is from.
    #[cfg(any(test, feature = "testing"))]
    pub fn for_anybody() -> Self {
        Self { key: None, key_id: String::new(), for_anybody: true }
    }

    /// The public key, in the form in which consumers are told it.
    pub fn public_key(&self) -> Option<String> {
        self.key.as_ref().map(|key| STANDARD.encode(key.public_key().as_ref()))
    }

    /// Adds the signature to an encoded envelope.
    pub fn sign(&self, envelope: &str) -> String {
        #[cfg(any(test, feature = "testing"))]
        if self.for_anybody {
            return sign_for_anybody(envelope);
        }
        match &self.key {
            Some(key) => sign(envelope, key, &self.key_id),
            None => envelope.to_owned(),
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// By what a service signs, and whom it believes.
#[derive(Debug)]
pub struct EventKeys {
    /// Signs what it publishes.
    pub signer: Signer,
    /// Verifies what it consumes.
    pub trust: Trust,
}

impl EventKeys {
    /// Reads the keys of `service`.
    pub fn new(service: &str, config: &EventsConfig) -> Result<Self, ConfigError> {
        Ok(Self { signer: Signer::new(service, config)?, trust: Trust::new(config)? })
    }

    /// For tests that are every producer and every consumer of the fleet at once.
    #[cfg(any(test, feature = "testing"))]
    pub fn for_anybody() -> Self {
        let producers = ["user-service", "auth-service", "order-service", "payment-service"];
        Self { signer: Signer::for_anybody(), trust: Trust::development(&producers) }
    }
}

/// The producers that a consumer believes, by their keys.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    keys: HashMap<String, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    producer: String,
    key: Vec<u8>,
}

/// Why bytes are not an event of a producer that is believed.
#[derive(Debug, thiserror::Error)]
pub enum Untrusted {
    /// There is no signature.
    #[error("the message is not signed")]
    Unsigned,
    /// The key is none that is known here.
    #[error("the message is signed with a key that is not trusted")]
    UnknownKey,
    /// The signature is not that of these bytes.
    #[error("the signature of the message is wrong")]
    Altered,
    /// The producer is known, and the event is not its to tell.
    #[error("the event is not one of the producer that signed it")]
    NotTheirs,
    /// The message is properly signed, and no event.
    #[error(transparent)]
    NoEvent(#[from] EnvelopeError),
}

impl Trust {
    /// Reads the keys of the producers that are believed.
    pub fn new(config: &EventsConfig) -> Result<Self, ConfigError> {
        let mut keys = HashMap::new();
        for (producer, texts) in &config.trusted {
            for text in texts {
                let key = decode_public(producer, text).map_err(|message| {
                    ConfigError::value(format!("events.trusted.{producer}"), message)
                })?;
                keys.insert(id_of(&key), Known { producer: producer.clone(), key });
            }
        }
        Ok(Self { keys })
    }

    /// Believes the development keys of these producers.
    pub fn development(producers: &[&str]) -> Self {
        let keys = || vec![DEVELOPMENT_KEY.to_owned()];
        let trusted: BTreeMap<_, _> =
            producers.iter().map(|producer| ((*producer).to_owned(), keys())).collect();
        Self::new(&EventsConfig { trusted, ..EventsConfig::default() }).unwrap_or_default()
    }

    /// Reads a message and checks who tells of it. Nothing of it is looked at before its signature
    /// is verified.
    pub fn open(&self, message: &[u8]) -> Result<Envelope, Untrusted> {
        if message.len() > MAX_BYTES {
            return Err(EnvelopeError::TooLarge(message.len()).into());
        }
        let (envelope, key_id, signature) = split(message).ok_or(Untrusted::Unsigned)?;
        let known = self.keys.get(key_id).ok_or(Untrusted::UnknownKey)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Untrusted::Altered)?;
        UnparsedPublicKey::new(&ED25519, &known.key)
            .verify(&signed_text(&envelope), &signature)
            .map_err(|_| Untrusted::Altered)?;
        let envelope = Envelope::from_json(&envelope)?;
        let is_theirs =
            envelope.source == known.producer && is_event_of(envelope.event(), &known.producer);
        if is_theirs { Ok(envelope) } else { Err(Untrusted::NotTheirs) }
    }
}

/// The events of `order-service` are called `order.…`: a producer whose key is lost to somebody
/// can be made to lie about its own affairs, and not about those of others.
fn is_event_of(event: &str, producer: &str) -> bool {
    let subject = producer.strip_suffix(SERVICE_SUFFIX).unwrap_or(producer);
    event.strip_prefix(subject).is_some_and(|rest| rest.starts_with('.'))
}

fn sign(envelope: &str, key: &Ed25519KeyPair, key_id: &str) -> String {
    let Some(open) = envelope.strip_suffix('}') else {
        return envelope.to_owned();
    };
    let signature = key.sign(&signed_text(envelope.as_bytes()));
    let signature = URL_SAFE_NO_PAD.encode(signature.as_ref());
    format!("{open},\"signature\":\"{key_id}:{signature}\"}}")
}

#[cfg(any(test, feature = "testing"))]
fn sign_for_anybody(envelope: &str) -> String {
    let source = Envelope::from_json(envelope.as_bytes()).map(|envelope| envelope.source);
    match development_key(&source.unwrap_or_else(|_| "order-service".to_owned())) {
        Ok(key) => sign(envelope, &key, &id_of(key.public_key().as_ref())),
        Err(_) => envelope.to_owned(),
    }
}

/// Takes a message apart into the envelope that was signed, the key's id and the signature.
fn split(message: &[u8]) -> Option<(Vec<u8>, &str, &[u8])> {
    let rest = message.strip_suffix(b"\"}")?;
    let (rest, value) =
        rest.split_at_checked(rest.len().checked_sub(KEY_ID_CHARS + 1 + SIGNATURE_CHARS)?)?;
    let open = rest.strip_suffix(MEMBER)?;
    let (key_id, signature) = value.split_at_checked(KEY_ID_CHARS)?;
    let signature = signature.strip_prefix(b":")?;
    let envelope = [open, b"}"].concat();
    Some((envelope, std::str::from_utf8(key_id).ok()?, signature))
}

fn signed_text(envelope: &[u8]) -> Vec<u8> {
    [CONTEXT, envelope].concat()
}

fn id_of(public_key: &[u8]) -> String {
    let digest = digest(&SHA256, public_key);
    digest.as_ref().iter().take(KEY_ID_CHARS / 2).fold(String::new(), |mut id, byte| {
        // Writing to a string cannot fail.
        let _ = write!(id, "{byte:02x}");
        id
    })
}

fn decode_private(text: &str) -> Result<Ed25519KeyPair, &'static str> {
    const MESSAGE: &str = "must be an Ed25519 private key in PKCS #8, as PEM or in base64";
    let base64: String = text
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .flat_map(str::chars)
        .filter(|character| !character.is_whitespace())
        .collect();
    let der = STANDARD.decode(base64).map_err(|_| MESSAGE)?;
    Ed25519KeyPair::from_pkcs8(&der).map_err(|_| MESSAGE)
}

fn decode_public(producer: &str, text: &str) -> Result<Vec<u8>, &'static str> {
    if text == DEVELOPMENT_KEY {
        return development_key(producer).map(|key| key.public_key().as_ref().to_vec());
    }
    let bytes = STANDARD_NO_PAD.decode(text.trim_end_matches('=')).unwrap_or_default();
    if bytes.len() == 32 { Ok(bytes) } else { Err("must be 32 bytes in base64") }
}

/// The key that everybody can derive: it proves nothing, and lets a service start by itself.
fn development_key(service: &str) -> Result<Ed25519KeyPair, &'static str> {
    let seed = digest(&SHA256, format!("development-only event key of {service}").as_bytes());
    Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).map_err(|_| "no key can be derived")
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use chrono::DateTime;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::config::Secret;

    fn event(source: &str, event: &str) -> String {
        let time = DateTime::from_timestamp(1, 0).unwrap();
        let data = json!({"text": "a } and a \" and a ,\"signature\":\""});
        Envelope::new(source, event, Uuid::nil(), 2, time, data).unwrap().to_json().unwrap()
    }

    fn signer(service: &str) -> Signer {
        let signing_key = Secret::new(DEVELOPMENT_KEY);
        Signer::new(service, &EventsConfig { signing_key, ..EventsConfig::default() }).unwrap()
    }

    fn open(message: &str) -> Result<Envelope, Untrusted> {
        Trust::development(&["order-service", "payment-service"]).open(message.as_bytes())
    }

    #[test]
    fn a_signed_event_is_believed_and_is_still_an_event() {
        let plain = event("order-service", "order.paid");
        let signed = signer("order-service").sign(&plain);
        assert_eq!(open(&signed).unwrap().to_json().unwrap(), plain);
        let json: serde_json::Value = serde_json::from_str(&signed).unwrap();
        assert_eq!(json["signature"].as_str().unwrap().len(), 16 + 1 + 86);
        assert_eq!(Envelope::from_json(signed.as_bytes()).unwrap().to_json().unwrap(), plain);
    }

    #[test]
    fn an_unsigned_event_is_not_believed() {
        let plain = event("order-service", "order.paid");
        for message in [plain.as_str(), "", "}", "\"}", "no JSON"] {
            assert!(matches!(open(message), Err(Untrusted::Unsigned)), "{message}");
        }
        let without_key = Signer::new("order-service", &EventsConfig::default()).unwrap();
        assert_eq!(without_key.sign(&plain), plain);
    }

    #[test]
    fn no_byte_can_be_changed() {
        let signed = signer("order-service").sign(&event("order-service", "order.paid"));
        for at in 0..signed.len() {
            let mut bytes = signed.clone().into_bytes();
            bytes[at] ^= 1;
            let opened = Trust::development(&["order-service"]).open(&bytes);
            assert!(opened.is_err(), "byte {at}");
        }
        assert!(open(&format!("{signed} ")).is_err() && open(&format!(" {signed}")).is_err());
        assert!(open(&signed.replace(":2\"", ":2\" ")).is_err());
    }

    #[test]
    fn a_signature_is_of_one_event_alone() {
        let signer = signer("order-service");
        let signed = signer.sign(&event("order-service", "order.paid"));
        let signature = &signed[signed.len() - (86 + 17 + 2) - MEMBER.len()..];
        let other = event("order-service", "order.cancelled");
        let moved = format!("{}{signature}", other.strip_suffix('}').unwrap());
        assert!(matches!(open(&moved), Err(Untrusted::Altered)));
    }

    #[test]
    fn a_key_that_is_not_known_is_not_believed() {
        let signed = signer("auth-service").sign(&event("order-service", "order.paid"));
        assert!(matches!(open(&signed), Err(Untrusted::UnknownKey)));
    }

    #[test]
    fn a_producer_tells_its_own_events_only() {
        for (signer_, source, name) in [
            ("order-service", "payment-service", "payment.succeeded"),
            ("order-service", "order-service", "payment.succeeded"),
            ("order-service", "payment-service", "order.paid"),
            ("order-service", "order-service", "orders.paid"),
            ("order-service", "order-service", "order"),
        ] {
            let signed = signer(signer_).sign(&event(source, name));
            assert!(matches!(open(&signed), Err(Untrusted::NotTheirs)), "{source} {name}");
        }
    }

    #[test]
    fn what_is_signed_and_no_event_is_told_apart() {
        let signed = signer("order-service").sign("{\"hello\":\"world\"}");
        assert!(matches!(open(&signed), Err(Untrusted::NoEvent(_))));
    }

    #[test]
    fn keys_are_replaced_while_both_are_trusted() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let base64 = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n");
        let plain = event("order-service", "order.paid");
        let own = |text: &str| {
            let signing_key = Secret::new(text);
            Signer::new("order-service", &EventsConfig { signing_key, ..EventsConfig::default() })
                .unwrap()
        };
        assert_eq!(own(&base64).sign(&plain), own(&pem).sign(&plain));
        let keys = vec![DEVELOPMENT_KEY.to_owned(), own(&pem).public_key().unwrap()];
        let trusted = [("order-service".to_owned(), keys)].into();
        let both = Trust::new(&EventsConfig { trusted, ..EventsConfig::default() }).unwrap();
        for signer in [own(&pem), signer("order-service")] {
            assert!(both.open(signer.sign(&plain).as_bytes()).is_ok());
        }
        assert!(matches!(open(&own(&pem).sign(&plain)), Err(Untrusted::UnknownKey)));
    }
}
