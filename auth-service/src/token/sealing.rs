//! Sealing of private keys, each bound to its id, so that sealed keys cannot be swapped in the table.

use aws_lc_rs::error::Unspecified;
use chassis::config::Secret;
use chassis::sealing::{Sealer, SealingError, Use};

/// What the configured keys are used for.
const SIGNING_KEYS: Use =
    Use { salt: b"enterprisehub auth-service", purpose: b"signing keys, aes-256-gcm, v1" };

/// Seals private keys under the first of the configured keys, and opens what any of them has sealed:
/// there are several while one is replaced.
#[derive(Debug)]
pub struct KeySealer {
    first: Sealer,
    others: Vec<Sealer>,
}

impl KeySealer {
    /// Derives the keys that seal from the configured ones, of which there is one at least.
    pub fn new(configured: &[Secret]) -> Result<Self, SealingError> {
        let (first, rest) = configured.split_first().ok_or(Unspecified)?;
        let derive = |key: &Secret| Sealer::new(key, SIGNING_KEYS);
        let others: Result<Vec<_>, _> = rest.iter().map(derive).collect();
        Ok(Self { first: derive(first)?, others: others? })
    }

    /// Seals the private key of `kid`.
    pub fn seal(&self, kid: &str, private: &[u8]) -> Result<Vec<u8>, SealingError> {
        self.first.seal(kid, private)
    }

    /// Opens the private key of `kid`.
    pub fn open(&self, kid: &str, sealed: &[u8]) -> Result<Vec<u8>, SealingError> {
        let opened = |sealer: &Sealer| sealer.open(kid, sealed).ok();
        let mut sealers = std::iter::once(&self.first).chain(&self.others);
        Ok(sealers.find_map(opened).ok_or(Unspecified)?)
    }

    /// Seals what is sealed under another key than the first one anew; `None`: it is not.
    pub fn renew(&self, kid: &str, sealed: &[u8]) -> Result<Option<Vec<u8>>, SealingError> {
        if self.first.open(kid, sealed).is_ok() {
            return Ok(None);
        }
        let private = self.open(kid, sealed)?;
        self.seal(kid, &private).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(keys: &[&str]) -> KeySealer {
        let keys: Vec<_> = keys.iter().map(|key| Secret::new(*key)).collect();
        KeySealer::new(&keys).unwrap()
    }

    #[test]
    fn the_first_key_seals_and_all_of_them_open() {
        let old = sealer(&["the old key"]).seal("kid-1", b"private").unwrap();
        let both = sealer(&["the new key", "the old key"]);
        assert_eq!(both.open("kid-1", &old).unwrap(), b"private");
        assert!(both.open("kid-2", &old).is_err());
        let new = both.seal("kid-1", b"private").unwrap();
        assert_eq!(sealer(&["the new key"]).open("kid-1", &new).unwrap(), b"private");
        assert!(sealer(&["the old key"]).open("kid-1", &new).is_err());
    }

    #[test]
    fn only_what_another_key_sealed_is_sealed_anew() {
        let old = sealer(&["the old key"]).seal("kid-1", b"private").unwrap();
        let both = sealer(&["the new key", "the old key"]);
        let new = both.renew("kid-1", &old).unwrap().unwrap();
        assert_eq!(sealer(&["the new key"]).open("kid-1", &new).unwrap(), b"private");
        assert_eq!(both.renew("kid-1", &new).unwrap(), None);
        assert!(sealer(&["a third key"]).renew("kid-1", &new).is_err());
    }

    #[test]
    fn without_a_key_nothing_is_sealed() {
        assert!(KeySealer::new(&[]).is_err());
    }
}
