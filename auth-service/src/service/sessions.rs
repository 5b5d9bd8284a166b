//! Use cases: someone looks at their sessions and ends some, and an administrator those of a user.

use tracing::instrument;

use super::AuthService;
use crate::model::{EndOfUser, EndReason, Session, SessionError, SessionId, UserId};

/// Sessions beyond the bound that one login ends at most; more are there only after the bound was
/// lowered, and the next logins end them.
const DISPLACED_MAX: u32 = 10;

impl AuthService {
    /// Lists the live sessions of a user, the most recently used first; at most as many as there may
    /// be.
    #[instrument(name = "auth.list_sessions", skip_all, fields(user.id = %user))]
    pub async fn list_sessions(&self, user: UserId) -> Result<Vec<Session>, SessionError> {
        let now = self.clock.now();
        self.sessions.list_live(user, &self.lifetimes, now, self.per_user_max).await
    }

    /// Ends a session of this user. Ending it twice is ending it.
    #[instrument(name = "auth.revoke_session", skip_all, fields(session.id = %session))]
    pub async fn revoke_session(
        &self,
        user: UserId,
        session: SessionId,
    ) -> Result<(), SessionError> {
        let found = self.sessions.find(session).await?;
        if found.is_none_or(|found| found.user_id() != user) {
            return Err(SessionError::SessionNotFound);
        }
        self.sessions.end(session, EndReason::Revoked, self.clock.now()).await
    }

    /// Ends all sessions of a user but `kept`. Returns how many.
    #[instrument(name = "auth.revoke_all_sessions", skip_all, fields(user.id = %user))]
    pub async fn revoke_all_sessions(
        &self,
        user: UserId,
        kept: Option<SessionId>,
    ) -> Result<u32, SessionError> {
        self.end_all_of(user, kept, EndReason::Revoked).await
    }

    /// Ends all sessions of `user` in the name of `actor`; the account stays as it is. Returns how
    /// many.
    #[instrument(name = "auth.revoke_user_sessions", skip_all, fields(user.id = %user))]
    pub async fn revoke_user_sessions(
        &self,
        actor: UserId,
        user: UserId,
    ) -> Result<u32, SessionError> {
        self.require_administrator(actor).await?;
        if self.accounts.find_access(user).await?.is_none() {
            return Err(SessionError::UserNotFound);
        }
        let ended = self.end_all_of(user, None, EndReason::RevokedByAdmin).await?;
        tracing::info!(
            user.id = %user,
            admin.id = %actor,
            sessions.ended = ended,
            "sessions of a user ended by order"
        );
        Ok(ended)
    }

    async fn end_all_of(
        &self,
        user_id: UserId,
        kept: Option<SessionId>,
        reason: EndReason,
    ) -> Result<u32, SessionError> {
        let end = EndOfUser { user_id, kept, below_epoch: None, reason };
        self.sessions.end_of_user(&end, self.clock.now()).await
    }

    /// Ends what a user has beyond the bound, the least recently used ones. The login that led here
    /// has succeeded, so a failure is no reason to refuse it: the next one makes up for it.
    pub(super) async fn keep_bound(&self, user: UserId) {
        if let Err(error) = self.end_excess(user).await {
            let error = chassis::error::Chain(&error);
            tracing::warn!(error = %error, "sessions beyond the bound not ended");
        }
    }

