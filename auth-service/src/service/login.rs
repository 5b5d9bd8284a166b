//! Use case: someone logs in.

use tracing::instrument;

use super::throttle::Attempt;
use super::{AuthService, TokenPair};
use crate::model::{Client, Credentials, Identity, Login, Session, SessionError};
use crate::token::RefreshSecret;

/// What someone logs in with.
#[derive(Clone, Debug)]
pub struct LogIn {
    /// E-mail address and password.
    pub credentials: Credentials,
    /// Where from.
    pub client: Client,
}

impl AuthService {
    /// Checks the credentials and begins a session.
    #[instrument(name = "auth.login", skip_all)]
    pub async fn login(&self, command: LogIn) -> Result<TokenPair, SessionError> {
        let attempt = self.throttle.begin(&command, self.clock.now()).await?;
        let identity = self.check(&command.credentials, &attempt).await?;
        self.throttle.succeeded(&attempt, self.clock.now()).await;
        let refresh_token = RefreshSecret::generate()?;
        let (version, roles) = (identity.version, identity.roles.clone());
        let login = Login { identity, client: command.client, first_token: refresh_token.digest() };
        let opened = Session::open(login, &self.lifetimes, self.clock.now());
        // Signed before anything is stored: a session whose holder never got it would take the place
        // of one that somebody uses.
        let pair = self.issue(&opened.session, (version, roles), refresh_token)?;
        self.sessions.insert(&opened).await?;
        tracing::debug!(session.id = %opened.session.id(), "session started");
        self.keep_bound(opened.session.user_id()).await;
        Ok(pair)
    }

    /// Asks whom the credentials belong to. Without an answer nothing was guessed, so that the
    /// attempt is taken back; what was answered with a refusal stays counted.
    async fn check(
        &self,
        credentials: &Credentials,
        attempt: &Attempt,
    ) -> Result<Identity, SessionError> {
        let outcome = self.accounts.check(credentials).await;
        match &outcome {
            Ok(_) => {}
            Err(SessionError::CredentialsInvalid) => attempt.log_refusal("credentials"),
            Err(SessionError::AccountDisabled) => attempt.log_refusal("disabled"),
            Err(_) => self.throttle.take_back(attempt).await,
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, PASSWORD};
    use super::*;

    #[tokio::test]
    async fn the_right_password_begins_a_session() {
        let fixture = Fixture::new().await;
        let alice = fixture.accounts.add("alice@example.com", PASSWORD);
        let pair = fixture.login("alice@example.com", PASSWORD).await.unwrap();
        let caller = fixture.verifier.verify(pair.access_token.expose()).await.unwrap();
        assert_eq!(caller.user_id, alice.as_uuid());
        assert_eq!(caller.session_id, pair.session_id.as_uuid());
        assert_eq!(pair.expires_in, 900);
        assert_eq!(fixture.event_names(), ["auth.session_started"]);
    }

    #[tokio::test]
    async fn a_refused_login_leaves_nothing_behind() {
        let fixture = Fixture::new().await;
        let alice = fixture.accounts.add("alice@example.com", PASSWORD);
        let wrong = fixture.login("alice@example.com", "wrong").await;
        assert!(matches!(wrong, Err(SessionError::CredentialsInvalid)));
        fixture.accounts.alter(alice, |access| access.is_active = false);
        let disabled = fixture.login("alice@example.com", PASSWORD).await;
        assert!(matches!(disabled, Err(SessionError::AccountDisabled)));
        assert!(fixture.event_names().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_for_which_no_token_can_be_signed_begins_no_session() {
        let fixture = Fixture::new().await;
        let alice = fixture.accounts.add("alice@example.com", PASSWORD);
        fixture.forget_the_keys().await;
        let unsigned = fixture.login("alice@example.com", PASSWORD).await;
        assert!(matches!(unsigned, Err(SessionError::Unavailable { .. })));
        assert_eq!(fixture.service.list_sessions(alice).await.unwrap(), []);
        assert!(fixture.event_names().is_empty());
        fixture.look_at_the_keys().await;
        fixture.login("alice@example.com", PASSWORD).await.unwrap();
    }

    #[test]
    fn a_command_does_not_print_what_is_secret_or_personal() {
        let printed =
            format!("{:?}", super::super::testing::command("alice@example.com", PASSWORD));
        assert!(!printed.contains("alice") && !printed.contains(PASSWORD), "{printed}");
    }
}
