//! Budgets of one process: a bounded map with one atomic per caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{Decision, Key, Quota};

/// Holds, per caller, the time at which its budget will be whole again ("theoretical arrival
/// time"), in microseconds since the process started.
pub(super) struct LocalBudgets {
    times: moka::sync::Cache<Key, Arc<AtomicU64>>,
    started: Instant,
}

impl LocalBudgets {
    /// Remembers `capacity` callers; one not seen for `idle` has its whole budget anyway.
    pub(super) fn new(capacity: u64, idle: Duration) -> Self {
        let times = moka::sync::Cache::builder().max_capacity(capacity).time_to_idle(idle).build();
        Self { times, started: Instant::now() }
    }

    /// Takes one request from the budget of `key`.
    pub(super) fn take(&self, key: Key, quota: &Quota, now: Instant) -> Decision {
        let now_us = micros(now.saturating_duration_since(self.started));
        let whole_at = self.times.get_with(key, Arc::default);
        let taken = whole_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |whole_at| {
            let next = whole_at.max(now_us) + quota.interval_us();
            (next <= now_us + quota.horizon_us()).then_some(next)
        });
        match taken {
            Ok(before) => allowed(before.max(now_us) + quota.interval_us() - now_us, quota),
            Err(whole_at) => denied(whole_at - now_us, quota),
        }
    }
}

fn allowed(used_us: u64, quota: &Quota) -> Decision {
    Decision {
        is_allowed: true,
        remaining: remaining(used_us, quota),
        reset: Duration::from_micros(used_us),
        retry_after: Duration::ZERO,
    }
}

fn denied(used_us: u64, quota: &Quota) -> Decision {
    let over_us = (used_us + quota.interval_us()).saturating_sub(quota.horizon_us());
    Decision {
        is_allowed: false,
        remaining: 0,
        reset: Duration::from_micros(used_us),
        retry_after: Duration::from_micros(over_us),
    }
}

fn remaining(used_us: u64, quota: &Quota) -> u32 {
    let left = quota.horizon_us().saturating_sub(used_us) / quota.interval_us();
    u32::try_from(left).unwrap_or(u32::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::super::{Class, Subject};
    use super::*;

    const QUOTA: Quota = Quota { requests: 100, window_s: 60, lease: 1 };

    fn key(last: u8) -> Key {
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        Key { class: Class::Default, subject: Subject::Address(address) }
    }

    fn budgets() -> LocalBudgets {
        LocalBudgets::new(1_000, Duration::from_mins(1))
    }

    #[test]
    fn the_budget_is_exact() {
        let budgets = budgets();
        let now = Instant::now();
        for left in (0..100).rev() {
            let decision = budgets.take(key(1), &QUOTA, now);
            assert!(decision.is_allowed);
            assert_eq!(decision.remaining, left);
        }
        let refused = budgets.take(key(1), &QUOTA, now);
        assert!(!refused.is_allowed);
        assert_eq!(refused.retry_after, Duration::from_millis(600));
        assert!(budgets.take(key(2), &QUOTA, now).is_allowed, "another caller's budget");
    }

    #[test]
    fn the_budget_comes_back_evenly() {
        let budgets = budgets();
        let now = Instant::now();
        while budgets.take(key(1), &QUOTA, now).is_allowed {}
        let later = now + Duration::from_millis(1_200);
        assert!(budgets.take(key(1), &QUOTA, later).is_allowed);
        assert!(budgets.take(key(1), &QUOTA, later).is_allowed);
        assert!(!budgets.take(key(1), &QUOTA, later).is_allowed);
    }

    #[test]
    fn concurrent_requests_do_not_exceed_the_budget() {
        let budgets = budgets();
        let now = Instant::now();
        let take = || (0..100).filter(|_| budgets.take(key(1), &QUOTA, now).is_allowed).count();
        let allowed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(allowed, 100);
    }

    #[test]
    fn the_number_of_callers_remembered_is_bounded() {
        let budgets = LocalBudgets::new(10, Duration::from_mins(1));
        for last in 0..=255 {
            budgets.take(key(last), &QUOTA, Instant::now());
        }
        budgets.times.run_pending_tasks();
        assert!(budgets.times.entry_count() <= 10);
    }
}
