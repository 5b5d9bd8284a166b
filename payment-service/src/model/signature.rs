//! The signature of a callback: `t=UNIX_SECONDS,v1=HEX[,v1=HEX]`, HMAC-SHA256 over
//! `timestamp.body`.
//!
//! Several values and several keys may be given, so that a key can be replaced without a gap.

use std::fmt;
use std::fmt::Write;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};

use super::PaymentError;

/// The keys that callbacks may be signed with; the first one is the current one.
#[derive(Clone)]
pub struct CallbackKeys(Vec<hmac::Key>);

/// The configured keys cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("callback.keys needs 1 to {max} keys of at least {min} bytes", max = CallbackKeys::COUNT_MAX, min = CallbackKeys::LENGTH_MIN)]
pub struct KeysInvalid;

impl CallbackKeys {
    /// Most keys that are accepted at once.
    pub const COUNT_MAX: usize = 4;
    /// Shortest key: as long as the digest.
    pub const LENGTH_MIN: usize = 32;

    /// Takes the keys, the current one first.
    pub fn new<'k>(secrets: impl IntoIterator<Item = &'k [u8]>) -> Result<Self, KeysInvalid> {
        let secrets: Vec<_> = secrets.into_iter().collect();
        let short = secrets.iter().any(|secret| secret.len() < Self::LENGTH_MIN);
        if short || !(1..=Self::COUNT_MAX).contains(&secrets.len()) {
            return Err(KeysInvalid);
        }
        let key = |secret| hmac::Key::new(hmac::HMAC_SHA256, secret);
        Ok(Self(secrets.into_iter().map(key).collect()))
    }

    /// Signs `body` as sent at `now`: the header's value.
    pub fn sign(&self, body: &[u8], now: DateTime<Utc>) -> String {
        let timestamp = now.timestamp().to_string();
        let mut header = format!("t={timestamp}");
        // `new` refuses an empty list, so there is a first key.
        for tag in self.tags(&timestamp, body).take(1) {
            header.push_str(",v1=");
            for byte in tag.as_ref() {
                // Writing to a string cannot fail.
                let _ = write!(header, "{byte:02x}");
            }
        }
        header
    }

    /// Checks that `header` signs exactly `body`, at a time within `tolerance` of `now`.
    pub fn verify(
        &self,
        header: &str,
        body: &[u8],
        now: DateTime<Utc>,
        tolerance: Duration,
    ) -> Result<(), PaymentError> {
        let header = Header::parse(header)?;
        header.require_recent(now, tolerance)?;
        // One digest per key whatever the number of values, and no early return: the time taken
        // says nothing about which key or value came close.
        let fits = |tag: &hmac::Tag| {
            let fitting = header
                .values
                .iter()
                .filter(|value| verify_slices_are_equal(tag.as_ref(), value.as_slice()).is_ok());
            fitting.count()
        };
        let fitting: usize = self.tags(header.timestamp, body).map(|tag| fits(&tag)).sum();
        if fitting == 0 {
            return Err(PaymentError::SignatureInvalid);
        }
        Ok(())
    }

    fn tags<'s>(
        &'s self,
        timestamp: &'s str,
        body: &'s [u8],
    ) -> impl Iterator<Item = hmac::Tag> + 's {
        self.0.iter().map(move |key| {
            let mut context = hmac::Context::with_key(key);
            context.update(timestamp.as_bytes());
            context.update(b".");
            context.update(body);
            context.sign()
        })
    }
}

impl fmt::Debug for CallbackKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallbackKeys({})", self.0.len())
    }
}

/// The parts of a signature header.
struct Header<'h> {
    timestamp: &'h str,
    values: Vec<Vec<u8>>,
}

impl<'h> Header<'h> {
    /// Most values in one header: enough for any rotation, few enough to be cheap to refuse.
    const VALUES_MAX: usize = 16;

    fn parse(header: &'h str) -> Result<Self, PaymentError> {
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        // Schemes other than v1 are skipped: an older or newer one may stand beside it.
        for part in header.split(',').map(str::trim).take(4 * Self::VALUES_MAX) {
            match part.split_once('=') {
                Some(("t", text)) => timestamps.push(text),
                Some(("v1", text)) => values.push(text),
                _ => {}
            }
        }
        let ([timestamp], false) = (timestamps.as_slice(), values.is_empty()) else {
            return Err(PaymentError::SignatureMissing);
        };
        if values.len() > Self::VALUES_MAX {
            return Err(PaymentError::SignatureMalformed);
        }
        let values = values.into_iter().filter_map(unhex).collect();
        Ok(Self { timestamp, values })
    }

