//! The payment provider's signature header, and the body below it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use payment_service::model::{Callback, CallbackKeys, Notice};

use crate::engine::{Target, fuzz, label};

const KEY: &[u8] = b"whsec_for-fuzzing-only-0123456789abcdef";
const BODY: &[u8] = b"{\"id\":\"evt_1\",\"type\":\"payment.succeeded\"}";
const TOLERANCE: Duration = Duration::from_mins(5);
const WORDS: [&str; 10] =
    ["t=", "v1=", "v0=", ",", "=", "t=1767323045", " ", "+", "00", "T=1767323045,V1="];

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_323_045, 0).unwrap()
}

/// A header is believed that holds the time and the tag that the provider sent, and no other.
#[test]
fn a140_signature_headers() {
    let keys = CallbackKeys::new([KEY]).unwrap();
    let good = keys.sign(BODY, now());
    let (time, tag) = good.split_once(",v1=").unwrap();
    let (time, tag) = (time.to_owned(), tag.to_owned());
    let seeds = vec![good.clone().into_bytes(), format!("{good},v1=00").into_bytes()];
    fuzz(&Target { name: "signatures", words: &WORDS, seeds }, |input| {
        let header = String::from_utf8_lossy(input);
        match keys.verify(&header, BODY, now(), TOLERANCE) {
            Ok(()) => {
                let is_good = header.contains(&time) && header.to_lowercase().contains(&tag);
                assert!(is_good, "{header} is believed");
                "accepted".to_owned()
            }
            Err(error) => error.to_string(),
        }
    });
}

/// A body that is read names itself by visible characters.
#[test]
fn a140_callback_bodies() {
    let words = [
        "\"id\":",
        "\"type\":",
        "\"amount\":",
        "\"currency\":",
        "\"reference\":",
        "\"reason\":",
        "payment.succeeded",
        "payment.failed",
        "payment.pending",
        "null",
        "{}",
        "[]",
        "\"provider_reference\":",
    ];
    fuzz(&Target { name: "callbacks", words: &words, seeds: vec![] }, |input| {
        let callback = match Callback::parse(input) {
            Ok(callback) => callback,
            Err(error) => return label(&error, 48),
        };
        assert!(callback.id.bytes().all(|byte| byte.is_ascii_graphic()), "{:?}", callback.id);
        match callback.notice {
            Notice::Charge { provider_reference, reference, .. } => {
                assert!(provider_reference.len() <= 64, "{provider_reference}");
                format!("a charge, known: {}", reference.is_some())
            }
            Notice::Other => "something else".to_owned(),
        }
    });
}
