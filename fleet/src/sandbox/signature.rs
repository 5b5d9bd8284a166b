//! The signature of a callback: `t=UNIX_SECONDS,v1=HEX`, HMAC-SHA256 over `timestamp.body`.

use std::fmt::{self, Write};

use anyhow::{Result, bail};
use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};

/// Header that carries it.
pub const HEADER: &str = "EnterpriseHub-Signature";
/// Shortest key: as long as the digest.
const LENGTH_MIN: usize = 32;

/// The key that callbacks are signed with.
pub struct SigningKey(hmac::Key);

impl SigningKey {
    /// Takes a key of at least 32 bytes.
    pub fn new(secret: &[u8]) -> Result<Self> {
        if secret.len() < LENGTH_MIN {
            bail!("the callbacks' key is shorter than {LENGTH_MIN} bytes");
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// Signs a body as sent at `now`: the header's value.
    pub fn sign(&self, body: &[u8], now: DateTime<Utc>) -> String {
        let timestamp = now.timestamp().to_string();
        let mut context = hmac::Context::with_key(&self.0);
        context.update(timestamp.as_bytes());
        context.update(b".");
        context.update(body);
        let mut header = format!("t={timestamp},v1=");
        for byte in context.sign().as_ref() {
            // Writing to a string cannot fail.
            let _ = write!(header, "{byte:02x}");
        }
        header
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_payment_service_expects() {
        // The vector of payment-service's own test, computed by a third implementation.
        let key = SigningKey::new(b"a new key of thirty-two bytes...").unwrap();
        let now = DateTime::from_timestamp(1_767_323_045, 0).unwrap();
        let expected = "t=1767323045,v1=\
            79d4eadf0b4f828262acb3e3649245e4ffb8c8b8d53b011f9cefaea3652d7341";
        assert_eq!(key.sign(br#"{"id":"evt_1"}"#, now), expected);
    }

    #[test]
    fn a_short_key_is_refused_and_no_key_prints() {
        assert!(SigningKey::new(b"short").is_err());
        assert_eq!(format!("{:?}", SigningKey::new(&[7; 32]).unwrap()), "SigningKey");
    }
}
