//! Use cases of sessions, one a file. They know ports and the model, no transport and no storage.

mod follow_accounts;
mod housekeeping;
mod login;
mod logout;
mod refresh;
mod revocations;
mod rotate_keys;
mod sessions;
#[cfg(test)]
mod testing;
mod throttle;

use std::sync::Arc;

use chassis::clock::Clock;
use chassis::config::Secret;
use chassis::doorbell::Doorbell;

pub use follow_accounts::AccountFollower;
pub use login::LogIn;
pub use refresh::Refresh;
pub use rotate_keys::Rotation;
pub use throttle::{LoginThrottle, Patience};

use crate::client::CredentialChecker;
use crate::model::{Lifetimes, Session, SessionError, SessionId};
use crate::repository::{RevocationRepository, SessionRepository};
use crate::token::{AccessTokens, KeyRing, RefreshSecret, RotationPlan, Subject};

/// What a client holds after login or refresh.
#[derive(Clone, Debug)]
pub struct TokenPair {
    /// The signed token that is shown with each request.
    pub access_token: Secret,
    /// Seconds until the access token ends.
    pub expires_in: u32,
    /// The opaque token that is exchanged for the next pair.
    pub refresh_token: RefreshSecret,
    /// The session.
    pub session_id: SessionId,
}

/// The use cases, over their ports.
#[derive(Clone)]
pub struct AuthService {
    /// Where sessions are kept.
    pub sessions: Arc<dyn SessionRepository>,
    /// Where it is kept what access tokens are refused for.
    pub revocations: Arc<dyn RevocationRepository>,
    /// Who knows the accounts.
    pub accounts: Arc<dyn CredentialChecker>,
    /// Who keeps guessing slow.
    pub throttle: Arc<LoginThrottle>,
    /// Who issues access tokens.
    pub access_tokens: AccessTokens,
    /// The keys that sign and are published.
    pub keys: Arc<KeyRing>,
    /// When keys come and go.
    pub rotation: RotationPlan,
    /// How long sessions live.
    pub lifetimes: Lifetimes,
    /// Live sessions of one user at most.
    pub per_user_max: u32,
    /// How long a revocation matters: longer than an access token may live, in seconds.
    pub keep_revocations_s: u32,
    /// Rung when there are new revocations, and for edges when the keys changed.
    pub bell: Doorbell,
    /// Rung for the other replicas when the keys changed: they sign with what was withdrawn until then.
    pub key_bell: Doorbell,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl AuthService {
    fn issue(
        &self,
        session: &Session,
        (version, roles): (u64, Vec<String>),
        refresh_token: RefreshSecret,
    ) -> Result<TokenPair, SessionError> {
        let session_id = session.id();
        let subject = Subject { user_id: session.user_id(), session_id, version, roles };
        Ok(TokenPair {
            access_token: self.access_tokens.issue(subject, self.clock.now())?,
            expires_in: self.access_tokens.lifetime_s(),
            refresh_token,
            session_id,
        })
    }
}
