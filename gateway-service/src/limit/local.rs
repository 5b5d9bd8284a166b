//! Budgets of one process: a bounded map with the requests of one window per caller.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use tokio::time::Instant;

use super::{Decision, Key, Quota, SPANS};

/// The spans that count: those of a window, and the one that has just begun.
const COUNTED: usize = 21;

const _: () = assert!(COUNTED as u64 == SPANS + 1);

/// Holds the requests of each caller in this process.
pub(super) struct LocalBudgets {
    windows: moka::sync::Cache<Key, Arc<Mutex<Window>>>,
    started: Instant,
}

/// The requests of one caller, by span.
struct Window {
    counts: [u32; COUNTED],
    /// The latest span that is counted; its place is its number modulo the length.
    latest: u64,
}

impl LocalBudgets {
    /// Remembers `capacity` callers; one not seen for `idle` has its whole budget anyway.
    pub(super) fn new(capacity: u64, idle: Duration) -> Self {
        let windows = moka::sync::Cache::builder()
            .max_capacity(capacity)
            .time_to_idle(idle)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { windows, started: Instant::now() }
    }

    /// Takes one request from the budget of `key`.
    pub(super) fn take(&self, key: Key, quota: &Quota, now: Instant) -> Decision {
        let now_us = self.micros(now);
        self.with(key, quota, now_us, |window| {
            if window.used() >= quota.requests {
                return window.describe(quota, now_us);
            }
            window.add();
            let left = window.describe(quota, now_us);
            Decision { is_allowed: true, retry_after: Duration::ZERO, ..left }
        })
    }

    /// What would be said about one more request from the budget of `key`.
    pub(super) fn look(&self, key: Key, quota: &Quota, now: Instant) -> Decision {
        let now_us = self.micros(now);
        self.with(key, quota, now_us, |window| window.describe(quota, now_us))
    }

    fn with<T>(
        &self,
        key: Key,
        quota: &Quota,
        now_us: u64,
        work: impl FnOnce(&mut Window) -> T,
    ) -> T {
        let window = self.windows.get_with(key, || Arc::new(Mutex::new(Window::new())));
        let mut window: MutexGuard<'_, Window> =
            window.lock().unwrap_or_else(PoisonError::into_inner);
        window.turn_to(now_us / quota.span_us());
        work(&mut window)
    }

    fn micros(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started).as_micros();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

impl Window {
    const fn new() -> Self {
        Self { counts: [0; COUNTED], latest: 0 }
    }

    /// Forgets what lies further back than the window.
    fn turn_to(&mut self, span: u64) {
        let passed = span.saturating_sub(self.latest);
        for next in (1..=passed).take(COUNTED) {
            self.counts[place(self.latest + next)] = 0;
        }
        self.latest = self.latest.max(span);
    }

    fn add(&mut self) {
        let count = &mut self.counts[place(self.latest)];
        *count = count.saturating_add(1);
    }

    fn used(&self) -> u32 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// What is left of the budget, and when there is more.
    fn describe(&self, quota: &Quota, now_us: u64) -> Decision {
        let remaining = quota.requests.saturating_sub(self.used());
        let until = |span: u64| {
            let passes = (span + SPANS + 1) * quota.span_us();
            Duration::from_micros(passes.saturating_sub(now_us))
        };
        Decision {
            is_allowed: remaining > 0,
            remaining,
            reset: self.spans().next_back().map_or(Duration::ZERO, until),
            retry_after: match self.spans().next() {
                Some(oldest) if remaining == 0 => until(oldest),
                _ => Duration::ZERO,
            },
        }
    }

    /// The spans with requests, the oldest first.
    fn spans(&self) -> impl DoubleEndedIterator<Item = u64> + '_ {
        let first = self.latest.saturating_sub(SPANS);
        (first..=self.latest).filter(|span| self.counts[place(*span)] > 0)
    }
}

fn place(span: u64) -> usize {
    usize::try_from(span % COUNTED as u64).unwrap_or_default()
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
        LocalBudgets::new(1_000, Duration::from_mins(2))
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
        let (window, span) = (Duration::from_mins(1), Duration::from_secs(3));
        assert!(refused.retry_after > window && refused.retry_after <= window + span);
        assert_eq!(refused.reset, refused.retry_after);
        assert!(budgets.take(key(2), &QUOTA, now).is_allowed, "another caller's budget");
    }

    #[test]
    fn no_stretch_as_long_as_the_window_holds_more_than_the_budget() {
        let budgets = budgets();
        let start = Instant::now();
        let mut allowed = Vec::new();
        // Bursts at uneven times, one of them on both sides of what a clock calls a minute.
        for (at_ms, burst) in
            [(0, 30), (29_000, 60), (59_900, 60), (60_100, 60), (61_000, 200), (90_500, 200)]
        {
            let now = start + Duration::from_millis(at_ms);
            let count = (0..burst).filter(|_| budgets.take(key(1), &QUOTA, now).is_allowed).count();
            allowed.push((at_ms, count));
        }
        for (from, _) in &allowed {
            let within = allowed.iter().filter(|(at, _)| (*from..from + 60_000).contains(at));
            let sum: usize = within.map(|(_, count)| count).sum();
            assert!(sum <= 100, "{sum} from {from} ms: {allowed:?}");
        }
        let total: usize = allowed.iter().map(|(_, count)| count).sum();
        assert!(total > 150, "and it comes back: {allowed:?}");
    }

    #[test]
    fn a_retry_at_the_promised_time_is_served() {
        let budgets = budgets();
        let now = Instant::now();
        while budgets.take(key(1), &QUOTA, now).is_allowed {}
        let pause = budgets.take(key(1), &QUOTA, now).retry_after;
        let early = now + pause - Duration::from_millis(1);
        assert!(!budgets.take(key(1), &QUOTA, early).is_allowed);
        assert!(budgets.take(key(1), &QUOTA, now + pause).is_allowed);
    }

    #[test]
    fn looking_takes_nothing() {
        let budgets = budgets();
        let now = Instant::now();
        for _ in 0..200 {
            assert_eq!(budgets.look(key(1), &QUOTA, now).remaining, 100);
        }
        let served = (0..200).filter(|_| budgets.take(key(1), &QUOTA, now).is_allowed).count();
        assert_eq!(served, 100);
        let refused = budgets.take(key(1), &QUOTA, now);
        assert_eq!(budgets.look(key(1), &QUOTA, now), refused);
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
        budgets.windows.run_pending_tasks();
        assert!(budgets.windows.entry_count() <= 10);
    }
}
