//! Use cases: somebody who lost the password of an account puts another one in force.
//!
//! Asking for it tells nobody whether there is an account: the request is written down, for any
//! address in the same way, and answered by a worker. So neither the answer nor its time differs.

use chassis::error::Chain;
use chassis::opaque::OpaqueToken;
use chassis::throttle::Meter;
use tracing::instrument;

use super::UserService;
use crate::model::{Email, NewPassword, Purpose, RecoveryRequest, Status, UserError};
use crate::repository::Issue;

/// Another password, put in force by a token.
#[derive(Clone, Debug)]
pub struct RecoverPassword {
    /// The token; absent when what was presented cannot be one.
    pub token: Option<OpaqueToken>,
    /// The password to be in force.
    pub new: NewPassword,
}

impl UserService {
    /// Has a token sent to an address if an active account has it.
    #[instrument(name = "user.request_password_recovery", skip_all)]
    pub async fn request_password_recovery(&self, email: Email) -> Result<(), UserError> {
        let key = format!("recovery:{}", self.mail.tagger.tag(email.normalized()));
        let meter = Meter { key, rule: self.grants.recovery, member: None };
        let ticket = self.count_request(&meter).await?;
        let (now, waiting_max) = (self.clock.now(), self.grants.waiting_max);
        if let Err(error) = self.mail.tokens.request_recovery(&email, now, waiting_max).await {
            self.throttle.take_back(&meter, &ticket).await;
            return Err(error);
        }
        Ok(())
    }

    /// Answers at most `at_once` requests, those of other replicas too. Returns whether there may be
    /// more. One that fails stays for the next time and holds up no other.
    #[instrument(name = "user.answer_recovery_requests", skip_all)]
    pub async fn answer_recovery_requests(&self, at_once: u32) -> Result<bool, UserError> {
        let requests = self.mail.tokens.waiting_requests(at_once).await?;
        let mut failure = None;
        for request in &requests {
            if let Err(error) = self.answer(request).await {
                tracing::debug!(error = %Chain(&error), "recovery request not answered");
                failure = Some(error);
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(requests.len() >= at_once as usize),
        }
    }

    async fn answer(&self, request: &RecoveryRequest) -> Result<(), UserError> {
        let found = self.users.find_by_email(&request.email).await?;
        let Some(user) = found.filter(|user| user.status() == Status::Active) else {
            return self.mail.tokens.drop_request(request.id).await;
        };
        let issued = self.make_token(&user, Purpose::RecoverPassword)?;
        let issue = self.mail.tokens.issue(&issued, self.grants.live_max, Some(request.id)).await?;
        if issue == Issue::TooMany {
            // Those that were sent stay good: whoever asks for more cannot spoil the owner's.
            tracing::debug!(user.id = %user.id(), "enough recovery tokens are live");
        }
        Ok(())
    }

    /// Puts another password in force and ends all sessions.
    #[instrument(name = "user.recover_password", skip_all)]
    pub async fn recover_password(&self, command: RecoverPassword) -> Result<(), UserError> {
        let token = self.find_token(command.token.as_ref(), Purpose::RecoverPassword).await?;
        let user = self.get(token.user_id).await?;
        user.check_active()?;
        let score_min = self.policy.score_min;
        if let Some(weakness) = command.new.weakness(user.email(), user.display_name(), score_min) {
            return Err(UserError::PasswordWeak { field: "new_password", weakness });
        }
        let hash = self.hasher.hash(command.new.as_typed()).await?;
        let now = self.clock.now();
        self.change(user.id(), |current| {
            current.recover_password(&token, hash.clone(), now).map(Some)
        })
        .await?;
        tracing::debug!(user.id = %user.id(), "password recovered");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::testing::{Fixture, PASSWORD, typed};
    use super::*;
    use crate::repository::TokenRepository as _;

    const OTHER: &str = "another good one";

    fn address(text: &str) -> Email {
        Email::to_find(text).unwrap()
    }

    #[tokio::test]
    async fn another_password_is_in_force_and_sessions_end() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        let token = fixture.lost_password("ALICE@example.com").await.unwrap();
        assert_eq!(token.purpose, Purpose::RecoverPassword);
        fixture.recover(token.presented(), OTHER).await.unwrap();
        let changed = fixture.service.get(user.id()).await.unwrap();
        assert_eq!(changed.session_epoch(), user.session_epoch() + 1);
        assert!(changed.email_verified_at().is_some(), "the token came by mail");
        assert_eq!(fixture.event_names(), ["user.registered", "user.password_changed"]);
        let of = |password: &str| (Some(address("alice@example.com")), Some(typed(password)));
        let (email, old) = of(PASSWORD);
        let refused = fixture.service.verify_credentials(email, old).await;
        assert!(matches!(refused, Err(UserError::CredentialsInvalid)));
        let (email, new) = of(OTHER);
        fixture.service.verify_credentials(email, new).await.unwrap();
    }

    #[tokio::test]
    async fn nothing_is_sent_where_there_is_no_account_and_nobody_learns_it() {
        let fixture = Fixture::new();
        fixture.registered("alice@example.com").await;
        for unknown in ["bob@example.com", "no address", ""] {
            assert!(fixture.lost_password(unknown).await.is_none(), "{unknown}");
        }
        assert!(!fixture.service.answer_recovery_requests(1).await.unwrap(), "all are answered");
    }

    #[tokio::test]
    async fn every_other_link_is_dead_once_a_password_is_in_force() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        let verification = fixture.last_mailed();
        let first = fixture.lost_password("alice@example.com").await.unwrap();
        let second = fixture.lost_password("alice@example.com").await.unwrap();
        fixture.recover(second.presented(), OTHER).await.unwrap();
        for dead in [&first, &second] {
            let refused = fixture.recover(dead.presented(), "a third good one").await;
            assert!(matches!(refused, Err(UserError::TokenInvalid)));
        }
        let refused = fixture.service.verify_email(verification.presented()).await;
        assert!(matches!(refused, Err(UserError::TokenInvalid)), "there is nothing left to prove");
        let third = fixture.lost_password("alice@example.com").await.unwrap();
        fixture.change_password(user.id(), OTHER, "a third good one").await.unwrap();
        let refused = fixture.recover(third.presented(), "a fourth good one").await;
        assert!(matches!(refused, Err(UserError::TokenInvalid)), "the owner knows the password");
    }

