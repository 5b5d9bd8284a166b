//! How fast a route answers, compared with itself.
//!
//! Routes differ by a factor of a hundred (a login hashes, a read does not), so times of different
//! routes cannot be compared. What a route takes when nothing is in its way is the least that it took
//! lately: in this span of time or in the one before, so that a service that has become slower for
//! good is not held against its past for ever.

use std::time::Duration;

use tokio::time::Instant;

use super::settings::SheddingConfig;

/// The slowest pace that is told apart: whoever is slower than this is slow.
pub(super) const SLOWEST: f64 = 0.5;

/// The least that a route took lately.
pub(super) struct Pace {
    began: Instant,
    least: Option<Duration>,
    least_before: Option<Duration>,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, least: None, least_before: None }
    }

    /// The pace of a request that took so long: 1 if it was as fast as it should be, less if it was
    /// slower, [`SLOWEST`] at least.
    pub(super) fn of(&mut self, took: Duration, now: Instant, config: &SheddingConfig) -> f64 {
        let age = now.saturating_duration_since(self.began);
        if age >= config.baseline() {
            self.least_before = self.least.take().filter(|_| age < config.baseline() * 2);
            self.began = now;
        }
        let least = self.least.map_or(took, |least| least.min(took));
        self.least = Some(least);
        let usual = self.least_before.map_or(least, |before| before.min(least));
        let expected = usual.mul_f64(config.tolerance).max(config.calm());
        if took <= expected {
            return 1.0;
        }
        (expected.as_secs_f64() / took.as_secs_f64()).max(SLOWEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(calm_ms: u64) -> SheddingConfig {
        SheddingConfig { tolerance: 2.0, calm_ms, baseline_s: 10, ..SheddingConfig::default() }
    }

    fn pace(pace: &mut Pace, took_ms: u64, now: Instant, calm_ms: u64) -> f64 {
        pace.of(Duration::from_millis(took_ms), now, &config(calm_ms))
    }

    #[test]
    fn a_route_is_compared_with_the_least_that_it_took() {
        let now = Instant::now();
        let mut route = Pace::new(now);
        for (took, expected) in [(100, 1.0), (10, 1.0), (20, 1.0), (25, 0.8), (1_000, SLOWEST)] {
            assert!((pace(&mut route, took, now, 0) - expected).abs() < 1e-9, "{took} ms");
        }
    }

    #[test]
    fn what_is_fast_enough_is_never_slow() {
        let now = Instant::now();
        let mut route = Pace::new(now);
        pace(&mut route, 1, now, 50);
        assert!((pace(&mut route, 50, now, 50) - 1.0).abs() < 1e-9);
        assert!(pace(&mut route, 80, now, 50) < 1.0);
    }

    #[test]
    fn the_past_is_forgotten_after_two_spans() {
        let begin = Instant::now();
        let mut route = Pace::new(begin);
        pace(&mut route, 10, begin, 0);
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert!(pace(&mut route, 100, at(10), 0) < 1.0, "still compared with the span before");
        assert!((pace(&mut route, 100, at(20), 0) - 1.0).abs() < 1e-9);
        assert!((pace(&mut route, 1_000, at(60), 0) - 1.0).abs() < 1e-9, "nobody asked meanwhile");
    }
}
