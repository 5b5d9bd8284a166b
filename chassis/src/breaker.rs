//! Leaves a store alone for a while after it failed, so that not every request waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Value of a breaker that lets everything through.
const CLOSED: u64 = 0;

/// Closed while the store answers. After a failure it lets one attempt through per pause.
pub struct Breaker {
    started: Instant,
    pause: Duration,
    /// When the next attempt is allowed, in milliseconds since `started`.
    retry_at: AtomicU64,
}

impl Breaker {
    /// Closed; after a failure it lets nothing through for `pause`.
    pub fn new(pause: Duration) -> Self {
        Self { started: Instant::now(), pause, retry_at: AtomicU64::new(CLOSED) }
    }

    /// Whether the store may be asked now. While the breaker is open, the first who asks after
    /// the pause gets a yes and the others go on getting a no, so that one request probes.
    pub fn allows(&self) -> bool {
        let retry_at = self.retry_at.load(Ordering::Relaxed);
        if retry_at == CLOSED {
            return true;
        }
        self.now_ms() >= retry_at
            && self
                .retry_at
                .compare_exchange(retry_at, self.next(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Notes an answer. Returns whether it is the first after a failure.
    pub fn succeeded(&self) -> bool {
        self.retry_at.load(Ordering::Relaxed) != CLOSED
            && self.retry_at.swap(CLOSED, Ordering::Relaxed) != CLOSED
    }

    /// Notes a failure. Returns whether it is the first after an answer.
    pub fn failed(&self) -> bool {
        self.retry_at.swap(self.next(), Ordering::Relaxed) == CLOSED
    }

    fn next(&self) -> u64 {
        let pause = u64::try_from(self.pause.as_millis()).unwrap_or(u64::MAX);
        self.now_ms().saturating_add(pause).max(1)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_attempt_per_pause_goes_through_after_a_failure() {
        let breaker = Breaker::new(Duration::from_secs(1));
        assert!(breaker.allows() && breaker.allows());
        assert!(breaker.failed());
        assert!(!breaker.failed(), "only the first failure is news");
        assert!(!breaker.allows());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(breaker.allows());
        assert!(!breaker.allows(), "the others do not wait for the probe");
        assert!(breaker.succeeded());
        assert!(breaker.allows() && breaker.allows());
        assert!(!breaker.succeeded());
    }
}
