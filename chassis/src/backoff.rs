//! Growing, jittered pauses between repeated attempts.

use std::time::Duration;

use rand::Rng as _;

/// A sequence of pauses: doubled from the first to the longest, each drawn between half of it and
/// the whole, so that instances that failed together do not come back together.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts a sequence between `first` and `longest`.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first.min(longest) }
    }

    /// Starts over, after a success.
    pub(crate) fn reset(&mut self) {
        self.next = self.first.min(self.longest);
    }

    /// Returns the next pause.
    pub(crate) fn step(&mut self) -> Duration {
        let pause = self.next.mul_f64(rand::rng().random_range(0.5..=1.0));
        self.next = self.next.saturating_mul(2).min(self.longest);
        pause
    }

    /// Waits for the next pause.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.step()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        for most in [100, 200, 350, 350].map(Duration::from_millis) {
            let pause = backoff.step();
            assert!(pause >= most / 2 && pause <= most, "{pause:?} of {most:?}");
        }
        backoff.reset();
        assert!(backoff.step() <= Duration::from_millis(100));
    }
}
