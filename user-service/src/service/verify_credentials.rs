//! Use case: auth-service asks whether an e-mail address and a password belong together.

use tracing::instrument;

use super::UserService;
use crate::hasher::Verdict;
use crate::model::{Email, TypedPassword, User, UserError};

impl UserService {
    /// Returns the account that the credentials belong to.
    ///
    /// Without an account the password is checked all the same, so that neither the answer nor
    /// its time tells whether there is one. That an account is disabled is told to its owner only.
    /// What cannot be an address or a password belongs to nobody.
    #[instrument(name = "user.verify_credentials", skip_all)]
    pub async fn verify_credentials(
        &self,
        email: Option<Email>,
        password: Option<TypedPassword>,
    ) -> Result<User, UserError> {
        let password = password.ok_or(UserError::CredentialsInvalid)?;
        let user = match &email {
            Some(email) => self.users.find_by_email(email).await?,
            None => None,
        };
        let hash = user.as_ref().map(User::password_hash);
        let verdict = self.hasher.verify(&password, hash).await?;
        let user = user.filter(|_| verdict.is_right()).ok_or(UserError::CredentialsInvalid)?;
        user.check_active()?;
        if let (Verdict::RightButOutdated, Some(renewals)) = (verdict, &self.renewals) {
            renewals.ask(&user, password);
        }
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, PASSWORD, typed};
    use super::*;
    use crate::model::Status;

    fn email(text: &str) -> Email {
        Email::parse(text).unwrap()
    }

    #[tokio::test]
    async fn any_spelling_of_the_address_finds_the_account() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        let found = fixture
            .service
            .verify_credentials(Some(email("ALICE@Example.com")), Some(typed(PASSWORD)));
        assert_eq!(found.await.unwrap(), user);
    }

    #[tokio::test]
    async fn an_unknown_address_and_a_wrong_password_cost_and_say_the_same() {
        let fixture = Fixture::new();
        fixture.registered("alice@example.com").await;
        for (n, address) in [Some(email("alice@example.com")), Some(email("bob@example.com")), None]
            .into_iter()
            .enumerate()
        {
            let refused =
                fixture.service.verify_credentials(address, Some(typed("wrong password"))).await;
            assert!(matches!(refused, Err(UserError::CredentialsInvalid)));
            assert_eq!(fixture.hasher.checks(), n + 1);
        }
    }

    #[tokio::test]
    async fn only_the_right_password_learns_that_an_account_is_disabled() {
        let fixture = Fixture::new();
        let user = fixture.registered("alice@example.com").await;
        let admin = fixture.administrator().await;
        fixture.service.set_status(admin, user.id(), Status::Disabled).await.unwrap();
        let service = &fixture.service;
        let wrong = service
            .verify_credentials(Some(email("alice@example.com")), Some(typed("wrong password")));
        assert!(matches!(wrong.await, Err(UserError::CredentialsInvalid)));
        let right =
            service.verify_credentials(Some(email("alice@example.com")), Some(typed(PASSWORD)));
        assert!(matches!(right.await, Err(UserError::AccountDisabled)));
    }
}
