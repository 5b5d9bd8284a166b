//! Access tokens: signed, short-lived, verified by everyone with the published keys.

use std::sync::Arc;

use chassis::auth::{Claims, TOKEN_TYPE};
use chassis::config::{Secret, TokenConfig};
use chrono::{DateTime, Utc};

use super::KeyRing;
use crate::model::{SessionError, SessionId, UserId};

/// Whom an access token is issued to.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The account.
    pub user_id: UserId,
    /// The session.
    pub session_id: SessionId,
    /// The account's version that this is so since.
    pub version: u64,
    /// What the account may do.
    pub roles: Vec<String>,
}

/// Issues access tokens (RFC 9068 profile).
#[derive(Clone)]
pub struct AccessTokens {
    keys: Arc<KeyRing>,
    issuer: String,
    audience: String,
    lifetime_s: u32,
}

impl AccessTokens {
    /// Issues tokens as `config` expects them, signed by `keys`.
    pub fn new(keys: Arc<KeyRing>, config: &TokenConfig, lifetime_s: u32) -> Self {
        Self { keys, issuer: config.issuer.clone(), audience: config.audience.clone(), lifetime_s }
    }

    /// How long a token lives, in seconds.
    pub fn lifetime_s(&self) -> u32 {
        self.lifetime_s
    }

    /// Issues a token.
    pub fn issue(&self, subject: Subject, now: DateTime<Utc>) -> Result<Secret, SessionError> {
        let issued_at = now.timestamp();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: subject.user_id.as_uuid(),
            sid: subject.session_id.as_uuid(),
            jti: chassis::id::new_id(),
            iat: issued_at,
            exp: issued_at + i64::from(self.lifetime_s),
            nbf: None,
            ver: subject.version,
            roles: subject.roles,
        };
        self.keys.sign(TOKEN_TYPE, &claims).map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use chassis::auth::{AuthError, Verifier};
    use chassis::testing::clock::FixedClock;
    use chrono::TimeDelta;

    use super::super::{KeyRingSource, KeySealer};
    use super::*;
    use crate::repository::MemoryKeyRepository;

    #[tokio::test]
    async fn everyone_with_the_published_keys_believes_a_token_until_it_ends() {
        let clock = Arc::new(FixedClock::default());
        let sealer = Arc::new(KeySealer::new(&[Secret::new("the one key")]).unwrap());
        let repository = Arc::new(MemoryKeyRepository::default());
        let ring = Arc::new(KeyRing::open(repository, sealer, clock.clone()).await.unwrap());
        let config = TokenConfig::default();
        let verifier =
            Verifier::new(&config, Arc::new(KeyRingSource::new(ring.clone())), clock.clone());
        let subject = Subject {
            user_id: UserId::generate(),
            session_id: SessionId::generate(),
            version: 7,
            roles: vec!["admin".to_owned()],
        };
        let tokens = AccessTokens::new(ring, &config, 900);
        let token = tokens.issue(subject.clone(), chassis::clock::Clock::now(&*clock)).unwrap();
        let caller = verifier.verify(token.expose()).await.unwrap();
        assert_eq!(caller.user_id, subject.user_id.as_uuid());
        assert_eq!(caller.session_id, subject.session_id.as_uuid());
        assert!(caller.is_admin());
        clock.advance(TimeDelta::seconds(961));
        assert_eq!(verifier.verify(token.expose()).await, Err(AuthError::Expired));
    }
}
