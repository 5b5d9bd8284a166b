//! Events: as the broker hands them out, and behind a good signature.

use chassis::config::{DEVELOPMENT_KEY, EventsConfig, Secret};
use chassis::messaging::{Envelope, Signer, Trust};
use chrono::DateTime;
use serde_json::json;
use uuid::Uuid;

use crate::engine::{Target, fuzz, label};

const PRODUCER: &str = "order-service";
const WORDS: [&str; 16] = [
    "\"specversion\":\"1.0\"",
    "\"id\":",
    "\"source\":",
    "\"type\":",
    "enterprisehub.",
    ".v1",
    "order.paid",
    "\"subject\":",
    "\"time\":",
    "\"data\":{}",
    "\"signature\":\"",
    "null",
    "{",
    "}",
    "\"}",
    ":",
];

fn plain() -> String {
    let time = DateTime::from_timestamp(1_767_323_045, 0).unwrap();
    let data = json!({"order_id": Uuid::from_u128(1), "version": 2});
    let event = Envelope::new(PRODUCER, "order.paid", Uuid::from_u128(1), 2, time, data);
    event.unwrap().to_json().unwrap()
}

fn signer() -> Signer {
    let config =
        EventsConfig { signing_key: Secret::new(DEVELOPMENT_KEY), ..EventsConfig::default() };
    Signer::new(PRODUCER, &config).unwrap()
}

/// What is decoded is the same when it is written and decoded again.
#[test]
fn a140_events() {
    let seeds = vec![plain().into_bytes()];
    fuzz(&Target { name: "events", words: &WORDS, seeds }, |input| {
        let event = match Envelope::from_json(input) {
            Ok(event) => event,
            Err(error) => return label(&error, 44),
        };
        assert!(event.id.len() <= 160 && event.id.bytes().all(|byte| byte.is_ascii_graphic()));
        let written = event.to_json().unwrap();
        let again = Envelope::from_json(written.as_bytes()).unwrap();
        assert_eq!(again.to_json().unwrap(), written);
        // Whoever reads on does so from here.
        let _ = (event.version(), event.trace_id(), event.to_message());
        format!("an event, traced: {}", event.trace_id().is_some())
    });
}

/// Only what a producer has signed is opened, byte for byte.
#[test]
fn a140_signed_events() {
    let (signer, trust) = (signer(), Trust::development(&[PRODUCER]));
    let foreign = plain().replace("order.paid", "payment.succeeded");
    let signed = [signer.sign(&plain()), signer.sign(&foreign)];
    let seeds = signed.iter().map(|text| text.clone().into_bytes()).collect();
    fuzz(&Target { name: "events", words: &WORDS, seeds }, |input| match trust.open(input) {
        Ok(_) => {
            assert_eq!(input, signed[0].as_bytes(), "an event that nobody signed");
            "opened".to_owned()
        }
        Err(error) => label(&error, 44),
    });
}

/// What a producer signs is read by the same rules, however odd it is.
#[test]
fn a140_odd_events_of_producers() {
    let (signer, trust) = (signer(), Trust::development(&[PRODUCER]));
    let seeds = vec![plain().into_bytes()];
    fuzz(&Target { name: "events", words: &WORDS, seeds }, |input| {
        let text = String::from_utf8_lossy(input);
        match trust.open(signer.sign(&text).as_bytes()) {
            Ok(event) => {
                assert_eq!(event.source, PRODUCER);
                assert!(event.event().starts_with("order."), "{}", event.event());
                "opened".to_owned()
            }
            Err(error) => label(&error, 44),
        }
    });
}
