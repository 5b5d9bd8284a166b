//! The search for the highest rate that is borne: doubled until one is not, then halved in between.

/// Highest rate that is tried; beyond it the generator would be what is measured.
const RATE_MAX: u32 = 10_000;
/// How close the lowest rate that is not borne has to come, as a share of it: a tenth.
const CLOSE: u32 = 10;

/// What is known of the rates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    first: u32,
    /// The highest rate that was borne; 0 is.
    borne: u32,
    /// The lowest rate that was not.
    too_much: Option<u32>,
}

impl Search {
    /// A search that begins with this rate.
    pub(super) fn from(first: u32) -> Self {
        Self { first: first.clamp(1, RATE_MAX), borne: 0, too_much: None }
    }

    /// The rate to try next; none when the answer is known.
    pub(super) fn next(&self) -> Option<u32> {
        let Self { first, borne, too_much } = *self;
        match too_much {
            None if borne == 0 => Some(first),
            None => (borne < RATE_MAX).then(|| borne.saturating_mul(2).min(RATE_MAX)),
            Some(too_much) => {
                let gap = too_much - borne;
                (gap > 1 && gap > too_much / CLOSE).then(|| borne + gap / 2)
            }
        }
    }

    /// Notes whether the rate that was tried last is borne.
    pub(super) fn learn(&mut self, rate: u32, is_borne: bool) {
        if is_borne {
            self.borne = self.borne.max(rate);
        } else {
            self.too_much = Some(rate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates that are tried where so much is borne, and what is found.
    fn tried(first: u32, capacity: u32) -> (Vec<u32>, u32) {
        let (mut search, mut tried) = (Search::from(first), Vec::new());
        while let Some(rate) = search.next() {
            tried.push(rate);
            search.learn(rate, rate <= capacity);
        }
        (tried, search.borne)
    }

    #[test]
    fn the_capacity_is_found_to_a_tenth_from_below() {
        for capacity in [1, 7, 42, 100, 333, 1_024, 9_999] {
            for first in [1, 50, 5_000] {
                let (rates, found) = tried(first, capacity);
                assert!(found >= 1 && found <= capacity, "{capacity}: {rates:?}");
                let missed = capacity - found;
                assert!(missed <= capacity / CLOSE + 1, "{capacity}: {rates:?}");
                assert!(rates.len() <= 25, "{capacity}: {rates:?}");
            }
        }
    }

    #[test]
    fn rates_are_doubled_and_then_halved() {
        assert_eq!(tried(50, 330), (vec![50, 100, 200, 400, 300, 350, 325], 325));
    }

    #[test]
    fn a_search_ends_where_nothing_is_borne_and_where_everything_is() {
        let (rates, found) = tried(50, 0);
        assert_eq!((rates.first(), rates.last(), found), (Some(&50), Some(&1), 0));
        let (rates, found) = tried(50, u32::MAX);
        assert_eq!((rates.last(), found), (Some(&RATE_MAX), RATE_MAX));
    }
}
