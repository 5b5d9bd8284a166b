//! Leaves whoever failed alone for a while, a store or a partner, so that not every request waits
//! for it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge};
use tokio::time::Instant;

/// Value of a breaker that lets everything through.
const CLOSED: u64 = 0;

/// Closed while answers come. After a failure, or as many in a row as it is told to bear, it is open
/// and lets one attempt through per pause.
pub struct Breaker {
    started: Instant,
    pause: Duration,
    /// Failures in a row that open it.
    opens_after: u32,
    /// Failures since the last answer; not counted on while it is open.
    failures: AtomicU32,
    /// When the next attempt is allowed, in milliseconds since `started`.
    retry_at: AtomicU64,
    is_open: Gauge,
    trips: Counter,
}

impl Breaker {
    /// Closed; the first failure opens it, and then it lets nothing through for `pause`. `name` says
    /// in metrics what is left alone.
    pub fn new(name: &'static str, pause: Duration) -> Self {
        let is_open = gauge!("eh_breaker_open", "breaker" => name);
        is_open.set(0.0);
        let trips = counter!("eh_breaker_trips_total", "breaker" => name);
        Self {
            started: Instant::now(),
            pause,
            opens_after: 1,
            failures: AtomicU32::new(0),
            retry_at: AtomicU64::new(CLOSED),
            is_open,
            trips,
        }
    }

    /// The same one, which only so many failures in a row open.
    #[must_use]
    pub fn opening_after(self, failures: u32) -> Self {
        Self { opens_after: failures, ..self }
    }

    /// Whether an attempt may be made now. While the breaker is open, the first who asks after
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

    /// Notes an answer. Returns whether it closed the breaker.
    pub fn succeeded(&self) -> bool {
        // Looked at first: answers are many, and a write by each would be felt by all of them.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        let is_first = self.retry_at.load(Ordering::Relaxed) != CLOSED
            && self.retry_at.swap(CLOSED, Ordering::Relaxed) != CLOSED;
        if is_first {
            self.show();
        }
        is_first
    }

    /// Notes a failure. Returns whether it opened the breaker.
    pub fn failed(&self) -> bool {
        if self.retry_at.load(Ordering::Relaxed) == CLOSED
            && self.failures.fetch_add(1, Ordering::Relaxed) + 1 < self.opens_after
        {
            return false;
        }
        let is_first = self.retry_at.swap(self.next(), Ordering::Relaxed) == CLOSED;
        if is_first {
            self.show();
            self.trips.increment(1);
        }
        is_first
    }

    /// Shows whether it is open. Who opens it and who closes it may be here at the same time; the last
    /// one to show it has looked again.
    fn show(&self) {
        let is_open = || self.retry_at.load(Ordering::SeqCst) != CLOSED;
        let mut shown = is_open();
        loop {
            self.is_open.set(if shown { 1.0 } else { 0.0 });
            if is_open() == shown {
                return;
            }
            shown = !shown;
        }
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
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_attempt_per_pause_goes_through_after_a_failure() {
        let breaker = Breaker::new("test", Duration::from_secs(1));
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

    #[tokio::test(start_paused = true)]
    async fn only_as_many_failures_in_a_row_as_it_is_told_open_it() {
        let pause = Duration::from_secs(1);
        let breaker = Breaker::new("test", pause).opening_after(3);
        for _ in 0..3 {
            assert!(!breaker.failed() && !breaker.failed());
            assert!(breaker.allows());
            assert!(!breaker.succeeded(), "it was never open");
        }
        assert!(!breaker.failed() && !breaker.failed());
        assert!(breaker.failed(), "the third in a row");
        assert!(!breaker.allows());
        tokio::time::advance(pause).await;
        assert!(breaker.allows() && !breaker.allows());
        assert!(!breaker.failed(), "it was open already");
        assert!(!breaker.allows());
        tokio::time::advance(pause).await;
        assert!(breaker.allows() && breaker.succeeded());
        assert!(!breaker.failed() && !breaker.failed(), "and they are counted anew");
        assert!(breaker.allows() && breaker.failed());
    }

    #[tokio::test(start_paused = true)]
    async fn operators_see_whether_it_is_open_and_how_often_it_opened() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let breaker = metrics::with_local_recorder(&recorder, || {
            Breaker::new("test", Duration::from_secs(1))
        });
        let shows = |open: u32, trips: u32| {
            let text = recorder.handle().render();
            let lines = [
                format!("eh_breaker_open{{breaker=\"test\"}} {open}\n"),
                format!("eh_breaker_trips_total{{breaker=\"test\"}} {trips}\n"),
            ];
            lines.iter().all(|line| text.contains(line))
        };
        assert!(shows(0, 0));
        breaker.failed();
        breaker.failed();
        assert!(shows(1, 1));
        breaker.succeeded();
        assert!(shows(0, 1));
    }
}
