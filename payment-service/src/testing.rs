//! What tests start from: the use cases over fakes, and commands with sensible values.

use std::sync::Arc;
use std::time::Duration;

use chassis::clock::Clock;
use chassis::testing::clock::FixedClock;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::client::PaymentProvider;
use crate::client::scripted::{ScriptedProvider, Step};
use crate::model::{
    Account, CallbackKeys, Money, OrderId, Payment, PaymentId, PaymentMethod, Terms, UserId,
};
use crate::repository::Pauses;
use crate::repository::memory::MemoryPaymentRepository;
use crate::service::{
    Actor, CreatePayment, HandleCallback, PaymentService, Policy, ReviewPolicy, UnlessKnown,
};

/// The key that callbacks are signed with in tests.
pub const CALLBACK_KEY: &str = "callback-key-for-tests-0123456789abcdef";

/// The use cases over fakes.
pub struct Bench {
    /// The use cases.
    pub service: PaymentService,
    /// Their storage.
    pub repository: Arc<MemoryPaymentRepository>,
    /// Their provider.
    pub provider: Arc<ScriptedProvider>,
    /// Their clock.
    pub clock: Arc<FixedClock>,
    /// The keys of callbacks.
    pub keys: CallbackKeys,
}

impl Bench {
    /// Payments reconciled in one go.
    pub const BATCH: u32 = 4;
    /// Charges compared in one step.
    pub const PAGE: u32 = 3;

    /// Connects the use cases to a provider that follows `script`.
    pub fn new(script: impl IntoIterator<Item = Step>) -> Self {
        Self::with_policy(script, policy())
    }

    /// Like [`Bench::new`], with reports that end after `report_max` charges and payments.
    pub fn with_report_max(report_max: u64) -> Self {
        let policy = policy();
        let review = ReviewPolicy { report_max, ..policy.review };
        Self::with_policy([], Policy { review, ..policy })
    }

    fn with_policy(script: impl IntoIterator<Item = Step>, policy: Policy) -> Self {
        let repository = Arc::new(MemoryPaymentRepository::new());
        let provider = Arc::new(ScriptedProvider::new(script));
        let clock = Arc::new(FixedClock::default());
        let keys = callback_keys();
        let service = PaymentService::new(
            repository.clone(),
            provider.clone(),
            clock.clone(),
            (keys.clone(), policy),
        );
        Self { service, repository, provider, clock, keys }
    }

    /// The names of the events about a payment, oldest first.
    pub fn event_names(&self, id: PaymentId) -> Vec<&'static str> {
        self.repository.events(id).iter().map(|event| event.kind().as_str()).collect()
    }

    /// What the provider holds for us from a payment, by our ledger.
    pub fn balance(&self, id: PaymentId) -> i64 {
        let postings = self.repository.postings(id);
        let entries = postings.iter().flat_map(|posting| posting.entries().to_vec());
        entries
            .filter(|entry| entry.account == Account::ProviderClearing)
            .map(|entry| entry.amount)
            .sum()
    }

    /// How long callbacks are kept.
    pub fn callback_keep(&self) -> TimeDelta {
        policy().callback_keep
    }

    /// Signs a callback.
    pub fn signed(&self, body: Vec<u8>) -> HandleCallback {
        let signature = self.keys.sign(&body, self.clock.now());
        HandleCallback { body, signature }
    }
}

/// The use cases over another provider and memory, and their clock.
pub fn service_over(provider: Arc<dyn PaymentProvider>) -> (PaymentService, Arc<FixedClock>) {
    let repository = Arc::new(MemoryPaymentRepository::new());
    let clock = Arc::new(FixedClock::default());
    let settings = (callback_keys(), policy());
    (PaymentService::new(repository, provider, clock.clone(), settings), clock)
}

/// The keys made from [`CALLBACK_KEY`].
///
/// # Panics
///
/// Never: the key is long enough.
#[expect(clippy::expect_used, reason = "the key is a constant")]
pub fn callback_keys() -> CallbackKeys {
    CallbackKeys::new([CALLBACK_KEY.as_bytes()]).expect("a long key")
}

/// A policy with the product's default times.
pub fn policy() -> Policy {
    Policy {
        provider_timeout: Duration::from_millis(2_300),
        callback_tolerance: Duration::from_mins(5),
        callback_keep: TimeDelta::days(90),
        pauses: Pauses { first: Duration::from_secs(5), max: Duration::from_mins(1) },
        batch: Bench::BATCH,
        callbacks_max: 100,
        census_max: 10_000,
        review: ReviewPolicy {
            page: Bench::PAGE,
            report_max: 2_000,
            reserve: Duration::from_millis(500),
            examples: 10,
            grace: TimeDelta::minutes(2),
            window: TimeDelta::days(7),
        },
    }
}

/// Terms of a new order of a new user.
///
/// # Panics
///
/// When `method` is not a token.
#[expect(clippy::expect_used, reason = "a test writes proper tokens")]
pub fn terms(method: &str) -> Terms {
    Terms {
        order_id: OrderId::generate(),
        user_id: UserId::generate(),
        amount: Money::parse("amount", 19_900, "CNY").expect("an amount"),
        method: PaymentMethod::parse("method", method).expect("a token"),
    }
}

/// A new attempt to pay a new order.
pub fn create(method: &str) -> CreatePayment {
    let attempt_id = PaymentId::generate();
    let (terms, unless_known) = (terms(method), UnlessKnown::Start);
    CreatePayment { actor: Actor::Service, attempt_id, terms, unless_known }
}

/// The body of a callback about `payment`.
pub fn callback(id: &str, kind: &str, payment: &Payment) -> Value {
    let amount = payment.terms().amount;
    json!({
        "id": id,
        "type": kind,
        "reference": payment.id(),
        "amount": amount.amount(),
        "currency": amount.currency().as_str(),
    })
}
