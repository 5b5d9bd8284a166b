//! Signing keys and tokens for tests.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use uuid::Uuid;

use crate::auth::{Claims, KeySource, TOKEN_TYPE, Verifier};
use crate::clock::{Clock, SystemClock};
use crate::config::TokenConfig;
use crate::id::new_id;

/// An issuer of access tokens with a key of its own; also the source of its public key.
#[derive(Clone)]
pub struct TestIssuer {
    config: TokenConfig,
    clock: Arc<dyn Clock>,
    key: EncodingKey,
    key_id: String,
}

impl TestIssuer {
    /// Returns an issuer that goes by the machine's clock.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// Returns an issuer that goes by `clock`.
    ///
    /// # Panics
    ///
    /// When no key can be made.
    #[expect(clippy::expect_used, reason = "a test cannot go on without its key")]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let pair = Ed25519KeyPair::generate().expect("an Ed25519 key");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("an encodable key");
        Self {
            config: TokenConfig::default(),
            clock,
            key: EncodingKey::from_ed_der(der.as_ref()),
            key_id: new_id().to_string(),
        }
    }

    /// The id of the signing key.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The settings that accept this issuer's tokens.
    pub fn config(&self) -> &TokenConfig {
        &self.config
    }

    /// Returns a verifier that already has this issuer's key.
    ///
    /// # Panics
    ///
    /// Never in practice: the key source is this very issuer.
    #[expect(clippy::expect_used, reason = "a test cannot go on without its verifier")]
    pub async fn verifier(&self) -> Arc<Verifier> {
        let source = Arc::new(self.clone());
        let verifier = Verifier::new(&self.config, source, Arc::clone(&self.clock));
        verifier.refresh_now().await.expect("a key set");
        Arc::new(verifier)
    }

    /// Returns the claims of a fresh token for `user_id`, valid for 15 minutes.
    pub fn claims(&self, user_id: Uuid, roles: &[&str]) -> Claims {
        let now = self.clock.now().timestamp();
        Claims {
            iss: self.config.issuer.clone(),
            aud: self.config.audience.clone(),
            sub: user_id,
            sid: new_id(),
            jti: new_id(),
            iat: now,
            exp: now + 900,
            nbf: None,
            ver: 1,
            roles: roles.iter().map(ToString::to_string).collect(),
        }
    }

    /// Returns an acceptable token for `user_id`.
    pub fn token(&self, user_id: Uuid, roles: &[&str]) -> String {
        self.sign(&self.claims(user_id, roles))
    }

    /// Signs `claims`, whatever they say.
    ///
    /// # Panics
    ///
    /// When the claims cannot be signed.
    #[expect(clippy::expect_used, reason = "a test cannot go on without its token")]
    pub fn sign(&self, claims: &Claims) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(self.key_id.clone());
        jsonwebtoken::encode(&header, claims, &self.key).expect("a signed token")
    }

    /// Signs a header and claims given as JSON text, however odd they are.
    ///
    /// # Panics
    ///
    /// When they cannot be signed.
    #[expect(clippy::expect_used, reason = "a test cannot go on without its token")]
    pub fn sign_json(&self, header: &str, claims: &str) -> String {
        let message =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, Algorithm::EdDSA);
        format!("{message}.{}", signature.expect("a signature"))
    }

    /// Puts a token for `user_id` on a gRPC request.
    ///
    /// # Panics
    ///
    /// Never: a token is ASCII.
    #[expect(clippy::expect_used, reason = "a token is ASCII")]
    pub fn authorize<T>(&self, request: &mut tonic::Request<T>, user_id: Uuid, roles: &[&str]) {
        let value = format!("Bearer {}", self.token(user_id, roles));
        let value = value.parse().expect("an ASCII token");
        request.metadata_mut().insert("authorization", value);
    }

    /// The public key set.
    ///
    /// # Panics
    ///
    /// When the key has no public form.
    #[expect(clippy::expect_used, reason = "a test cannot go on without its key")]
    pub fn key_set(&self) -> JwkSet {
        let mut jwk = Jwk::from_encoding_key(&self.key, Algorithm::EdDSA).expect("a public key");
        jwk.common.key_id = Some(self.key_id.clone());
        JwkSet { keys: vec![jwk] }
    }
}

impl Default for TestIssuer {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl KeySource for TestIssuer {
    async fn fetch(&self) -> anyhow::Result<JwkSet> {
        Ok(self.key_set())
    }
}