    #[tokio::test]
    async fn a_link_that_a_change_of_the_password_overtook_is_dead() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        let late = fixture.service.make_token(&user, Purpose::RecoverPassword).unwrap();
        fixture.change_password(user.id(), PASSWORD, OTHER).await.unwrap();
        assert_eq!(fixture.users.issue(&late, 5, None).await.unwrap(), Issue::Done);
        let mailed = fixture.last_mailed();
        let refused = fixture.recover(mailed.presented(), "a third good one").await;
        assert!(matches!(refused, Err(UserError::TokenInvalid)));
    }

    #[tokio::test]
    async fn of_two_who_use_a_token_at_once_one_does() {
        let fixture = Fixture::new();
        fixture.registered("alice@example.com").await;
        let token = fixture.lost_password("alice@example.com").await.unwrap();
        let both = ["the first one", "the second one"]
            .map(|password| fixture.recover(token.presented(), password));
        let outcomes = futures::future::join_all(both).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    }

    #[tokio::test]
    async fn a_token_outlives_a_weak_password_and_not_its_time() {
        let fixture = Fixture::new();
        fixture.registered("alice@example.com").await;
        let token = fixture.lost_password("alice@example.com").await.unwrap();
        let weak = fixture.recover(token.presented(), "ALICE@example.com").await;
        assert!(matches!(weak, Err(UserError::PasswordWeak { field: "new_password", .. })));
        fixture.clock.advance(TimeDelta::minutes(30) - TimeDelta::milliseconds(1));
        fixture.recover(token.presented(), OTHER).await.unwrap();
        let late = fixture.lost_password("alice@example.com").await.unwrap();
        fixture.clock.advance(TimeDelta::minutes(30));
        let refused = fixture.recover(late.presented(), "a third good one").await;
        assert!(matches!(refused, Err(UserError::TokenInvalid)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_asked_for_so_often_whether_an_account_has_it_or_not() {
        let fixture = Fixture::new();
        fixture.registered("alice@example.com").await;
        for asked in ["alice@example.com", "bob@example.com"] {
            for _ in 0..3 {
                fixture.service.request_password_recovery(address(asked)).await.unwrap();
            }
            let refused = fixture.service.request_password_recovery(address(asked)).await;
            assert!(matches!(refused, Err(UserError::MailThrottled { .. })), "{asked}");
        }
        fixture.service.request_password_recovery(address("carol@example.com")).await.unwrap();
    }

    #[tokio::test]
    async fn requests_that_wait_are_bounded_and_those_of_one_address_are_one() {
        let fixture = Fixture::new();
        fixture.registered("alice@example.com").await;
        let before = fixture.mailed().len();
        for _ in 0..2 {
            fixture.service.request_password_recovery(address("alice@example.com")).await.unwrap();
        }
        for n in 0..99 {
            let asked = address(&format!("user{n}@example.com"));
            fixture.service.request_password_recovery(asked).await.unwrap();
        }
        let refused = fixture.service.request_password_recovery(address("bob@example.com")).await;
        assert!(matches!(refused, Err(UserError::Unavailable { .. })));
        while fixture.service.answer_recovery_requests(7).await.unwrap() {}
        assert_eq!(fixture.mailed().len(), before + 1);
        fixture.service.request_password_recovery(address("bob@example.com")).await.unwrap();
    }

    #[tokio::test]
    async fn a_disabled_account_gets_no_mail_and_its_tokens_are_dead() {
        let fixture = Fixture::new();
        let (user, admin) =
            (fixture.registered("alice@example.com").await, fixture.administrator().await);
        let token = fixture.lost_password("alice@example.com").await.unwrap();
        fixture.service.set_status(admin, user.id(), Status::Disabled).await.unwrap();
        let refused = fixture.recover(token.presented(), OTHER).await;
        assert!(matches!(refused, Err(UserError::TokenInvalid)));
        assert!(fixture.lost_password("alice@example.com").await.is_none());
    }
}
