//! Sealing of private keys, each bound to its id, so that sealed keys cannot be swapped in the table.

use chassis::config::Secret;
use chassis::sealing::{Sealer, SealingError, Use};

/// What the configured key is used for.
const SIGNING_KEYS: Use =
    Use { salt: b"enterprisehub auth-service", purpose: b"signing keys, aes-256-gcm, v1" };

/// Derives the key that seals private keys from the configured one.
pub fn key_sealer(configured: &Secret) -> Result<Sealer, SealingError> {
    Sealer::new(configured, SIGNING_KEYS)
}
