//! Use case: the first administrator, who cannot be made by another one.

use tracing::instrument;

use super::{Register, UserService};
use crate::model::{DisplayName, Email, Locale, NewPassword, Roles, UserError};

/// The first administrator, as configured.
#[derive(Clone, Debug)]
pub struct FirstAdmin {
    /// The address to log in with.
    pub email: Email,
    /// The password; meant to be changed after the first login.
    pub password: NewPassword,
}

/// What became of the first administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bootstrapped {
    /// The account was made.
    Created,
    /// An account with this address was there already; it was not touched.
    Existed,
}

impl UserService {
    /// Makes the first administrator unless an account with this address exists. Any number of
    /// replicas may do this at once: one of them makes the account.
    #[instrument(name = "user.bootstrap", skip_all)]
    pub async fn bootstrap(&self, admin: FirstAdmin) -> Result<Bootstrapped, UserError> {
        // Asked first: a password that was good enough when the account was made, and is long changed,
        // must not stop a start when more is asked of passwords.
        if self.users.find_by_email(&admin.email).await?.is_some() {
            return Ok(Bootstrapped::Existed);
        }
        let display_name = DisplayName::parse("Administrator").map_err(UserError::internal)?;
        let command = Register {
            email: admin.email,
            password: admin.password,
            display_name,
            locale: Locale::En,
        };
        match self.create(command, Roles::administrator()).await {
            Ok(_) => Ok(Bootstrapped::Created),
            Err(UserError::AccountExists) => Ok(Bootstrapped::Existed),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, PASSWORD, typed};
    use super::*;

    fn admin() -> FirstAdmin {
        FirstAdmin {
            email: Email::parse("admin@example.com").unwrap(),
            password: NewPassword::parse(PASSWORD).unwrap(),
        }
    }

    #[tokio::test]
    async fn the_first_administrator_is_made_once() {
        let fixture = Fixture::new();
        assert_eq!(fixture.service.bootstrap(admin()).await.unwrap(), Bootstrapped::Created);
        assert_eq!(fixture.service.bootstrap(admin()).await.unwrap(), Bootstrapped::Existed);
        let user =
            fixture.service.verify_credentials(Some(admin().email), Some(typed(PASSWORD))).await;
        assert!(user.unwrap().is_active_admin());
        assert_eq!(fixture.event_names(), ["user.registered"]);
    }

    #[tokio::test]
    async fn the_first_administrator_too_needs_a_good_password() {
        let weak = FirstAdmin { password: NewPassword::parse("admin123").unwrap(), ..admin() };
        let refused = Fixture::new().service.bootstrap(weak).await;
        assert!(matches!(refused, Err(UserError::PasswordWeak { .. })));
    }

    #[tokio::test]
    async fn a_configured_password_that_has_become_weak_stops_no_start() {
        let fixture = Fixture::new();
        fixture.service.bootstrap(admin()).await.unwrap();
        let weak = FirstAdmin { password: NewPassword::parse("admin123").unwrap(), ..admin() };
        assert_eq!(fixture.service.bootstrap(weak).await.unwrap(), Bootstrapped::Existed);
    }
}
