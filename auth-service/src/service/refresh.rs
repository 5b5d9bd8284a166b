//! Use case: a client exchanges its refresh token for the next pair.
//!
//! The account is asked about before anything is written, because no call may happen inside a
//! transaction; the token is judged again under the session's lock, because much can happen
//! meanwhile.

use tracing::instrument;

use super::{AuthService, TokenPair};
use crate::model::{
    AccountAccess, EndReason, Exchange, Moment, Presented, Session, SessionError, UserId, Verdict,
};
use crate::token::RefreshSecret;

/// What someone exchanges.
#[derive(Clone, Debug)]
pub struct Refresh {
    /// The refresh token. Absent means that what was presented can be none.
    pub token: Option<RefreshSecret>,
    /// Whom the access token beside it names, if one came along.
    pub companion: Option<UserId>,
}

impl AuthService {
    /// Exchanges a refresh token. One that comes with the access token of another user is refused, and
    /// nothing else happens: whoever mixes them up by mistake harms nobody.
    #[instrument(name = "auth.refresh", skip_all)]
    pub async fn refresh(&self, command: Refresh) -> Result<TokenPair, SessionError> {
        let token = command.token.ok_or(SessionError::RefreshInvalid)?.digest();
        let presented = self.sessions.find_presented(token).await?;
        let presented = presented.ok_or(SessionError::RefreshInvalid)?;
        if command.companion.is_some_and(|user| user != presented.session.user_id()) {
            return Err(SessionError::RefreshInvalid);
        }
        // One moment for both judgements: a slow answer about the account must not turn a reply
        // that was lost in time into a reuse, nor a reuse into anything else.
        let moment = Moment { now: self.clock.now(), shared: presented.seen_at };
        let access = self.check_account(&presented, moment).await?;

        let (session, fresh) = (&presented.session, RefreshSecret::generate()?);
        let digest = fresh.digest();
        // Signed before anything is stored: when that fails the presented token has to stay good, or
        // the next attempt with it would pass for a theft.
        let issue =
            |access: AccountAccess| self.issue(session, (access.version, access.roles), fresh);
        let pair = access.map(issue).transpose()?;
        let decide = |found: &_| Exchange::decide(found, digest, &self.lifetimes, moment);
        let exchange = self.sessions.exchange(session.id(), token, &decide).await?;
        match exchange.verdict {
            Verdict::Rotate | Verdict::Reissue => {
                pair.ok_or_else(|| SessionError::internal("a used token became usable again"))
            }
            Verdict::Reused => {
                tracing::warn!(session.id = %exchange.session.id(), "refresh token reused");
                Err(SessionError::RefreshReused)
            }
            Verdict::Refused => Err(SessionError::RefreshInvalid),
        }
    }

    /// Refuses when the account may not act any more, and ends the session then. `None` for a token
    /// that was used twice: it leads to no new pair, so nobody is asked.
    async fn check_account(
        &self,
        presented: &Presented,
        moment: Moment,
    ) -> Result<Option<AccountAccess>, SessionError> {
        let session = &presented.session;
        match presented.judge(&self.lifetimes, moment) {
            Verdict::Refused => return Err(SessionError::RefreshInvalid),
            Verdict::Reused => return Ok(None),
            Verdict::Rotate | Verdict::Reissue => {}
        }
        let access = self.accounts.find_access(session.user_id()).await?;
        match why_ended(session, access) {
            Ok(access) => Ok(Some(access)),
            Err(reason) => {
                self.sessions.end(session.id(), reason, self.clock.now()).await?;
                Err(SessionError::RefreshInvalid)
            }
        }
    }
}

