//! Numbers drawn from a seed: the same seed gives the same numbers on every machine, for good.
//!
//! The generators of the `rand` crate may change with a release; a recorded seed would then no
//! longer lead to the schedule that found the error. SplitMix64 is short enough to keep here.

/// A sequence of numbers that a seed determines.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An independent sequence for a purpose, so that one more draw here moves nothing there.
    #[must_use]
    pub fn fork(&self, purpose: &str) -> Self {
        let mut own = Self(self.0);
        for byte in purpose.bytes() {
            own.0 = own.0.rotate_left(9) ^ u64::from(byte);
            own.0 = own.number();
        }
        own
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        let width = high.saturating_sub(low).saturating_add(1);
        low + self.number() % width.max(1)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, share: u64) -> bool {
        self.number() % 100 < share
    }

    /// One of several; `None` of none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let length = u64::try_from(from.len()).ok().filter(|length| *length > 0)?;
        from.get(usize::try_from(self.number() % length).ok()?)
    }

    /// One of several by weight; `None` when nothing weighs anything.
    pub fn weighted<'a, T>(&mut self, from: &'a [(T, u64)]) -> Option<&'a T> {
        let total: u64 = from.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            return None;
        }
        let mut left = self.number() % total;
        for (one, weight) in from {
            if left < *weight {
                return Some(one);
            }
            left -= weight;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_numbers_for_good() {
        let mut draw = Draw::new(1);
        let drawn = [draw.number(), draw.number(), draw.number()];
        // The published outputs of SplitMix64 for the seed 1.
        let known = [0x910A_2DEC_8902_5CC1, 0xBEEB_8DA1_658E_EC67, 0xF893_A2EE_FB32_555E];
        assert_eq!(drawn, known);
    }

    #[test]
    fn purposes_have_sequences_of_their_own() {
        let draw = Draw::new(7);
        assert_eq!(draw.fork("load").number(), draw.fork("load").number());
        assert_ne!(draw.fork("load").number(), draw.fork("faults").number());
    }

    #[test]
    fn draws_stay_within_their_bounds() {
        let mut draw = Draw::new(3);
        assert!((0..1000).all(|_| (5..=9).contains(&draw.between(5, 9))));
        assert_eq!(draw.pick::<u8>(&[]), None);
        let choices = [("never", 0), ("always", 3)];
        assert!((0..100).all(|_| draw.weighted(&choices) == Some(&"always")));
        assert!(!(0..100).any(|_| draw.percent(0)) && (0..100).all(|_| draw.percent(100)));
    }
}
