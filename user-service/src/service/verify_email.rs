//! Use cases: somebody proves that mail to an account's address reaches them.

use chassis::opaque::OpaqueToken;
use chassis::throttle::Meter;
use tracing::instrument;

use super::UserService;
use crate::model::{Purpose, UserError, UserId};
use crate::repository::Issue;

impl UserService {
    /// Sends the owner a token that proves the address. Nothing is sent when that is proven.
    #[instrument(name = "user.request_email_verification", skip_all, fields(user.id = %id))]
    pub async fn request_email_verification(&self, id: UserId) -> Result<(), UserError> {
        let user = self.get(id).await?;
        user.check_active()?;
        if user.email_verified_at().is_some() {
            return Ok(());
        }
        let rule = self.grants.verification;
        let meter = Meter { key: format!("verification:{id}"), rule, member: None };
        let ticket = self.count_request(&meter).await?;
        let issued = self.make_token(&user, Purpose::VerifyEmail)?;
        match self.mail.tokens.issue(&issued, self.grants.live_max, None).await {
            Ok(Issue::TooMany) => Err(UserError::MailThrottled { retry_after: rule.pause_max }),
            Ok(Issue::Done | Issue::Answered) => Ok(()),
            Err(error) => {
                self.throttle.take_back(&meter, &ticket).await;
                Err(error)
            }
        }
    }

    /// Takes the address of the token's account for proven.
    #[instrument(name = "user.verify_email", skip_all)]
    pub async fn verify_email(&self, presented: Option<OpaqueToken>) -> Result<(), UserError> {
        let token = self.find_token(presented.as_ref(), Purpose::VerifyEmail).await?;
        let now = self.clock.now();
        let user = self
            .change(token.user_id, |current| current.verify_email(&token, now).map(Some))
            .await?;
        tracing::debug!(user.id = %user.id(), "address verified");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::testing::Fixture;
    use super::*;
    use crate::model::Status;

    #[tokio::test]
    async fn whoever_registers_is_sent_a_token_that_proves_the_address() {
        let fixture = Fixture::new();
        let user = fixture.registered("Alice@example.com").await;
        assert_eq!(user.email_verified_at(), None);
        let mailed = fixture.last_mailed();
        assert_eq!(
            (mailed.purpose, mailed.address.as_str()),
            (Purpose::VerifyEmail, "Alice@example.com")
        );
        fixture.service.verify_email(mailed.presented()).await.unwrap();
        assert!(fixture.service.get(user.id()).await.unwrap().email_verified_at().is_some());
    }

    #[tokio::test]
    async fn a_token_is_good_once() {
        let fixture = Fixture::new();
        fixture.registered("alice@example.com").await;
        let token = fixture.last_mailed();
        fixture.service.verify_email(token.presented()).await.unwrap();
        let again = fixture.service.verify_email(token.presented()).await;
        assert!(matches!(again, Err(UserError::TokenInvalid)));
    }

    #[tokio::test]
    async fn of_two_who_use_a_token_at_once_one_does() {
        let fixture = Fixture::new();
        fixture.registered("alice@example.com").await;
        let token = fixture.last_mailed();
        let both = [(); 2].map(|()| fixture.service.verify_email(token.presented()));
        let outcomes = futures::future::join_all(both).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    }

    #[tokio::test]
    async fn a_token_is_good_for_its_time_and_its_purpose() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        let token = fixture.last_mailed();
        let misused = fixture.recover(token.presented(), "another good one").await;
        assert!(matches!(misused, Err(UserError::TokenInvalid)));
        fixture.clock.advance(TimeDelta::hours(24));
        let late = fixture.service.verify_email(token.presented()).await;
        assert!(matches!(late, Err(UserError::TokenInvalid)));
        let unknown = OpaqueToken::generate().ok();
        for nothing in [None, unknown] {
            let refused = fixture.service.verify_email(nothing).await;
            assert!(matches!(refused, Err(UserError::TokenInvalid)));
        }
        assert_eq!(fixture.service.get(user.id()).await.unwrap().email_verified_at(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn mail_is_asked_for_so_often_and_not_when_there_is_nothing_to_prove() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        for _ in 0..3 {
            fixture.service.request_email_verification(user.id()).await.unwrap();
        }
        let refused = fixture.service.request_email_verification(user.id()).await;
        let Err(UserError::MailThrottled { retry_after }) = refused else { panic!("{refused:?}") };
        tokio::time::advance(retry_after).await;
        fixture.service.request_email_verification(user.id()).await.unwrap();
        let token = fixture.last_mailed();
        fixture.service.verify_email(token.presented()).await.unwrap();
        let before = fixture.mailed().len();
        fixture.service.request_email_verification(user.id()).await.unwrap();
        assert_eq!(fixture.mailed().len(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_tokens_are_good_at_once_however_patient_one_is() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        let mut refusals = 0;
        for _ in 0..10 {
            tokio::time::advance(std::time::Duration::from_hours(2)).await;
            let asked = fixture.service.request_email_verification(user.id()).await;
            refusals += usize::from(matches!(asked, Err(UserError::MailThrottled { .. })));
        }
        assert_eq!((fixture.mailed().len(), refusals), (5, 6), "one was sent at registration");
    }

    #[tokio::test]
    async fn a_disabled_account_proves_nothing() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        let token = fixture.last_mailed();
        let admin = fixture.administrator().await;
        fixture.service.set_status(admin, user.id(), Status::Disabled).await.unwrap();
        let refused = fixture.service.verify_email(token.presented()).await;
        assert!(matches!(refused, Err(UserError::AccountDisabled)));
        let refused = fixture.service.request_email_verification(user.id()).await;
        assert!(matches!(refused, Err(UserError::AccountDisabled)));
    }
}
