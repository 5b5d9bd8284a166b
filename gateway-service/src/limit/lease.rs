//! Budgets shared by all gateways, used through leases.

use std::sync::Arc;
use std::time::Duration;

use chassis::breaker::Breaker;
use chassis::error::Chain;
use moka::policy::EvictionPolicy;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::local::LocalBudgets;
use super::{Decision, Grant, Key, PermitStore, Quota, Unused};

/// What this process holds of one caller's budget.
struct Lease {
    /// Permits taken from the store and not used yet.
    permits: u32,
    /// The span that they are counted in.
    span: u64,
    /// When this span ends, and with it the use of the permits.
    valid_until: Instant,
    /// What the store had left when it last answered.
    remaining: u32,
    /// When the budget is whole again, as the store last said.
    whole_at: Instant,
    /// Until when the store has said no: refusing costs no call either.
    refused_until: Instant,
}

impl Lease {
    fn new(now: Instant) -> Self {
        Self {
            permits: 0,
            span: 0,
            valid_until: now,
            remaining: 0,
            whole_at: now,
            refused_until: now,
        }
    }

    /// Decides without the store, if that is possible.
    fn decide(&mut self, now: Instant) -> Option<Decision> {
        if self.permits > 0 && now < self.valid_until {
            return Some(self.spend(now));
        }
        let retry_after = self.refused_until.saturating_duration_since(now);
        (!retry_after.is_zero()).then(|| self.refuse(now, retry_after))
    }

    fn spend(&mut self, now: Instant) -> Decision {
        self.permits -= 1;
        Decision {
            is_allowed: true,
            remaining: self.permits.saturating_add(self.remaining),
            reset: self.whole_at.saturating_duration_since(now),
            retry_after: Duration::ZERO,
        }
    }

    fn refuse(&self, now: Instant, retry_after: Duration) -> Decision {
        let reset = self.whole_at.saturating_duration_since(now);
        Decision { is_allowed: false, remaining: 0, reset, retry_after }
    }

    /// What is left of a span that is over.
    fn unused(&self) -> Option<Unused> {
        (self.permits > 0).then_some(Unused { span: self.span, permits: self.permits })
    }

    /// Decides by what the store said to a question that was `asked` then.
    fn refill(&mut self, grant: Grant, asked: Instant) -> Decision {
        let now = Instant::now();
        self.permits = grant.granted;
        self.span = grant.span;
        // Counted from the question, so that it is never later than by the clock of the store.
        self.valid_until = asked + grant.valid_for;
        self.remaining = grant.remaining;
        self.whole_at = now + grant.reset;
        if self.permits > 0 {
            // Also at the very end of the span: this request was counted when it was there.
            return self.spend(now);
        }
        // Never zero: a caller that comes back at once would find the same.
        let retry_after = grant.retry_after.max(Duration::from_millis(1));
        self.refused_until = now + retry_after;
        self.refuse(now, retry_after)
    }
}

/// Budgets in a [`PermitStore`].
pub(super) struct SharedBudgets {
    store: Arc<dyn PermitStore>,
    leases: moka::sync::Cache<Key, Arc<Mutex<Lease>>>,
    breaker: Breaker,
}

impl SharedBudgets {
    pub(super) fn new(
        store: Arc<dyn PermitStore>,
        capacity: u64,
        idle: Duration,
        pause: Duration,
    ) -> Self {
        let leases = moka::sync::Cache::builder()
            .max_capacity(capacity)
            .time_to_idle(idle)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { store, leases, breaker: Breaker::new("quotas", pause) }
    }

    /// Takes one request from the budget of `key`, here and in what this process counts `alone`;
    /// `None`, and nothing taken, while the store does not answer.
    pub(super) async fn take(
        &self,
        key: Key,
        quota: &Quota,
        alone: &LocalBudgets,
    ) -> Option<Decision> {
        let lease = self.leases.get_with(key, || Arc::new(Mutex::new(Lease::new(Instant::now()))));
        // Held across the call, so that one request of a caller refills for all of them.
        let mut lease = lease.lock().await;
        let asked = Instant::now();
        let together = if let Some(decision) = lease.decide(asked) {
            decision
        } else {
            let grant = self.ask(&key, quota, lease.unused()).await?;
            lease.refill(grant, asked)
        };
        let now = Instant::now();
        if !together.is_allowed {
            return Some(together.and(alone.look(key, quota, now)));
        }
        let own = alone.take(key, quota, now);
        if !own.is_allowed {
            // Nobody has used it.
            lease.permits += 1;
        }
        Some(together.and(own))
    }