    async fn end_excess(&self, user: UserId) -> Result<(), SessionError> {
        let (now, limit) = (self.clock.now(), self.per_user_max + DISPLACED_MAX);
        let live = self.sessions.list_live(user, &self.lifetimes, now, limit).await?;
        for session in live.iter().skip(self.per_user_max as usize) {
            self.sessions.end(session.id(), EndReason::Displaced, now).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::testing::{Fixture, PASSWORD};
    use super::*;
    use crate::model::Revocation;

    #[tokio::test]
    async fn the_list_shows_live_sessions_of_this_user_the_last_used_first() {
        let fixture = Fixture::new().await;
        let (alice, first) = fixture.logged_in().await;
        fixture.clock.advance(TimeDelta::minutes(1));
        let second = fixture.login("alice@example.com", PASSWORD).await.unwrap();
        fixture.clock.advance(TimeDelta::minutes(1));
        let first = fixture.refresh(&first).await.unwrap();
        fixture.accounts.add("bob@example.com", PASSWORD);
        fixture.login("bob@example.com", PASSWORD).await.unwrap();
        let list = async || {
            let sessions = fixture.service.list_sessions(alice).await.unwrap();
            sessions.iter().map(Session::id).collect::<Vec<_>>()
        };
        assert_eq!(list().await, [first.session_id, second.session_id]);
        fixture.service.revoke_session(alice, second.session_id).await.unwrap();
        assert_eq!(list().await, [first.session_id]);
        fixture.clock.advance(TimeDelta::days(7));
        assert_eq!(list().await, [], "an idle session is none");
    }

    #[tokio::test]
    async fn nobody_ends_the_session_of_another_user() {
        let fixture = Fixture::new().await;
        let (alice, pair) = fixture.logged_in().await;
        let bob = fixture.accounts.add("bob@example.com", PASSWORD);
        for session in [pair.session_id, SessionId::generate()] {
            let refused = fixture.service.revoke_session(bob, session).await;
            assert!(matches!(refused, Err(SessionError::SessionNotFound)));
        }
        fixture.refresh(&pair).await.unwrap();
        for _ in 0..2 {
            fixture.service.revoke_session(alice, pair.session_id).await.unwrap();
        }
        assert_eq!(fixture.event_names(), ["auth.session_started", "auth.sessions_revoked"]);
    }

    #[tokio::test]
    async fn all_sessions_end_or_all_others() {
        let fixture = Fixture::new().await;
        let (alice, kept) = fixture.logged_in().await;
        let other = fixture.login("alice@example.com", PASSWORD).await.unwrap();
        let service = &fixture.service;
        assert_eq!(service.revoke_all_sessions(alice, Some(kept.session_id)).await.unwrap(), 1);
        assert!(matches!(fixture.refresh(&other).await, Err(SessionError::RefreshInvalid)));
        let kept = fixture.refresh(&kept).await.unwrap();
        assert_eq!(service.revoke_all_sessions(alice, None).await.unwrap(), 1);
        assert!(matches!(fixture.refresh(&kept).await, Err(SessionError::RefreshInvalid)));
        assert_eq!(service.revoke_all_sessions(alice, None).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn an_administrator_of_this_moment_ends_the_sessions_of_an_account_that_stays_enabled() {
        let fixture = Fixture::new().await;
        let (alice, first) = fixture.logged_in().await;
        let second = fixture.login("alice@example.com", PASSWORD).await.unwrap();
        let chief = fixture.accounts.add("chief@example.com", PASSWORD);
        let own = fixture.login("chief@example.com", PASSWORD).await.unwrap();
        let end = |user| fixture.service.revoke_user_sessions(chief, user);
        assert!(matches!(end(alice).await, Err(SessionError::PermissionDenied)));
        fixture.refresh(&first).await.unwrap();
        fixture.accounts.alter(chief, |access| access.roles = vec!["admin".to_owned()]);
        assert!(matches!(end(UserId::generate()).await, Err(SessionError::UserNotFound)));
        assert_eq!(end(alice).await.unwrap(), 2);
        assert!(matches!(fixture.refresh(&second).await, Err(SessionError::RefreshInvalid)));
        let feed = fixture.feed().await;
        for session in [first.session_id, second.session_id] {
            assert!(feed.contains(&Revocation::Session(session)), "its access tokens are refused");
        }
        fixture.refresh(&own).await.unwrap();
        fixture.login("alice@example.com", PASSWORD).await.unwrap();
        assert_eq!(end(alice).await.unwrap(), 1);
        assert_eq!(end(alice).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_login_beyond_the_bound_displaces_the_least_recently_used_session() {
        let fixture = Fixture::new().await;
        let (alice, first) = fixture.logged_in().await;
        for _ in 0..fixture.service.per_user_max {
            fixture.clock.advance(TimeDelta::seconds(1));
            fixture.login("alice@example.com", PASSWORD).await.unwrap();
        }
        let list = fixture.service.list_sessions(alice).await.unwrap();
        assert_eq!(list.len(), fixture.service.per_user_max as usize);
        assert!(matches!(fixture.refresh(&first).await, Err(SessionError::RefreshInvalid)));
    }
}
