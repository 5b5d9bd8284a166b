//! The use cases over memory adapters.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::config::Secret;
use chassis::opaque::OpaqueToken;
use chassis::sealing::{Sealer, Tagger, Use};
use chassis::testing::clock::FixedClock;
use chassis::throttle::{Rule, Throttle};
use chrono::TimeDelta;
use serde_json::Value;

use super::{
    ChangePassword, FirstAdmin, PasswordPolicy, Ports, RecoverPassword, Register, TokenPolicy,
    TokenPorts, UserService,
};
use crate::hasher::PlainHasher;
use crate::model::{
    DisplayName, Email, IssuedToken, Locale, NewPassword, Purpose, TypedPassword, User, UserError,
    UserEvent, UserId,
};
use crate::repository::{MemoryUserRepository, UserRepository as _};

/// The password of every account that [`register`] asks for.
pub(super) const PASSWORD: &str = "correct horse battery";

pub(super) struct Fixture {
    pub(super) service: UserService,
    pub(super) users: Arc<MemoryUserRepository>,
    pub(super) hasher: Arc<PlainHasher>,
    pub(super) clock: Arc<FixedClock>,
    sealer: Arc<Sealer>,
}

/// What somebody receives by mail.
#[derive(Clone, Debug)]
pub(super) struct Mailed {
    pub(super) purpose: Purpose,
    pub(super) address: String,
    token: String,
}

impl Mailed {
    pub(super) fn presented(&self) -> Option<OpaqueToken> {
        OpaqueToken::parse(&self.token)
    }
}

impl Fixture {
    pub(super) fn new() -> Self {
        let users = Arc::new(MemoryUserRepository::default());
        let hasher = Arc::new(PlainHasher::default());
        let clock = Arc::new(FixedClock::default());
        let throttle = Throttle::new(None, 1_000, Duration::from_secs(1));
        let (sealer, mail) = mail(&users);
        let (users_port, hasher_port, time) = (users.clone(), hasher.clone(), clock.clone());
        let ports = Ports { users: users_port, hasher: hasher_port, clock: time, throttle, mail };
        let service = UserService::new(ports, policy(), grants());
        Self { service, users, hasher, clock, sealer }
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

    /// Everything that was sent, in order.
    pub(super) fn mailed(&self) -> Vec<Mailed> {
        self.users.issued().iter().map(|issued| self.open(issued)).collect()
    }

    pub(super) fn last_mailed(&self) -> Mailed {
        self.mailed().pop().unwrap()
    }

    fn open(&self, issued: &IssuedToken) -> Mailed {
        let purpose = issued.token.purpose;
        let name = format!("{}:{}:1", purpose.event(), issued.token.id);
        let sealed = URL_SAFE_NO_PAD.decode(&issued.sealed).unwrap();
        let plain = self.sealer.open(&name, &sealed).unwrap();
        let told: Value = serde_json::from_slice(&plain).unwrap();
        let text = |member: &str| told[member].as_str().unwrap().to_owned();
        Mailed { purpose, address: text("address"), token: text("token") }
    }

    /// Asks for another password and lets all requests be answered; what is sent, if anything is.
    pub(super) async fn lost_password(&self, email: &str) -> Option<Mailed> {
        let before = self.mailed().len();
        let email = Email::to_find(email).unwrap();
        self.service.request_password_recovery(email).await.unwrap();
        while self.service.answer_recovery_requests(10).await.unwrap() {}
        self.mailed().into_iter().nth(before)
    }

    pub(super) async fn recover(
        &self,
        token: Option<OpaqueToken>,
        new: &str,
    ) -> Result<(), UserError> {
        let new = NewPassword::parse(new).unwrap();
        self.service.recover_password(RecoverPassword { token, new }).await
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

fn mail(users: &Arc<MemoryUserRepository>) -> (Arc<Sealer>, TokenPorts) {
    let (key, of) = (Secret::new("a key of the tests"), Use { salt: b"test", purpose: b"mail" });
    let sealer = Arc::new(Sealer::new(&key, of).unwrap());
    let tagger = Arc::new(Tagger::new(&key, of).unwrap());
    (sealer.clone(), TokenPorts { tokens: users.clone(), sealer, tagger })
}

/// The shipped policy, with less patience for requests that wait.
fn grants() -> TokenPolicy {
    let rule = Rule {
        free: 3,
        pause: Duration::from_mins(1),
        pause_max: Duration::from_hours(1),
        forget: Duration::from_hours(1),
    };
    TokenPolicy {
        verification_life: TimeDelta::hours(24),
        recovery_life: TimeDelta::minutes(30),
        live_max: 5,
        waiting_max: 100,
        verification: rule,
        recovery: rule,
    }
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
