//! Sealing of what is kept or sent and must not be read on the way: AES-256-GCM under a key derived
//! from a configured one. And names for what must not stand where it is counted.
//!
//! What is sealed is bound to a name, so that sealed texts cannot be swapped for each other. Layout:
//! one byte for the version, the nonce, the ciphertext with its tag.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::Secret;

/// First byte of everything sealed in this way.
const VERSION: u8 = 1;

/// What a configured key is used for. Two uses of one key derive different keys.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// Separates this use of the configured key from any other.
    pub salt: &'static [u8],
    /// Names the derived key.
    pub purpose: &'static [u8],
}

/// It could not be sealed, or what is to be opened was not sealed under this key and name.
#[derive(Debug, thiserror::Error)]
#[error("it cannot be sealed or opened under this key")]
pub struct SealingError(#[from] Unspecified);

/// Seals and opens.
pub struct Sealer {
    key: RandomizedNonceKey,
}

impl Sealer {
    /// Derives the key that seals from the configured one.
    pub fn new(configured: &Secret, of: Use) -> Result<Self, SealingError> {
        let key = derive(configured, of)?;
        Ok(Self { key: RandomizedNonceKey::new(&AES_256_GCM, &key)? })
    }

    /// Seals `plain` under `name`.
    pub fn seal(&self, name: &str, plain: &[u8]) -> Result<Vec<u8>, SealingError> {
        let mut text = plain.to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut text)?;
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut text);
        Ok(sealed)
    }

    /// Opens what was sealed under `name`; refuses anything else.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, SealingError> {
        let sealed = sealed.strip_prefix(&[VERSION]).ok_or(Unspecified)?;
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(Unspecified)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let mut text = text.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::from(name.as_bytes()), &mut text)?;
        Ok(plain.to_vec())
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(***)")
    }
}

/// Names texts, such as addresses in a store that shows its keys: the same text has the same name, and
/// without the key the name tells nothing of it.
pub struct Tagger(hmac::Key);

impl Tagger {
    /// Derives the key that names from the configured one.
    pub fn new(configured: &Secret, of: Use) -> Result<Self, SealingError> {
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &derive(configured, of)?)))
    }

    /// The name of `text`, in base64url.
    pub fn tag(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, text.as_bytes()))
    }
}

impl std::fmt::Debug for Tagger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tagger(***)")
    }
}

fn derive(configured: &Secret, of: Use) -> Result<[u8; 32], SealingError> {
    let mut key = [0_u8; 32];
    Salt::new(HKDF_SHA256, of.salt)
        .extract(configured.expose().as_bytes())
        .expand(&[of.purpose], HKDF_SHA256)?
        .fill(&mut key)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Use = Use { salt: b"test", purpose: b"keys" };

    fn sealer(key: &str) -> Sealer {
        Sealer::new(&Secret::new(key), KEYS).unwrap()
    }

    #[test]
    fn what_was_sealed_can_be_opened_by_another_replica() {
        let sealed = sealer("the one key").seal("kid-1", b"private").unwrap();
        assert_eq!(sealer("the one key").open("kid-1", &sealed).unwrap(), b"private");
    }

    #[test]
    fn nothing_opens_under_another_key_name_or_use_or_after_a_change() {
        let sealed = sealer("the one key").seal("kid-1", b"private").unwrap();
        assert!(sealer("another key").open("kid-1", &sealed).is_err());
        assert!(sealer("the one key").open("kid-2", &sealed).is_err());
        for other in [Use { salt: b"other", ..KEYS }, Use { purpose: b"other", ..KEYS }] {
            let other = Sealer::new(&Secret::new("the one key"), other).unwrap();
            assert!(other.open("kid-1", &sealed).is_err());
        }
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(sealer("the one key").open("kid-1", &damaged).is_err(), "byte {at}");
            assert!(sealer("the one key").open("kid-1", &sealed[..at]).is_err(), "length {at}");
        }
    }

    #[test]
    fn a_text_has_one_name_under_one_key() {
        let tag = |key: &str, text: &str| Tagger::new(&Secret::new(key), KEYS).unwrap().tag(text);
        let name = tag("the one key", "alice@example.com");
        assert_eq!(name, tag("the one key", "alice@example.com"));
        assert_ne!(name, tag("another key", "alice@example.com"));
        assert_ne!(name, tag("the one key", "bob@example.com"));
        assert!(!name.contains("alice"));
    }

    #[test]
    fn sealing_twice_shows_nothing_in_common() {
        let sealer = sealer("the one key");
        let [first, second] = [(), ()].map(|()| sealer.seal("kid-1", b"private").unwrap());
        assert_ne!(first, second);
        assert!(!first.windows(7).any(|window| window == b"private"));
    }
}
