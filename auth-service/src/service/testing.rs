//! The use cases over memory adapters.

use std::sync::Arc;
use std::time::Duration;

use chassis::auth::Verifier;
use chassis::config::{Secret, TokenConfig};
use chassis::doorbell::Doorbell;
use chassis::testing::clock::FixedClock;
use chassis::throttle::{Rule, Throttle};
use chrono::TimeDelta;

use super::{AuthService, LogIn, LoginThrottle, Patience, Refresh, TokenPair};
use crate::client::MemoryAccounts;
use crate::model::{
    Client, Credentials, Lifetimes, Revocation, SessionError, SessionEvent, UserId,
};
use crate::repository::{
    Fault, MemoryDeviceRepository, MemoryKeyRepository, MemorySessionRepository, SessionRepository,
};
use crate::token::{AccessTokens, KeyRing, KeyRingSource, KeySealer, RotationPlan};

/// The password of the account that [`Fixture::logged_in`] makes.
pub(super) const PASSWORD: &str = "correct horse battery";

/// Known devices of an account, as shipped.
pub(super) const DEVICES_MAX: u32 = 20;

pub(super) struct Fixture {
    pub(super) service: AuthService,
    pub(super) accounts: Arc<MemoryAccounts>,
    /// The clock of the replica.
    pub(super) clock: Arc<FixedClock>,
    /// The clock of the storage, which replicas share.
    pub(super) storage_clock: Arc<FixedClock>,
    pub(super) verifier: Verifier,
    sessions: Arc<MemorySessionRepository>,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        let [clock, storage_clock] = [(); 2].map(|()| Arc::new(FixedClock::default()));
        let sealer = Arc::new(KeySealer::new(&[Secret::new("the one key")]).unwrap());
        let keys = Arc::new(MemoryKeyRepository::default());
        let ring = Arc::new(KeyRing::open(keys, sealer, clock.clone()).await.unwrap());
        let config = TokenConfig::default();
        let source = Arc::new(KeyRingSource::new(ring.clone()));
        let accounts = Arc::new(MemoryAccounts::default());
        let sessions = Arc::new(MemorySessionRepository::new(storage_clock.clone()));
        let service = AuthService {
            sessions: sessions.clone(),
            revocations: sessions.clone(),
            accounts: accounts.clone(),
            throttle: Arc::new(throttle()),
            access_tokens: AccessTokens::new(ring.clone(), &config, 900),
            keys: ring,
            rotation: RotationPlan {
                every: None,
                publish_before: TimeDelta::minutes(10),
                publish_after: TimeDelta::minutes(21),
                pace: std::time::Duration::from_secs(5),
            },
            per_user_max: 5,
            keep_revocations_s: 1_260,
            bell: Doorbell::new(),
            key_bell: Doorbell::new(),
            lifetimes: Lifetimes {
                absolute: TimeDelta::days(30),
                idle: TimeDelta::days(7),
                retry_grace: TimeDelta::seconds(10),
            },
            clock: clock.clone(),
        };
        let verifier = Verifier::new(&config, source, clock.clone());
        Self { service, accounts, clock, storage_clock, verifier, sessions }
    }

    pub(super) async fn login(
        &self,
        email: &str,
        password: &str,
    ) -> Result<TokenPair, SessionError> {
        self.service.login(command(email, password)).await
    }

    pub(super) async fn logged_in(&self) -> (UserId, TokenPair) {
        let alice = self.accounts.add("alice@example.com", PASSWORD);
        (alice, self.login("alice@example.com", PASSWORD).await.unwrap())
    }

    pub(super) async fn refresh(&self, pair: &TokenPair) -> Result<TokenPair, SessionError> {
        let token = Some(pair.refresh_token.clone());
        self.service.refresh(Refresh { token, companion: None }).await
    }

    /// Lets so much time pass, on the paused clock of the runtime, that what is known of the keys is
    /// too old to sign with.
    pub(super) async fn forget_the_keys(&self) {
        tokio::time::advance(std::time::Duration::from_secs(121)).await;
    }

    pub(super) async fn look_at_the_keys(&self) {
        self.service.keys.tend(&self.service.rotation).await.unwrap();
    }

    /// Everything that verifiers are told.
    pub(super) async fn feed(&self) -> Vec<Revocation> {
        let page = self.service.list_revocations("").await.unwrap();
        page.entries.into_iter().map(|(entry, _)| entry).collect()
    }

    /// Lets the storage fail so, or not any more.
    pub(super) fn break_storage(&self, fault: Option<Fault>) {
        self.sessions.set_fault(fault);
    }

    pub(super) fn sessions_port(&self) -> &dyn SessionRepository {
        &*self.sessions
    }

    pub(super) fn event_names(&self) -> Vec<&'static str> {
        self.sessions.events().iter().map(SessionEvent::name).collect()
    }
}

pub(super) fn command(email: &str, password: &str) -> LogIn {
    LogIn {
        credentials: Credentials { email: Secret::new(email), password: Secret::new(password) },
        client: Client::default(),
    }
}

/// The same from a client with an address.
pub(super) fn from(email: &str, password: &str, address: &str) -> LogIn {
    let client = Client { user_agent: "a browser".to_owned(), address: address.to_owned() };
    LogIn { client, ..command(email, password) }
}

/// Counts in memory, with the shipped numbers of free attempts.
fn throttle() -> LoginThrottle {
    throttle_over(Arc::new(MemoryDeviceRepository::default()), &["the one key"])
}

/// The same over these devices, with keys of which the first one names them.
pub(super) fn throttle_over(
    devices: Arc<MemoryDeviceRepository>,
    secrets: &[&str],
) -> LoginThrottle {
    let rule = |free| Rule {
        free,
        pause: Duration::from_secs(1),
        pause_max: Duration::from_hours(1),
        forget: Duration::from_hours(1),
    };
    let patience = Patience {
        account: rule(5),
        address: rule(100),
        spraying: rule(20),
        device: rule(5),
        devices_max: DEVICES_MAX,
        device_life: TimeDelta::days(90),
    };
    let throttle = Throttle::new(None, 10_000, Duration::from_secs(1));
    let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
    LoginThrottle::new(throttle, devices, patience, &secrets).unwrap()
}
