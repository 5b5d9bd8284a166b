//! Use cases of sessions, one a file. They know ports and the model, no transport and no storage.

mod housekeeping;
mod login;
mod logout;
mod refresh;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use chassis::clock::Clock;
use chassis::config::Secret;

pub use login::LogIn;

use crate::client::CredentialChecker;
use crate::model::{Lifetimes, Session, SessionError, SessionId};
use crate::repository::SessionRepository;
use crate::token::{AccessTokens, RefreshSecret, Subject};

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
    /// Who knows the accounts.
    pub accounts: Arc<dyn CredentialChecker>,
    /// Who issues access tokens.
    pub access_tokens: AccessTokens,
    /// How long sessions live.
    pub lifetimes: Lifetimes,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl AuthService {
    fn issue(
        &self,
        session: &Session,
        roles: Vec<String>,
        refresh_token: RefreshSecret,
    ) -> Result<TokenPair, SessionError> {
        let session_id = session.id();
        let subject = Subject { user_id: session.user_id(), session_id, roles };
        Ok(TokenPair {
            access_token: self.access_tokens.issue(subject, self.clock.now())?,
            expires_in: self.access_tokens.lifetime_s(),
            refresh_token,
            session_id,
        })
    }
}
