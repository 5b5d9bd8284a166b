//! Use case: what nobody can use any more is forgotten.

use tracing::instrument;

use super::UserService;
use crate::model::UserError;

impl UserService {
    /// Forgets up to `at_once` tokens that are over, and requests that nobody could answer in the time
    /// in which their token would have been good. Returns whether there may be more.
    #[instrument(name = "user.forget_tokens", skip_all)]
    pub async fn forget_tokens(&self, at_once: u32) -> Result<bool, UserError> {
        let now = self.clock.now();
        let oldest_request = now - self.grants.recovery_life;
        let forgotten = self.mail.tokens.forget(now, oldest_request, at_once).await?;
        Ok(forgotten >= u64::from(at_once))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::testing::Fixture;
    use crate::model::Email;

    #[tokio::test]
    async fn what_is_over_is_forgotten_and_nothing_else() {
        let fixture = Fixture::new();
        fixture.registered("alice@example.com").await;
        let email = Email::to_find("bob@example.com").unwrap();
        fixture.service.request_password_recovery(email).await.unwrap();
        assert!(!fixture.service.forget_tokens(1).await.unwrap());
        fixture.clock.advance(TimeDelta::hours(24));
        assert!(fixture.service.forget_tokens(1).await.unwrap());
        assert!(!fixture.service.forget_tokens(1).await.unwrap());
        assert!(!fixture.service.answer_recovery_requests(1).await.unwrap());
    }
}
