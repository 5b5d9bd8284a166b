//! Keeps guessing slow: whoever is wrong again and again waits, longer each time.
//!
//! A [`Meter`] counts attempts. An attempt is counted as wrong when it begins
//! ([`Throttle::begin`]); one that proves right is taken back ([`Throttle::take_back`]), or clears
//! its meter ([`Throttle::clear`]). So attempts that run at the same time cannot slip through
//! together, and a caller who goes away in the middle has used an attempt up. The first
//! [`Rule::free`] wrong attempts cost nothing; then each is followed by a pause, twice as long as
//! the one before it, up to [`Rule::pause_max`]. One wrong attempt is forgotten per
//! [`Rule::forget`], which therefore is the rate that whoever never stops ends at.
//!
//! A meter may count *members* instead of attempts, such as the accounts that were tried from one
//! address: a member counts once, and is let through while it is remembered.
//!
//! All replicas count together in a store ([`AttemptStore`]). Without an answer from it each process
//! counts alone, from nothing: while the store is away, every process grants a meter at most its
//! free attempts and one more per pause, whatever was counted in the store. What a process holds
//! itself is bounded by the number of meters that it is told to keep.

#[cfg(test)]
mod contract;
mod local;
mod redis;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::local::LocalAttempts;
pub use self::redis::RedisAttempts;
use crate::breaker::Breaker;

/// Members that one meter remembers; further ones count each time they come.
const MEMBERS_MAX: usize = 64;
/// Doublings after which a pause is longer than any limit.
const DOUBLINGS_MAX: u32 = 32;

/// How patient a meter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Wrong attempts that cost nothing; at least 1.
    pub free: u32,
    /// The pause after the last free one; each further one is followed by twice the pause.
    pub pause: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// How long it takes until one wrong attempt is forgotten.
    pub forget: Duration,
}

impl Rule {
    /// The pause after the `count`-th wrong attempt.
    fn pause_after(&self, count: u32) -> Duration {
        match count.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 1_u32.checked_shl(doublings.min(DOUBLINGS_MAX)).unwrap_or(u32::MAX);
                self.pause.saturating_mul(factor).min(self.pause_max)
            }
        }
    }
}

/// What is counted, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meter {
    /// Names the meter in the whole installation. Holds nothing personal: stores show their keys.
    pub key: String,
    /// How patient it is.
    pub rule: Rule,
    /// Who attempts, where members are counted instead of attempts.
    pub member: Option<u64>,
}

/// An attempt that was let through, to be taken back when it proves right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Whether the attempt was counted: a member that is remembered is not.
    is_counted: bool,
    /// Until when the meter's pause lasts that this attempt began; 0 for none.
    pause_until: u64,
    /// Whether the store of all replicas counted it.
    is_shared: bool,
}

/// What a meter says about one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The attempt may go on.
    Admitted(Ticket),
    /// It may not, and was not counted.
    Refused {
        /// How long the pause still lasts.
        retry_after: Duration,
    },
}

/// The store has no answer.
#[derive(Debug, thiserror::Error)]
#[error("the store of attempts did not answer")]
pub struct StoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where attempts are counted. Answers within a bounded time.
#[async_trait]
pub trait AttemptStore: Send + Sync {
    /// Counts an attempt as a wrong one, unless the meter is in a pause.
    async fn begin(&self, meter: &Meter) -> Result<Admission, StoreError>;

    /// Takes an attempt back, with the pause that it began.
    async fn take_back(&self, meter: &Meter, ticket: &Ticket) -> Result<(), StoreError>;

    /// Forgets everything about a meter.
    async fn clear(&self, meter: &Meter) -> Result<(), StoreError>;
}

/// Counts attempts together with all replicas, or alone.
pub struct Throttle {
    shared: Option<(Arc<dyn AttemptStore>, Breaker)>,
    local: LocalAttempts,
}