/// Says why the session ends with what the account has become, if it does.
fn why_ended(session: &Session, access: Option<AccountAccess>) -> Result<AccountAccess, EndReason> {
    match access {
        Some(access) if !access.is_active => Err(EndReason::AccountDisabled),
        Some(access)
            if access.session_epoch > session.session_epoch()
                && access.kept_session != Some(session.id()) =>
        {
            Err(EndReason::EpochMoved)
        }
        Some(access) => Ok(access),
        None => Err(EndReason::AccountDisabled),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::testing::{Fixture, PASSWORD};
    use super::*;

    #[tokio::test]
    async fn a_refresh_continues_the_session_with_the_roles_of_now() {
        let fixture = Fixture::new().await;
        let (alice, first) = fixture.logged_in().await;
        fixture.accounts.alter(alice, |access| access.roles = vec!["admin".to_owned()]);
        let second = fixture.refresh(&first).await.unwrap();
        assert_eq!(second.session_id, first.session_id);
        let caller = fixture.verifier.verify(second.access_token.expose()).await.unwrap();
        assert!(caller.is_admin());
        fixture.refresh(&second).await.unwrap();
    }

    #[tokio::test]
    async fn a_lost_reply_can_be_asked_for_again_and_leaves_one_branch() {
        let fixture = Fixture::new().await;
        let (_, first) = fixture.logged_in().await;
        fixture.refresh(&first).await.unwrap();
        fixture.storage_clock.advance(TimeDelta::seconds(9));
        let again = fixture.refresh(&first).await.unwrap();
        fixture.refresh(&again).await.unwrap();
        assert_eq!(fixture.event_names(), ["auth.session_started"]);
    }

    /// A replica whose clock is minutes ahead answers the second attempt, and one behind the third.
    #[tokio::test]
    async fn a_lost_reply_is_one_whatever_the_clocks_of_the_replicas_show() {
        let fixture = Fixture::new().await;
        let (_, first) = fixture.logged_in().await;
        fixture.refresh(&first).await.unwrap();
        for skew in [5, -10] {
            fixture.clock.advance(TimeDelta::minutes(skew));
            fixture.storage_clock.advance(TimeDelta::seconds(4));
            fixture.refresh(&first).await.unwrap();
        }
        fixture.storage_clock.advance(TimeDelta::seconds(3));
        assert!(matches!(fixture.refresh(&first).await, Err(SessionError::RefreshReused)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_could_not_be_exchanged_for_want_of_a_signature_stays_good() {
        let fixture = Fixture::new().await;
        let (_, first) = fixture.logged_in().await;
        fixture.forget_the_keys().await;
        for _ in 0..2 {
            fixture.storage_clock.advance(TimeDelta::seconds(11));
            let unsigned = fixture.refresh(&first).await;
            assert!(matches!(unsigned, Err(SessionError::Unavailable { .. })));
        }
        fixture.look_at_the_keys().await;
        fixture.refresh(&first).await.unwrap();
        assert_eq!(fixture.event_names(), ["auth.session_started"]);
    }

    #[tokio::test]
    async fn using_a_token_twice_ends_the_session() {
        let fixture = Fixture::new().await;
        let (_, first) = fixture.logged_in().await;
        let second = fixture.refresh(&first).await.unwrap();
        let third = fixture.refresh(&second).await.unwrap();
        let second_use = fixture.refresh(&first).await;
        assert!(matches!(second_use, Err(SessionError::RefreshReused)));
        for token in [&first, &second, &third] {
            let refused = fixture.refresh(token).await;
            assert!(matches!(refused, Err(SessionError::RefreshInvalid)));
        }
        let expected =
            ["auth.session_started", "auth.sessions_revoked", "auth.token_reuse_detected"];
        assert_eq!(fixture.event_names(), expected);
    }

    #[tokio::test]
    async fn a_token_that_was_replaced_proves_a_second_holder() {
        let fixture = Fixture::new().await;
        let (_, first) = fixture.logged_in().await;
        let stolen = fixture.refresh(&first).await.unwrap();
        let again = fixture.refresh(&first).await.unwrap();
        assert!(matches!(fixture.refresh(&stolen).await, Err(SessionError::RefreshReused)));
        assert!(matches!(fixture.refresh(&again).await, Err(SessionError::RefreshInvalid)));
    }

    #[tokio::test]
    async fn asking_again_too_late_is_reuse() {
        let fixture = Fixture::new().await;
        let (_, first) = fixture.logged_in().await;
        fixture.refresh(&first).await.unwrap();
        fixture.storage_clock.advance(TimeDelta::seconds(11));
        assert!(matches!(fixture.refresh(&first).await, Err(SessionError::RefreshReused)));
    }

    #[tokio::test]
    async fn a_session_ends_with_what_its_account_has_become() {
        for alter in [
            |access: &mut AccountAccess| access.is_active = false,
            |access: &mut AccountAccess| access.session_epoch += 1,
        ] {
            let fixture = Fixture::new().await;
            let (alice, pair) = fixture.logged_in().await;
            fixture.accounts.alter(alice, alter);
            assert!(matches!(fixture.refresh(&pair).await, Err(SessionError::RefreshInvalid)));
            fixture.accounts.alter(alice, |access| {
                access.is_active = true;
                access.session_epoch = 1;
            });
            assert!(matches!(fixture.refresh(&pair).await, Err(SessionError::RefreshInvalid)));
            assert_eq!(fixture.event_names(), ["auth.session_started", "auth.sessions_revoked"]);
        }
    }

    #[tokio::test]
    async fn idle_and_old_sessions_are_over() {
        let fixture = Fixture::new().await;
        let (_, idle) = fixture.logged_in().await;
        fixture.clock.advance(TimeDelta::days(7));
        assert!(matches!(fixture.refresh(&idle).await, Err(SessionError::RefreshInvalid)));
        let mut pair = fixture.login("alice@example.com", PASSWORD).await.unwrap();
        for _ in 0..4 {
            fixture.clock.advance(TimeDelta::days(6));
            pair = fixture.refresh(&pair).await.unwrap();
        }
        fixture.clock.advance(TimeDelta::days(6));
        assert!(matches!(fixture.refresh(&pair).await, Err(SessionError::RefreshInvalid)));
    }

    #[tokio::test]
    async fn a_token_that_comes_with_another_users_access_token_is_refused_and_stays_good() {
        let fixture = Fixture::new().await;
        let (alice, pair) = fixture.logged_in().await;
        let with = |companion| Refresh { token: Some(pair.refresh_token.clone()), companion };
        let refused = fixture.service.refresh(with(Some(UserId::generate()))).await;
        assert!(matches!(refused, Err(SessionError::RefreshInvalid)));
        fixture.service.refresh(with(Some(alice))).await.unwrap();
        assert_eq!(fixture.event_names(), ["auth.session_started"]);
    }

    #[tokio::test]
    async fn what_is_no_token_or_an_unknown_one_is_refused() {
        let fixture = Fixture::new().await;
        let unknown = RefreshSecret::generate().unwrap();
        for token in [None, Some(unknown)] {
            let refused = fixture.service.refresh(Refresh { token, companion: None }).await;
            assert!(matches!(refused, Err(SessionError::RefreshInvalid)));
        }
    }
}
