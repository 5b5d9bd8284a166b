//! Use case: someone registers an account.

use tracing::instrument;

use super::UserService;
use crate::model::{
    DisplayName, Email, Locale, NewPassword, Purpose, Registration, Roles, User, UserError,
};

/// What someone registers with.
#[derive(Clone, Debug)]
pub struct Register {
    /// The address to log in with.
    pub email: Email,
    /// The chosen password.
    pub password: NewPassword,
    /// The name to appear under.
    pub display_name: DisplayName,
    /// The language to be addressed in.
    pub locale: Locale,
}

impl UserService {
    /// Registers an account with the role `customer`, and has its address proven.
    #[instrument(name = "user.register", skip_all)]
    pub async fn register(&self, command: Register) -> Result<User, UserError> {
        let user = self.create(command, Roles::customer()).await?;
        tracing::debug!(user.id = %user.id(), "user registered");
        Ok(user)
    }

    pub(super) async fn create(&self, command: Register, roles: Roles) -> Result<User, UserError> {
        let (score_min, password) = (self.policy.score_min, &command.password);
        if let Some(weakness) = password.weakness(&command.email, &command.display_name, score_min)
        {
            return Err(UserError::PasswordWeak { field: "password", weakness });
        }
        let _turn = self.turns.take(&command.email).await;
        // Asked before hashing, because hashing is what costs; the unique key has the last word.
        if self.users.find_by_email(&command.email).await?.is_some() {
            return Err(UserError::AccountExists);
        }
        let password_hash = self.hasher.hash(command.password.as_typed()).await?;
        let registration = Registration {
            email: command.email,
            display_name: command.display_name,
            locale: command.locale,
            roles,
            password_hash,
        };
        let change = User::register(registration, self.clock.now());
        let issued = self.make_token(&change.user, Purpose::VerifyEmail)?;
        let change = change.issuing(issued);
        self.users.insert(&change).await?;
        Ok(change.user)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, register};
    use super::*;

    #[tokio::test]
    async fn a_registered_account_is_kept_and_announced() {
        let fixture = Fixture::new();
        let user = fixture.service.register(register("alice@example.com")).await.unwrap();
        assert_eq!(user.roles(), &Roles::customer());
        assert_eq!(fixture.event_names(), ["user.registered"]);
        assert_eq!(fixture.service.get(user.id()).await.unwrap(), user);
    }

    #[tokio::test]
    async fn an_address_in_another_spelling_is_taken() {
        let fixture = Fixture::new();
        fixture.service.register(register("alice@example.com")).await.unwrap();
        let again = fixture.service.register(register("ALICE@EXAMPLE.COM")).await;
        assert!(matches!(again, Err(UserError::AccountExists)));
        assert_eq!(fixture.event_names(), ["user.registered"]);
    }

    #[tokio::test]
    async fn a_guessable_password_is_refused_before_anything_is_kept() {
        let fixture = Fixture::new();
        for password in ["Password123", "alice@example.com", "ALICE LIDDELL"] {
            let password = NewPassword::parse(password).unwrap();
            let command = Register { password, ..register("alice@example.com") };
            let refused = fixture.service.register(command).await;
            assert!(matches!(refused, Err(UserError::PasswordWeak { field: "password", .. })));
        }
        assert!(fixture.event_names().is_empty());
    }

    #[test]
    fn a_command_does_not_print_what_is_personal() {
        let printed = format!("{:?}", register("alice@example.com"));
        assert!(!printed.contains("alice@") && !printed.contains("battery"), "{printed}");
    }
}