impl Throttle {
    /// Counts in `store`, or in this process alone without one. The process keeps `capacity` meters
    /// at most, and leaves the store alone for `pause` after it failed.
    pub fn new(store: Option<Arc<dyn AttemptStore>>, capacity: u64, pause: Duration) -> Self {
        let shared = store.map(|store| (store, Breaker::new("attempts", pause)));
        Self { shared, local: LocalAttempts::new(capacity) }
    }

    /// Counts an attempt as a wrong one, unless the meter is in a pause.
    pub async fn begin(&self, meter: &Meter) -> Admission {
        if let Some((store, breaker)) = &self.shared
            && breaker.allows()
            && let Some(admission) = heard(breaker, store.begin(meter).await)
        {
            return admission;
        }
        self.local.begin_now(meter)
    }

    /// Takes an attempt back that proved right. What cannot be taken back is forgotten in time.
    pub async fn take_back(&self, meter: &Meter, ticket: &Ticket) {
        if !ticket.is_shared {
            return self.local.take_back_now(meter, ticket);
        }
        if let Some((store, breaker)) = &self.shared
            && breaker.allows()
        {
            heard(breaker, store.take_back(meter, ticket).await);
        }
    }

    /// Forgets everything about a meter whose attempt proved right.
    pub async fn clear(&self, meter: &Meter) {
        self.local.clear_now(meter);
        if let Some((store, breaker)) = &self.shared
            && breaker.allows()
        {
            heard(breaker, store.clear(meter).await);
        }
    }
}

/// Notes whether the store answered.
fn heard<T>(breaker: &Breaker, answer: Result<T, StoreError>) -> Option<T> {
    match answer {
        Ok(answer) => {
            if breaker.succeeded() {
                tracing::info!("attempts are counted together again");
            }
            Some(answer)
        }
        Err(error) => {
            if breaker.failed() {
                let error = crate::error::Chain(&error);
                tracing::warn!(error = %error, "attempts are counted by this process alone");
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn meter(key: &str) -> Meter {
        let rule = Rule {
            free: 2,
            pause: Duration::from_secs(1),
            pause_max: Duration::from_mins(1),
            forget: Duration::from_hours(1),
        };
        Meter { key: key.to_owned(), rule, member: None }
    }

    /// A store that can go away; everything that it says is that the meter is in a pause.
    #[derive(Default)]
    struct Strict {
        is_away: AtomicBool,
    }

    #[async_trait]
    impl AttemptStore for Strict {
        async fn begin(&self, _meter: &Meter) -> Result<Admission, StoreError> {
            if self.is_away.load(Ordering::SeqCst) {
                return Err(StoreError("away".into()));
            }
            Ok(Admission::Refused { retry_after: Duration::from_secs(7) })
        }

        async fn take_back(&self, _meter: &Meter, _ticket: &Ticket) -> Result<(), StoreError> {
            Ok(())
        }

        async fn clear(&self, _meter: &Meter) -> Result<(), StoreError> {
            Ok(())
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let rule = meter("x").rule;
        let seconds: Vec<_> = (0..=10).map(|count| rule.pause_after(count).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(rule.pause_after(u32::MAX).as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn without_the_store_the_process_counts_alone_from_nothing() {
        let store = Arc::new(Strict::default());
        let throttle = Throttle::new(Some(store.clone()), 100, Duration::from_secs(1));
        let refused = Admission::Refused { retry_after: Duration::from_secs(7) };
        assert_eq!(throttle.begin(&meter("x")).await, refused);
        store.is_away.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            assert!(matches!(throttle.begin(&meter("x")).await, Admission::Admitted(_)));
        }
        assert!(matches!(throttle.begin(&meter("x")).await, Admission::Refused { .. }));
        store.is_away.store(false, Ordering::SeqCst);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(throttle.begin(&meter("x")).await, refused, "the store counts again");
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_is_taken_back_where_it_was_counted() {
        let throttle = Throttle::new(None, 100, Duration::from_secs(1));
        for _ in 0..10 {
            let Admission::Admitted(ticket) = throttle.begin(&meter("x")).await else {
                panic!("nothing was wrong so far")
            };
            throttle.take_back(&meter("x"), &ticket).await;
        }
    }
}