    fn require_recent(&self, now: DateTime<Utc>, tolerance: Duration) -> Result<(), PaymentError> {
        let signed: i64 = self.timestamp.parse().map_err(|_| PaymentError::TimestampOutOfRange)?;
        if now.timestamp().abs_diff(signed) > tolerance.as_secs() {
            return Err(PaymentError::TimestampOutOfRange);
        }
        Ok(())
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    const OLD: &[u8] = b"an old key of thirty-two bytes..";
    const NEW: &[u8] = b"a new key of thirty-two bytes...";
    const BODY: &[u8] = br#"{"id":"evt_1"}"#;
    const TOLERANCE: Duration = Duration::from_mins(5);

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_323_045, 0).unwrap()
    }

    fn keys(secrets: &[&[u8]]) -> CallbackKeys {
        CallbackKeys::new(secrets.iter().copied()).unwrap()
    }

    fn verify(header: &str) -> Result<(), &'static str> {
        let result = keys(&[NEW, OLD]).verify(header, BODY, now(), TOLERANCE);
        result.map_err(|error| chassis::error::ServiceError::code(&error).reason)
    }

    #[test]
    fn a_known_vector_verifies() {
        // Computed by another implementation: HMAC-SHA256(key, "1767323045.{\"id\":\"evt_1\"}").
        let header = keys(&[NEW]).sign(BODY, now());
        assert_eq!(header, format!("t=1767323045,v1={VECTOR}"));
        assert_eq!(verify(&header), Ok(()));
    }
    const VECTOR: &str = "79d4eadf0b4f828262acb3e3649245e4ffb8c8b8d53b011f9cefaea3652d7341";

    #[test]
    fn the_old_key_is_good_until_it_is_removed() {
        let header = keys(&[OLD]).sign(BODY, now());
        assert_eq!(verify(&header), Ok(()));
        let error = keys(&[NEW]).verify(&header, BODY, now(), TOLERANCE).unwrap_err();
        assert!(matches!(error, PaymentError::SignatureInvalid));
    }

    #[test]
    fn one_good_value_among_others_is_enough() {
        let good = keys(&[NEW]).sign(BODY, now());
        let other = "0".repeat(64);
        assert_eq!(verify(&format!("{good},v1={other},v2=abc,v1=xyz")), Ok(()));
    }

    #[test]
    fn an_unusable_header_is_a_missing_signature() {
        for header in
            ["", " ", "t=1767323045", "v1=00", "t=1767323045,v0=00", "Bearer eyJ", "t=1,t=2,v1=00"]
        {
            assert_eq!(verify(header), Err("SIGNATURE_MISSING"), "{header:?}");
        }
    }

    #[test]
    fn a_changed_body_time_or_value_is_an_invalid_signature() {
        let header = keys(&[NEW]).sign(BODY, now());
        let keys = keys(&[NEW]);
        let spaced = br#"{"id": "evt_1"}"#;
        assert!(keys.verify(&header, spaced, now(), TOLERANCE).is_err());
        assert_eq!(
            verify(&header.replace("t=1767323045", "t=1767323046")),
            Err("SIGNATURE_INVALID")
        );
        assert_eq!(verify(&header[..header.len() - 2]), Err("SIGNATURE_INVALID"));
        assert_eq!(verify("t=1767323045,v1="), Err("SIGNATURE_INVALID"));
        assert_eq!(verify("t=1767323045,v1=zz"), Err("SIGNATURE_INVALID"));
    }

    #[test]
    fn too_many_values_are_refused_unread() {
        let good = keys(&[NEW]).sign(BODY, now());
        let padding = ",v1=00".repeat(Header::VALUES_MAX);
        assert_eq!(verify(&format!("{good}{padding}")), Err("SIGNATURE_MALFORMED"));
        let many = format!("{good}{}", ",v1=00".repeat(1_000));
        assert_eq!(verify(&many), Err("SIGNATURE_MALFORMED"));
    }

    #[test]
    fn only_the_last_and_next_five_minutes_count() {
        for (offset, expected) in
            [(-301, false), (-300, true), (0, true), (300, true), (301, false)]
        {
            let header = keys(&[NEW]).sign(BODY, now() + TimeDelta::seconds(offset));
            assert_eq!(verify(&header).is_ok(), expected, "{offset}");
        }
        for odd in ["0", "-1767323045", "18446744073709551616", "soon", "", "1767323045.0"] {
            let header = format!("t={odd},v1=00");
            assert_eq!(verify(&header), Err("TIMESTAMP_OUT_OF_RANGE"), "{odd:?}");
        }
    }

    #[test]
    fn weak_or_missing_keys_are_refused_and_keys_do_not_print() {
        assert_eq!(CallbackKeys::new([]).unwrap_err(), KeysInvalid);
        assert_eq!(CallbackKeys::new([b"short".as_slice()]).unwrap_err(), KeysInvalid);
        assert_eq!(CallbackKeys::new([NEW; 5]).unwrap_err(), KeysInvalid);
        assert_eq!(format!("{:?}", keys(&[NEW, OLD])), "CallbackKeys(2)");
    }

    proptest! {
        #[test]
        fn no_header_makes_verification_panic_or_pass(header in ".{0,200}") {
            prop_assert!(verify(&header).is_err());
        }
    }
}
