//! The published key set (RFC 7517), and this service's own way to it.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::auth::KeySource;
use jsonwebtoken::jwk::JwkSet;
use serde::Serialize;

use super::KeyRing;
use crate::model::{SessionError, StoredKey};

/// A JSON Web Key Set.
#[derive(Serialize)]
pub(super) struct KeySetDocument<'k> {
    keys: Vec<KeyDocument<'k>>,
}

/// A public Ed25519 key (RFC 8037).
#[derive(Serialize)]
struct KeyDocument<'k> {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    kid: &'k str,
    x: String,
}

impl<'k> KeySetDocument<'k> {
    pub(super) fn of(keys: impl Iterator<Item = &'k StoredKey>) -> Self {
        Self { keys: keys.map(KeyDocument::of).collect() }
    }

    pub(super) fn to_json(&self) -> Result<String, SessionError> {
        serde_json::to_string(self).map_err(SessionError::internal)
    }
}

impl<'k> KeyDocument<'k> {
    fn of(key: &'k StoredKey) -> Self {
        Self {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            usage: "sig",
            kid: &key.kid,
            x: URL_SAFE_NO_PAD.encode(&key.public_key),
        }
    }
}

/// This service verifies tokens like every other one, but needs no call to itself for the keys.
pub struct KeyRingSource(Arc<KeyRing>);

impl KeyRingSource {
    /// Takes the published keys of `ring`.
    pub fn new(ring: Arc<KeyRing>) -> Self {
        Self(ring)
    }
}

#[async_trait]
impl KeySource for KeyRingSource {
    async fn fetch(&self) -> anyhow::Result<JwkSet> {
        Ok(serde_json::from_str(&self.0.published().await?)?)
    }
}
