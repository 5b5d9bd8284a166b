//! Sealing of private keys: AES-256-GCM under a key derived from the configured one.
//!
//! What is sealed is bound to a name, the key's id, so that sealed keys cannot be swapped in the
//! table. Layout: one byte for the version, the nonce, the ciphertext with its tag.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use chassis::config::Secret;

/// First byte of everything sealed in this way.
const VERSION: u8 = 1;
/// Separates this use of the configured key from any other.
const SALT: &[u8] = b"enterprisehub auth-service";
/// Names the derived key.
const PURPOSE: &[u8] = b"signing keys, aes-256-gcm, v1";

/// Seals and opens private keys.
pub struct Sealer {
    key: RandomizedNonceKey,
}

impl Sealer {
    /// Derives the key that seals from the configured one.
    pub fn new(configured: &Secret) -> Result<Self, Unspecified> {
        let mut key = [0_u8; 32];
        Salt::new(HKDF_SHA256, SALT)
            .extract(configured.expose().as_bytes())
            .expand(&[PURPOSE], HKDF_SHA256)?
            .fill(&mut key)?;
        Ok(Self { key: RandomizedNonceKey::new(&AES_256_GCM, &key)? })
    }

    /// Seals `plain` under `name`.
    pub fn seal(&self, name: &str, plain: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let mut text = plain.to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut text)?;
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut text);
        Ok(sealed)
    }

    /// Opens what was sealed under `name`; refuses anything else.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let sealed = sealed.strip_prefix(&[VERSION]).ok_or(Unspecified)?;
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(Unspecified)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let mut text = text.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::from(name.as_bytes()), &mut text)?;
        Ok(plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(key: &str) -> Sealer {
        Sealer::new(&Secret::new(key)).unwrap()
    }

    #[test]
    fn what_was_sealed_can_be_opened_by_another_replica() {
        let sealed = sealer("the one key").seal("kid-1", b"private").unwrap();
        assert_eq!(sealer("the one key").open("kid-1", &sealed).unwrap(), b"private");
    }

    #[test]
    fn nothing_opens_under_another_key_or_name_or_after_a_change() {
        let sealed = sealer("the one key").seal("kid-1", b"private").unwrap();
        assert!(sealer("another key").open("kid-1", &sealed).is_err());
        assert!(sealer("the one key").open("kid-2", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(sealer("the one key").open("kid-1", &damaged).is_err(), "byte {at}");
            assert!(sealer("the one key").open("kid-1", &sealed[..at]).is_err(), "length {at}");
        }
    }

    #[test]
    fn sealing_twice_shows_nothing_in_common() {
        let sealer = sealer("the one key");
        let [first, second] = [(), ()].map(|()| sealer.seal("kid-1", b"private").unwrap());
        assert_ne!(first, second);
        assert!(!first.windows(7).any(|window| window == b"private"));
    }
}
