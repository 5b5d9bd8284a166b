//! Counts of durations in buckets that grow with the value, so that a microsecond and an hour fit
//! into the same few kilobytes.
//!
//! Each power of two has 128 buckets of equal width: a percentile is told with an error of less than
//! one in 128, and never too low.

use std::time::Duration;

/// Buckets per power of two.
const STEPS: u64 = 128;
/// Binary digits of [`STEPS`].
const DIGITS: u32 = STEPS.trailing_zeros();
/// Longest duration that is told apart, in microseconds: twelve days.
const LONGEST: u64 = (1 << 40) - 1;

/// Durations, to a microsecond.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// As many as the longest duration so far needs.
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    /// Counts a duration.
    pub fn record(&mut self, duration: Duration) {
        let value = u64::try_from(duration.as_micros()).map_or(LONGEST, |value| value.min(LONGEST));
        let place = place(value);
        if self.buckets.len() <= place {
            self.buckets.resize(place + 1, 0);
        }
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket += 1;
        }
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// Durations counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest one, exactly.
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.max)
    }

    /// What so many of a thousand did not exceed: 500 is the median, 999 the percentile 99.9.
    pub fn permille(&self, share: u64) -> Duration {
        let rank = self.count.saturating_mul(share.min(1_000)).div_ceil(1_000).max(1);
        let mut seen = 0;
        let found = self.buckets.iter().position(|bucket| {
            seen += bucket;
            seen >= rank
        });
        Duration::from_micros(found.map_or(0, |place| highest(place).min(self.max)))
    }
}

/// The bucket of a value.
fn place(value: u64) -> usize {
    let shift = value.checked_ilog2().unwrap_or(0).saturating_sub(DIGITS);
    let place = u64::from(shift) * STEPS + (value >> shift);
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// The highest value of a bucket.
fn highest(place: usize) -> u64 {
    let place = place as u64;
    let shift = (place / STEPS).saturating_sub(1);
    let step = place - shift * STEPS;
    ((step + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        values.into_iter().for_each(|value| histogram.record(Duration::from_micros(value)));
        histogram
    }

    #[test]
    fn buckets_follow_each_other_without_gap_or_overlap() {
        assert_eq!((place(0), highest(0)), (0, 0));
        let mut first = 0;
        for bucket in 0..place(LONGEST) {
            assert_eq!((place(first), place(highest(bucket))), (bucket, bucket));
            first = highest(bucket) + 1;
        }
        assert_eq!(highest(place(LONGEST)), LONGEST);
    }

    #[test]
    fn a_value_is_told_never_too_low_and_hardly_too_high() {
        for value in (0..40).flat_map(|digits| [1_u64 << digits, (1 << digits) + 1, 3 << digits]) {
            let value = value.min(LONGEST);
            let told = highest(place(value));
            assert!(told >= value && told - value <= value / STEPS, "{value}: {told}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let histogram = of(1..=10_000);
        assert_eq!(histogram.count(), 10_000);
        assert_eq!(histogram.max(), Duration::from_millis(10));
        for (share, exact) in [(500, 5_000_u64), (900, 9_000), (990, 9_900), (999, 9_990)] {
            let told = u64::try_from(histogram.permille(share).as_micros()).unwrap();
            assert!(told >= exact && told - exact <= exact / STEPS, "{share}: {told}");
        }
        assert_eq!(histogram.permille(1_000), histogram.max());
    }

    #[test]
    fn one_value_is_every_percentile_and_none_is_nothing() {
        let one = of([1_234_567]);
        for share in [0, 500, 999, 1_000, 5_000] {
            assert_eq!(one.permille(share), Duration::from_micros(1_234_567));
        }
        assert_eq!(Histogram::default().permille(500), Duration::ZERO);
        assert_eq!(Histogram::default().max(), Duration::ZERO);
    }

    #[test]
    fn what_lasts_for_ever_takes_no_more_room() {
        let mut histogram = of([1]);
        histogram.record(Duration::MAX);
        assert_eq!(histogram.max(), Duration::from_micros(LONGEST));
        assert!(histogram.buckets.len() < 5_000, "{}", histogram.buckets.len());
    }
}
