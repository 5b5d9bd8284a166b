//! The key ring: the key that signs, and the keys that are published.
//!
//! The first instance that starts makes the first key; of several that start at once, the table's
//! unique key lets one win and the others take its key. Whatever is sealed under another key than the
//! one that seals now is sealed anew at a start. How keys come and go afterwards is told in `rotation`.

use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::clock::Clock;
use chassis::error::{Kind, ServiceError as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use tokio::time::Instant;

use super::KeySealer;
use super::jwks::KeySetDocument;
use crate::model::{KeyState, SessionError, StoredKey};
use crate::repository::KeyRepository;

/// How often a key is tried to be made the one that signs, while others do the same.
pub(super) const ATTEMPTS: usize = 5;

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key was sealed under another sealing key, or was damaged.
    #[error(
        "signing key {kid} cannot be opened with a key of `keys.sealing_keys`: \
         the one that it was sealed under has to be among them"
    )]
    Unreadable {
        /// The key's id.
        kid: String,
    },
    /// No key could be made.
    #[error("no signing key could be made")]
    NotMade,
    /// The keys cannot be read or stored.
    #[error("the signing keys cannot be reached")]
    Repository(#[from] SessionError),
}

impl KeyError {
    /// Whether the key may be there when the database is back.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Repository(error) if error.code().kind == Kind::Unavailable)
    }
}

/// What an order of an administrator fails with. An outage stays one.
impl From<KeyError> for SessionError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Repository(error) => error,
            KeyError::Unreadable { .. } | KeyError::NotMade => Self::internal(error),
        }
    }
}

/// Longest time for which the ring signs without having looked at the table: a key that was retired
/// meanwhile is published for longer than this.
const UNCHECKED_MAX: Duration = Duration::from_mins(2);

/// The key that signs access tokens, and access to the published ones.
pub struct KeyRing {
    pub(super) keys: Arc<dyn KeyRepository>,
    pub(super) sealer: Arc<KeySealer>,
    pub(super) clock: Arc<dyn Clock>,
    /// Held from a look at the table until the ring does as it says, and while the table is changed:
    /// a look that another task's change overtakes would put a key back that was withdrawn.
    pub(super) turn: tokio::sync::Mutex<()>,
    signing: RwLock<Signing>,
}

/// The key that signs, opened.
#[derive(Clone)]
struct Signing {
    kid: Arc<str>,
    key: Arc<EncodingKey>,
    /// When the table said so.
    checked_at: Instant,
}

impl Signing {
    fn open(key: &StoredKey, sealer: &KeySealer) -> Result<Self, KeyError> {
        let opened = Arc::new(open_key(key, sealer)?);
        Ok(Self { kid: key.kid.as_str().into(), key: opened, checked_at: Instant::now() })
    }
}

impl KeyRing {
    /// Opens the key ring; makes the first key when there is none, and seals those anew that are not
    /// sealed under the first sealing key.
    pub async fn open(
        keys: Arc<dyn KeyRepository>,
        sealer: Arc<KeySealer>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeyError> {
        for _ in 0..ATTEMPTS {
            let stored = keys.list().await?;
            if let Some(key) = stored.iter().find(|key| key.signs) {
                let signing = RwLock::new(Signing::open(key, &sealer)?);
                seal_anew(&*keys, &stored, &sealer).await?;
                let turn = tokio::sync::Mutex::default();
                return Ok(Self { keys, sealer, clock, turn, signing });
            }
            let made = make_key(&sealer, clock.as_ref()).ok_or(KeyError::NotMade)?;
            if keys.insert_signing(&made).await? {
                tracing::info!(key.id = made.kid, "first signing key created");
            }
        }
        Err(KeyError::NotMade)
    }

    /// Signs with the key that the table names from now on: another replica may have put another one
    /// in its place. Returns whether it is another one. Called in turn.
    pub(super) fn adopt(&self, keys: &[StoredKey]) -> Result<bool, KeyError> {
        let signing = keys.iter().find(|key| key.signs).ok_or(KeyError::NotMade)?;
        if *self.current().kid == *signing.kid {
            self.write().checked_at = Instant::now();
            return Ok(false);
        }
        let opened = Signing::open(signing, &self.sealer)?;
        *self.write() = opened;
        tracing::info!(key.id = signing.kid, "signing key changed");
        Ok(true)
    }

    /// Signs claims as a token of type `typ`.
    pub(super) fn sign<T: Serialize>(&self, typ: &str, claims: &T) -> Result<String, SessionError> {
        let signing = self.current();
        if signing.checked_at.elapsed() > UNCHECKED_MAX {
            let source = "the signing keys could not be read for too long".into();
            return Err(SessionError::Unavailable { retry_after: None, source });
        }
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(typ.to_owned());
        header.kid = Some(signing.kid.to_string());
        jsonwebtoken::encode(&header, claims, &signing.key).map_err(SessionError::internal)
    }

    /// The published key set as a JSON document (RFC 7517), read anew each time: another replica
    /// may have made a key.
    pub async fn published(&self) -> Result<String, SessionError> {
        KeySetDocument::of(self.published_keys().await?.iter()).to_json()
    }

    /// The keys of the published set, oldest first.
    pub async fn published_keys(&self) -> Result<Vec<StoredKey>, SessionError> {
        let now = self.clock.now();
        let mut keys = self.keys.list().await?;
        keys.retain(|key| key.is_published(now));
        Ok(keys)
    }

    fn current(&self) -> Signing {
        self.signing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write(&self) -> RwLockWriteGuard<'_, Signing> {
        self.signing.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open_key(key: &StoredKey, sealer: &KeySealer) -> Result<EncodingKey, KeyError> {
    let private = sealer.open(&key.kid, &key.sealed_key).map_err(|_| unreadable(key))?;
    Ok(EncodingKey::from_ed_der(&private))
}

fn unreadable(key: &StoredKey) -> KeyError {
    KeyError::Unreadable { kid: key.kid.clone() }
}

/// Seals under the first key what signs or is about to. A key that waits and that nobody can open is
/// refused now: once it were to sign it would stop all logins. Of replicas that start at once one
/// stores it, and what was retired meanwhile stays without a private part.
async fn seal_anew(
    keys: &dyn KeyRepository,
    stored: &[StoredKey],
    sealer: &KeySealer,
) -> Result<(), KeyError> {
    for key in stored.iter().filter(|key| key.state() != KeyState::Retired) {
        let renewed = sealer.renew(&key.kid, &key.sealed_key).map_err(|_| unreadable(key))?;
        let Some(sealed) = renewed else { continue };
        if keys.reseal(key, &sealed).await? {
            tracing::info!(key.id = key.kid, "private key sealed anew");
        }
    }
    Ok(())
}

pub(super) fn make_key(sealer: &KeySealer, clock: &dyn Clock) -> Option<StoredKey> {
    let pair = Ed25519KeyPair::generate().ok()?;
    let public_key = pair.public_key().as_ref().to_vec();
    let private: Pkcs8V1Der<'_> = pair.as_der().ok()?;
    let kid = thumbprint(&public_key);
    let sealed_key = sealer.seal(&kid, private.as_ref()).ok()?;
    let created_at = clock.now();
    Some(StoredKey {
        kid,
        public_key,
        sealed_key,
        signs: true,
        created_at,
        signs_from: None,
        published_until: None,
    })
}

/// The thumbprint of the public key (RFC 7638): the id follows from the key, and nothing else can
/// have it.
fn thumbprint(public_key: &[u8]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public_key);
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests;
