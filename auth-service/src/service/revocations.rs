//! What verifiers at the edge must refuse, read by them as a feed.

use tracing::instrument;

use super::AuthService;
use crate::model::{RevocationPage, SessionError};

/// Entries of one answer.
const PAGE: u32 = 1_000;
/// Entries deleted in one statement.
const SWEEP: u32 = 1_000;

impl AuthService {
    /// Lists what access tokens are to be refused for, from `cursor` on.
    #[instrument(name = "auth.list_revocations", skip_all)]
    pub async fn list_revocations(&self, cursor: &str) -> Result<RevocationPage, SessionError> {
        self.revocations.list(cursor, self.keep_revocations_s, PAGE).await
    }

    /// Forgets what no access token can run into any more.
    pub(super) async fn sweep_revocations(&self) -> Result<(), SessionError> {
        let keep_s = self.keep_revocations_s;
        while self.revocations.sweep(keep_s, SWEEP).await? == u64::from(SWEEP) {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, PASSWORD};
    use crate::model::Revocation;

    #[tokio::test]
    async fn whatever_ends_a_session_enters_the_feed() {
        let fixture = Fixture::new().await;
        let (alice, pair) = fixture.logged_in().await;
        fixture.service.logout(pair.session_id).await.unwrap();
        let other = fixture.login("alice@example.com", PASSWORD).await.unwrap();
        fixture.service.revoke_session(alice, other.session_id).await.unwrap();
        let feed = fixture.feed().await;
        assert_eq!(feed.len(), 2);
        for session in [pair.session_id, other.session_id] {
            assert!(feed.contains(&Revocation::Session(session)));
        }
    }
}
