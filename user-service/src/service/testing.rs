//! The use cases over memory adapters.

use std::sync::Arc;
use std::time::Duration;

use chassis::testing::clock::FixedClock;
use chassis::throttle::{Rule, Throttle};

use super::{ChangePassword, FirstAdmin, PasswordPolicy, Ports, Register, UserService};
use crate::hasher::PlainHasher;
use crate::model::{
    DisplayName, Email, Locale, NewPassword, TypedPassword, User, UserError, UserEvent, UserId,
};
use crate::repository::{MemoryUserRepository, UserRepository as _};

/// The password of every account that [`register`] asks for.
pub(super) const PASSWORD: &str = "correct horse battery";

pub(super) struct Fixture {
    pub(super) service: UserService,
    pub(super) users: Arc<MemoryUserRepository>,
    pub(super) hasher: Arc<PlainHasher>,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let users = Arc::new(MemoryUserRepository::default());
        let hasher = Arc::new(PlainHasher::default());
        let clock = Arc::new(FixedClock::default());
        let throttle = Throttle::new(None, 1_000, Duration::from_secs(1));
        let ports = Ports { users: users.clone(), hasher: hasher.clone(), clock, throttle };
        let service = UserService::new(ports, policy());
        Self { service, users, hasher }
    }

    pub(super) async fn registered(&self, email: &str) -> User {
        self.service.register(register(email)).await.unwrap()
    }

    /// The first administrator, in whose name others are administered.
    pub(super) async fn administrator(&self) -> UserId {
        let email = Email::parse("admin@example.com").unwrap();
        let password = NewPassword::parse(PASSWORD).unwrap();
        self.service.bootstrap(FirstAdmin { email: email.clone(), password }).await.unwrap();
        self.users.find_by_email(&email).await.unwrap().unwrap().id()
    }

    pub(super) async fn change_password(
        &self,
        user_id: UserId,
        current: &str,
        new: &str,
    ) -> Result<(), UserError> {
        let new = NewPassword::parse(new).unwrap();
        let command = ChangePassword { user_id, session: None, current: Some(typed(current)), new };
        self.service.change_password(command).await
    }

    pub(super) fn event_names(&self) -> Vec<&'static str> {
        self.users.events().iter().map(UserEvent::name).collect()
    }
}

/// The shipped policy.
fn policy() -> PasswordPolicy {
    let change = Rule {
        free: 5,
        pause: Duration::from_secs(1),
        pause_max: Duration::from_hours(1),
        forget: Duration::from_hours(1),
    };
    PasswordPolicy { score_min: 2, change }
}

pub(super) fn register(email: &str) -> Register {
    Register {
        email: Email::parse(email).unwrap(),
        password: NewPassword::parse(PASSWORD).unwrap(),
        display_name: DisplayName::parse("Alice Liddell").unwrap(),
        locale: Locale::En,
    }
}

pub(super) fn typed(password: &str) -> TypedPassword {
    TypedPassword::parse(password).unwrap()
}
