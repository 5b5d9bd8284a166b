//! Use case: someone logs out.

use tracing::instrument;

use super::AuthService;
use crate::model::{EndReason, SessionError, SessionId};

impl AuthService {
    /// Ends the session. Logging out twice is logging out.
    #[instrument(name = "auth.logout", skip_all, fields(session.id = %session))]
    pub async fn logout(&self, session: SessionId) -> Result<(), SessionError> {
        self.sessions.end(session, EndReason::Logout, self.clock.now()).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;

    #[tokio::test]
    async fn after_logout_nothing_can_be_refreshed() {
        let fixture = Fixture::new().await;
        let (_, pair) = fixture.logged_in().await;
        for _ in 0..2 {
            fixture.service.logout(pair.session_id).await.unwrap();
        }
        assert!(matches!(fixture.refresh(&pair).await, Err(SessionError::RefreshInvalid)));
        assert_eq!(fixture.event_names(), ["auth.session_started", "auth.sessions_revoked"]);
    }
}
