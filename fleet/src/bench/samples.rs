//! Times that were taken, and what is told of them.

use std::time::Duration;

/// Times, in the order of their length.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Keeps a time.
    pub fn add(&mut self, time: Duration) {
        let place = self.0.partition_point(|known| *known <= time);
        self.0.insert(place, time);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that so many of a hundred do not exceed (nearest rank); nothing of no times.
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// The time in the middle.
    pub fn median(&self) -> Duration {
        self.percentile(50)
    }

    /// How many times as long as that of others the 99th percentile is; of others that took no time,
    /// without end.
    pub fn p99_times(&self, others: &Self) -> f64 {
        let [own, other] = [self, others].map(|samples| samples.percentile(99).as_secs_f64());
        if other > 0.0 { own / other } else { f64::INFINITY }
    }

    /// How far the median lies above that of others, in percent; below it, less than nothing.
    pub fn difference_percent(&self, others: &Self) -> f64 {
        let [own, other] = [self, others].map(|samples| samples.median().as_secs_f64());
        if other > 0.0 { (own / other - 1.0) * 100.0 } else { 0.0 }
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut times: Vec<Duration> = times.into_iter().collect();
        times.sort_unstable();
        Self(times)
    }
}

/// A time as tables show it.
pub fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(milliseconds: impl IntoIterator<Item = u64>) -> Samples {
        milliseconds.into_iter().map(Duration::from_millis).collect()
    }

    #[test]
    fn percentiles_are_times_that_were_taken() {
        let hundred = of((1..=100).rev());
        let told = [1, 50, 95, 99, 100].map(|percent| hundred.percentile(percent).as_millis());
        assert_eq!(told, [1, 50, 95, 99, 100]);
        assert_eq!(of([7]).percentile(99), Duration::from_millis(7));
        assert_eq!(of([1, 2, 3]).median(), Duration::from_millis(2));
        assert_eq!(Samples::default().percentile(99), Duration::ZERO);
    }

    #[test]
    fn times_are_kept_in_their_order_whenever_they_come() {
        let mut samples = of([5, 1]);
        for time in [3, 9, 0] {
            samples.add(Duration::from_millis(time));
        }
        assert_eq!(samples.count(), 5);
        assert_eq!(samples.median(), Duration::from_millis(3));
        assert_eq!(samples.percentile(100), Duration::from_millis(9));
    }

    #[test]
    fn a_difference_is_told_in_percent_and_with_its_sign() {
        let close = |difference: f64, expected: f64| (difference - expected).abs() < 1e-9;
        assert!(close(of([110]).difference_percent(&of([100])), 10.0));
        assert!(close(of([75]).difference_percent(&of([100])), -25.0));
        assert!(close(of([1]).difference_percent(&Samples::default()), 0.0));
    }

    #[test]
    fn percentiles_are_compared_by_how_many_times_as_long_one_is() {
        assert!((of([1, 2, 30]).p99_times(&of([20])) - 1.5).abs() < 1e-9);
        assert!(of([20]).p99_times(&of([10])) <= 2.0, "exactly twice as long");
        assert!(of([1]).p99_times(&Samples::default()) > f64::MAX);
    }

    #[test]
    fn a_time_is_shown_in_milliseconds() {
        assert_eq!(milliseconds(Duration::from_micros(1_234)), "1.23 ms");
    }
}
