//! Quotas: how often a caller may ask.
//!
//! Each caller has a budget per class of routes, counted by the generic cell rate algorithm: the
//! whole budget at once, refilled evenly over the window. All gateways count together in Redis
//! ([`PermitStore`]), and take permits from there in leases, so that most requests cost no call.
//!
//! Without an answer from Redis each process counts alone. In the window in which Redis fails, a
//! caller can therefore get at most twice its budget from one process: what Redis granted before,
//! and the local budget after. Overshoot of leases: less than one lease per process.

mod breaker;
mod lease;
mod local;
pub mod redis;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use uuid::Uuid;

use crate::config::{QuotaConfig, RateLimitConfig};

/// Classes of routes; each has its own budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Everything that has no class of its own.
    Default,
    /// Attempts to log in or to change a password.
    Login,
    /// New accounts.
    Register,
    /// Orders and payments.
    Payment,
}

impl Class {
    /// The name in headers, keys and the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Login => "login",
            Self::Register => "register",
            Self::Payment => "payment",
        }
    }
}

/// Whose budget it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A user, wherever the requests come from.
    User(Uuid),
    /// An address, for callers that are not known. An IPv6 address stands for its /64, which is
    /// what one subscriber gets.
    Address(IpAddr),
}

/// A budget's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The class of routes.
    pub class: Class,
    /// Whose budget it is.
    pub subject: Subject,
}

/// A class's quota, in the units of the algorithm.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Requests per window.
    pub requests: u32,
    /// Length of the window in seconds.
    pub window_s: u32,
    /// Permits taken from the store at once.
    pub lease: u32,
}

impl Quota {
    fn new(config: &QuotaConfig) -> Self {
        Self {
            requests: config.requests.get(),
            window_s: config.window_s.get(),
            lease: config.lease.get().min(config.requests.get()),
        }
    }

    /// Microseconds in which one permit comes back.
    pub fn interval_us(&self) -> u64 {
        (u64::from(self.window_s) * 1_000_000 / u64::from(self.requests)).max(1)
    }

    /// Microseconds in which the whole budget comes back.
    pub fn horizon_us(&self) -> u64 {
        self.interval_us() * u64::from(self.requests)
    }

    /// Length of the window.
    pub fn window(&self) -> Duration {
        Duration::from_secs(u64::from(self.window_s))
    }
}

/// What is said about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is within the budget.
    pub is_allowed: bool,
    /// Requests that the budget still has.
    pub remaining: u32,
    /// Time until the budget is whole again.
    pub reset: Duration,
    /// Time until the next request can be allowed; zero when this one was.
    pub retry_after: Duration,
}

/// What a store granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Permits granted: none, some or all of those wanted.
    pub granted: u32,
    /// Permits that the budget still has.
    pub remaining: u32,
    /// Time until the budget is whole again.
    pub reset: Duration,
    /// Time until one permit is there, when none was granted.
    pub retry_after: Duration,
}

/// The store has no answer.
#[derive(Debug, thiserror::Error)]
#[error("the store of quotas did not answer")]
pub struct StoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where all gateways count together.
#[async_trait]
pub trait PermitStore: Send + Sync {
    /// Takes up to `wanted` permits from a budget. Answers within a bounded time.
    async fn take(&self, key: &Key, quota: &Quota, wanted: u32) -> Result<Grant, StoreError>;
}

/// Decides about requests.
pub struct Limiter {
    default: Quota,
    login: Quota,
    register: Quota,
    payment: Quota,
    local: local::LocalBudgets,
    shared: Option<lease::SharedBudgets>,
}

impl Limiter {
    /// Creates a limiter that counts in `store`, or in the process alone without one.
    pub fn new(config: &RateLimitConfig, store: Option<Arc<dyn PermitStore>>) -> Self {
        let quotas = [&config.default, &config.login, &config.register, &config.payment];
        let [default, login, register, payment] = quotas.map(Quota::new);
        let longest = quotas.map(|quota| quota.window_s.get()).into_iter().max().unwrap_or(1);
        let idle = Duration::from_secs(u64::from(longest));
        let pause = Duration::from_millis(config.redis_pause_ms);
        Self {
            default,
            login,
            register,
            payment,
            local: local::LocalBudgets::new(config.key_capacity, idle),
            shared: store
                .map(|store| lease::SharedBudgets::new(store, config.key_capacity, idle, pause)),
        }
    }

    /// The quota of a class.
    pub fn quota(&self, class: Class) -> &Quota {
        match class {
            Class::Default => &self.default,
            Class::Login => &self.login,
            Class::Register => &self.register,
            Class::Payment => &self.payment,
        }
    }

    /// Takes one request from the budget of `key`.
    pub async fn take(&self, key: Key) -> Decision {
        let quota = self.quota(key.class);
        if let Some(shared) = &self.shared
            && let Some(decision) = shared.take(key, quota).await
        {
            return decision;
        }
        self.local.take(key, quota, Instant::now())
    }
}
