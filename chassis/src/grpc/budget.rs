//! How many retries there may be: a share of the calls, saved up within bounds.

use std::sync::atomic::{AtomicI64, Ordering};

/// A budget is counted in thousandths of a retry.
const RETRY: i64 = 1000;

/// A token bucket that calls fill and retries empty.
///
/// Each call adds `ratio` of a retry, so that over any longer time retries stay below that share
/// of the calls, whatever fails: an upstream that is down sees at most `1 + ratio` of the load. A
/// call that is made for a caller's retry adds nothing and costs one: it is a retry itself.
#[derive(Debug)]
pub struct RetryBudget {
    balance: AtomicI64,
    deposit: i64,
    /// The least and the most that the balance may be.
    bounds: (i64, i64),
}

impl RetryBudget {
    /// Returns a full budget that allows `ratio` retries per call, between 0 and 1. It saves up
    /// `saved_max` retries, and is made to pay for `debt_max` retries of others in advance.
    pub fn new(ratio: f64, saved_max: u32, debt_max: u32) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the ratio is clamped to 0..=1 first")]
        let deposit = (ratio.clamp(0.0, 1.0) * 1000.0) as i64;
        let bounds = (-i64::from(debt_max) * RETRY, i64::from(saved_max) * RETRY);
        Self { balance: AtomicI64::new(bounds.1), deposit, bounds }
    }

    /// Enters a call, which is a retry if its caller tried before.
    pub(super) fn enter(&self, previous_attempts: u32) {
        let change = if previous_attempts == 0 { self.deposit } else { -RETRY };
        let (least, most) = self.bounds;
        let add = |balance: i64| Some((balance + change).clamp(least, most));
        let _always_updates = self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Takes one retry, if there is one.
    pub(super) fn try_withdraw(&self) -> bool {
        let take = |balance: i64| (balance >= RETRY).then(|| balance - RETRY);
        self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_saves_up_and_owes_as_much_as_it_is_told() {
        let saved = |budget: &RetryBudget| (0..100).take_while(|_| budget.try_withdraw()).count();
        let spender = RetryBudget::new(1.0, 3, 2);
        assert_eq!(saved(&spender), 3, "what it begins with");
        for _ in 0..50 {
            spender.enter(0);
        }
        assert_eq!(saved(&spender), 3, "what it saves up");
        for _ in 0..50 {
            spender.enter(1);
        }
        for _ in 0..3 {
            spender.enter(0);
        }
        assert_eq!(saved(&spender), 1, "what is left of three when two were owed");
    }
}
