//! Quotas: how often a caller may ask.
//!
//! Each caller has a budget per class of routes: so many requests in any stretch of time as long as
//! the window, wherever it begins. Requests are counted in [`SPANS`] spans per window, and a span
//! counts until all of it lies further back than the window, so that a request is never forgotten
//! early, and at most one span late.
//!
//! All gateways count together in Redis ([`PermitStore`]), and take permits from there in leases,
//! so that most requests cost no call. A lease is good for the rest of the span that it is counted
//! in, and what is left of it is given back with the next one; so leases do not exceed the budget
//! either, whatever their size and however many gateways there are.
//!
//! Each process also counts what it lets through itself, and never exceeds the budget by its own
//! count, whatever Redis says. So when Redis does not answer the process goes on from there, and a
//! Redis that comes back without its memory gives nobody a second budget: in any window two gateways
//! together let at most twice the budget through, and `n` of them `n` times.

mod decisions;
mod lease;
mod local;
pub mod redis;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use uuid::Uuid;

use self::decisions::Counted;
use crate::config::{QuotaConfig, RateLimitConfig};

/// Spans that a window is counted in: permits come back in as many portions at most.
pub const SPANS: u64 = 20;

/// Classes of routes; each has its own budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Everything that has no class of its own.
    Default,
    /// Attempts to log in, to change a password, or to use a link that was sent.
    Login,
    /// Exchanges of refresh tokens.
    Refresh,
    /// New accounts.
    Register,
    /// What has an e-mail sent.
    Mail,
    /// Orders and payments.
    Payment,
    /// What says that it comes from the payment provider.
    Callback,
    /// The documentation: few requests, and long answers.
    Docs,
    /// Everything that comes from one address, whoever asks for it.
    Address,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 9] = [
        Self::Default,
        Self::Login,
        Self::Refresh,
        Self::Register,
        Self::Mail,
        Self::Payment,
        Self::Callback,
        Self::Docs,
        Self::Address,
    ];

    /// The name in headers, keys and the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Login => "login",
            Self::Refresh => "refresh",
            Self::Register => "register",
            Self::Mail => "mail",
            Self::Payment => "payment",
            Self::Callback => "callback",
            Self::Docs => "docs",
            Self::Address => "address",
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

    /// Length of a span in microseconds.
    pub fn span_us(&self) -> u64 {
        u64::from(self.window_s) * 1_000_000 / SPANS
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

impl Decision {
    /// Both decisions in one, of which the stricter counts.
    fn and(self, other: Self) -> Self {
        Self {
            is_allowed: self.is_allowed && other.is_allowed,
            remaining: self.remaining.min(other.remaining),
            reset: self.reset.max(other.reset),
            retry_after: self.retry_after.max(other.retry_after),
        }
    }
}

/// Permits that were granted and not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unused {
    /// The span that they are counted in.
    pub span: u64,
    /// How many; at least 1.
    pub permits: u32,
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
    /// The span that the permits are counted in, as the store numbers them.
    pub span: u64,
    /// Time until this span ends, and the permits with it.
    pub valid_for: Duration,
}

/// The store has no answer.
#[derive(Debug, thiserror::Error)]
#[error("the store of quotas did not answer")]
pub struct StoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where all gateways count together.
#[async_trait]
pub trait PermitStore: Send + Sync {
    /// Takes up to `quota.lease` permits from a budget, after giving back what is left of an earlier
    /// grant. Answers within a bounded time.
    async fn take(
        &self,
        key: &Key,
        quota: &Quota,
        unused: Option<Unused>,
    ) -> Result<Grant, StoreError>;
}

/// Decides about requests.
pub struct Limiter {
    default: Quota,
    login: Quota,
    refresh: Quota,
    register: Quota,
    mail: Quota,
    payment: Quota,
    callback: Quota,
    docs: Quota,
    address: Quota,
    local: local::LocalBudgets,
    shared: Option<lease::SharedBudgets>,
    decisions: decisions::Decisions,
}

impl Limiter {
    /// Creates a limiter that counts in `store`, or in the process alone without one.
    pub fn new(config: &RateLimitConfig, store: Option<Arc<dyn PermitStore>>) -> Self {
        let quotas = [
            &config.default,
            &config.login,
            &config.refresh,
            &config.register,
            &config.mail,
            &config.payment,
            &config.callback,
            &config.docs,
            &config.address,
        ];
        let [default, login, refresh, register, mail, payment, callback, docs, address] =
            quotas.map(Quota::new);
        let longest = quotas.map(|quota| quota.window_s.get()).into_iter().max().unwrap_or(1);
        // A window, and the span that is forgotten late.
        let idle = Duration::from_secs(u64::from(longest)).mul_f64(1.1);
        let pause = Duration::from_millis(config.redis_pause_ms);
        Self {
            default,
            login,
            refresh,
            register,
            mail,
            payment,
            callback,
            docs,
            address,
            local: local::LocalBudgets::new(config.key_capacity, idle),
            shared: store
                .map(|store| lease::SharedBudgets::new(store, config.key_capacity, idle, pause)),
            decisions: decisions::Decisions::new(),
        }
    }

    /// The quota of a class.
    pub fn quota(&self, class: Class) -> &Quota {
        match class {
            Class::Default => &self.default,
            Class::Login => &self.login,
            Class::Refresh => &self.refresh,
            Class::Register => &self.register,
            Class::Mail => &self.mail,
            Class::Payment => &self.payment,
            Class::Callback => &self.callback,
            Class::Docs => &self.docs,
            Class::Address => &self.address,
        }
    }

    /// Takes one request from the budget of `key`.
    pub async fn take(&self, key: Key) -> Decision {
        let quota = self.quota(key.class);
        if let Some(shared) = &self.shared
            && let Some(decision) = shared.take(key, quota, &self.local).await
        {
            self.decisions.note(key.class, decision.is_allowed, Counted::Together);
            return decision;
        }
        let decision = self.local.take(key, quota, Instant::now());
        self.decisions.note(key.class, decision.is_allowed, Counted::Alone);
        decision
    }
}