    async fn ask(&self, key: &Key, quota: &Quota, unused: Option<Unused>) -> Option<Grant> {
        if !self.breaker.allows() {
            return None;
        }
        match self.store.take(key, quota, unused).await {
            Ok(grant) => {
                if self.breaker.succeeded() {
                    tracing::info!("quotas are counted together again");
                }
                Some(grant)
            }
            Err(error) => {
                if self.breaker.failed() {
                    tracing::warn!(error = %Chain(&error), "quotas are counted in this process alone");
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use async_trait::async_trait;

    use super::super::{Class, Limiter, StoreError, Subject};
    use super::*;
    use crate::config::RateLimitConfig;

    /// A store with a fixed number of permits that can be made to fail.
    #[derive(Default)]
    struct FakeStore {
        permits: AtomicU32,
        calls: AtomicU32,
        is_down: AtomicBool,
    }

    #[async_trait]
    impl PermitStore for FakeStore {
        async fn take(
            &self,
            _: &Key,
            quota: &Quota,
            unused: Option<Unused>,
        ) -> Result<Grant, StoreError> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if self.is_down.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(50)).await;
                return Err(StoreError("timed out".into()));
            }
            let given_back = unused.map_or(0, |unused| unused.permits);
            let left = self.permits.fetch_add(given_back, Ordering::SeqCst) + given_back;
            let granted = quota.lease.min(left);
            self.permits.fetch_sub(granted, Ordering::SeqCst);
            Ok(Grant {
                granted,
                remaining: left - granted,
                reset: Duration::from_mins(1),
                retry_after: Duration::from_secs(1),
                span: 7,
                valid_for: Duration::from_secs(3),
            })
        }
    }

    fn key() -> Key {
        let subject = Subject::Address(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Key { class: Class::Default, subject }
    }

    fn limiter(permits: u32) -> (Limiter, Arc<FakeStore>) {
        let store = Arc::new(FakeStore { permits: permits.into(), ..FakeStore::default() });
        (Limiter::new(&RateLimitConfig::default(), Some(store.clone())), store)
    }

    async fn allowed(limiter: &Limiter, requests: u32) -> u32 {
        let mut allowed = 0;
        for _ in 0..requests {
            allowed += u32::from(limiter.take(key()).await.is_allowed);
        }
        allowed
    }

    #[tokio::test]
    async fn most_requests_cost_no_call() {
        let (limiter, store) = limiter(1_200);
        assert_eq!(allowed(&limiter, 600).await, 600);
        assert!(store.calls.load(Ordering::SeqCst) <= 600 / 5);
    }

    #[tokio::test]
    async fn the_shared_budget_is_exact_and_refusals_cost_no_call_each() {
        let (limiter, store) = limiter(100);
        assert_eq!(allowed(&limiter, 300).await, 100);
        assert!(store.calls.load(Ordering::SeqCst) <= 4);
    }

    #[tokio::test]
    async fn two_processes_share_one_budget() {
        let (first, store) = limiter(100);
        let second = Limiter::new(&RateLimitConfig::default(), Some(store.clone()));
        let both = allowed(&first, 80).await + allowed(&second, 80).await;
        assert!(both <= 100);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_used_of_a_span_is_given_back() {
        let (limiter, store) = limiter(1_200);
        assert_eq!(allowed(&limiter, 10).await, 10);
        assert_eq!(store.permits.load(Ordering::SeqCst), 1_140, "a lease is out");
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(limiter.take(key()).await.remaining, 1_189);
        assert_eq!(store.permits.load(Ordering::SeqCst), 1_130, "50 came back, 60 went out");
    }

    #[tokio::test]
    async fn an_answer_tells_what_is_left() {
        let (limiter, _) = limiter(1_200);
        let decision = limiter.take(key()).await;
        assert_eq!(decision.remaining, 1_199);
        assert!(decision.reset <= Duration::from_secs(63), "a window and a span");
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_store_is_away_one_request_per_pause_waits_for_it() {
        let (limiter, store) = limiter(0);
        store.is_down.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        assert_eq!(allowed(&limiter, 100).await, 100, "the local budget");
        assert!(begun.elapsed() <= Duration::from_millis(50));
        assert_eq!(store.calls.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_goes_on_from_what_it_has_let_through() {
        let (limiter, store) = limiter(1_200);
        assert_eq!(allowed(&limiter, 2_000).await, 1_200);
        store.is_down.store(true, Ordering::SeqCst);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(allowed(&limiter, 2_000).await, 0, "it has let the whole budget through");
    }

    /// A store that comes back without its memory would give a third budget in one window: each
    /// process has let its own through already.
    #[tokio::test(start_paused = true)]
    async fn two_processes_let_twice_the_budget_through_whatever_the_store_forgets() {
        let (one, store) = limiter(1_200);
        let other = Limiter::new(&RateLimitConfig::default(), Some(store.clone()));
        let pause = Duration::from_secs(1);
        let mut sum = allowed(&one, 500).await + allowed(&other, 500).await;
        store.is_down.store(true, Ordering::SeqCst);
        tokio::time::advance(pause).await;
        sum += allowed(&one, 2_000).await + allowed(&other, 2_000).await;
        assert_eq!(sum, 2_400);
        store.is_down.store(false, Ordering::SeqCst);
        store.permits.store(1_200, Ordering::SeqCst);
        tokio::time::advance(pause).await;
        let calls = store.calls.load(Ordering::SeqCst);
        sum += allowed(&one, 2_000).await + allowed(&other, 2_000).await;
        assert_eq!(sum, 2_400, "within one window");
        let calls = store.calls.load(Ordering::SeqCst) - calls;
        assert!(calls <= 4, "refusals cost no call each: {calls}");
        tokio::time::advance(Duration::from_secs(63)).await;
        let next = allowed(&one, 2_000).await + allowed(&other, 2_000).await;
        assert_eq!(next, 1_200, "and then they share one again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_forgets_without_a_word_gives_nobody_more() {
        let (limiter, store) = limiter(1_200);
        assert_eq!(allowed(&limiter, 1_300).await, 1_200);
        store.permits.store(1_200, Ordering::SeqCst);
        tokio::time::advance(Duration::from_secs(1)).await;
        let decision = limiter.take(key()).await;
        assert!(!decision.is_allowed);
        assert!(decision.retry_after > Duration::from_secs(1), "the longer of the two waits");
    }

    #[tokio::test(start_paused = true)]
    async fn the_store_is_used_again_when_it_answers() {
        let (limiter, store) = limiter(60);
        store.is_down.store(true, Ordering::SeqCst);
        assert!(limiter.take(key()).await.is_allowed);
        store.is_down.store(false, Ordering::SeqCst);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(limiter.take(key()).await.is_allowed);
        assert_eq!(store.permits.load(Ordering::SeqCst), 0, "a lease was taken");
    }
}
