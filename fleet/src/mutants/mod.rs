//! The planted bugs and the tests that have to see them; `docs/MUTANTS.md` is the same for people.

mod programs;

use std::fmt;

pub use self::programs::{Suite, TestProgram};

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// Its name in the code: `mutant!("…")`.
    pub name: &'static str,
    /// The package whose tests see it.
    pub package: &'static str,
    /// The program that holds them.
    pub suite: Suite,
    /// Part of the names of these tests.
    pub filter: &'static str,
}

impl Mutant {
    /// Every bug that is planted somewhere.
    pub const ALL: &'static [Self] = &[
        Self {
            name: "order_guard_without_old_state",
            package: "order-service",
            suite: Suite::Integration,
            filter: "races::",
        },
        Self {
            name: "stock_released_twice",
            package: "order-service",
            suite: Suite::Integration,
            filter: "races::",
        },
        Self {
            name: "idempotency_answer_outside_transaction",
            package: "order-service",
            suite: Suite::Integration,
            filter: "crashes::a_cancellation",
        },
        Self {
            name: "idempotency_key_not_bound_to_user",
            package: "order-service",
            suite: Suite::Integration,
            filter: "keys::a_key_is_bound",
        },
        Self {
            name: "outbox_row_outside_transaction",
            package: "order-service",
            suite: Suite::Integration,
            filter: "crashes::a_cancellation",
        },
        Self {
            name: "late_capture_not_refunded",
            package: "order-service",
            suite: Suite::Integration,
            filter: "cancelling::a_capture_that_comes",
        },
        Self {
            name: "attempt_closed_on_timeout",
            package: "order-service",
            suite: Suite::Integration,
            filter: "recovery::a_payment_whose_outcome",
        },
        Self {
            name: "acknowledged_before_commit",
            package: "notify-service",
            suite: Suite::Integration,
            filter: "crashes::",
        },
        Self {
            name: "outbox_cleared_before_confirm",
            package: "chassis",
            suite: Suite::Integration,
            filter: "outbox::",
        },
        Self {
            name: "inbox_ignored",
            package: "chassis",
            suite: Suite::Integration,
            filter: "inbox::",
        },
        Self {
            name: "failure_acknowledged",
            package: "chassis",
            suite: Suite::Integration,
            filter: "consumer::",
        },
        Self {
            name: "event_not_deduplicated",
            package: "notify-service",
            suite: Suite::Unit,
            filter: "an_event_is_recorded_once",
        },
        Self {
            name: "late_event_applied",
            package: "notify-service",
            suite: Suite::Unit,
            filter: "a_newer_introduction_wins",
        },
        Self {
            name: "unknown_capture_becomes_failed",
            package: "payment-service",
            suite: Suite::Unit,
            filter: "silence_leaves_the_outcome_unknown",
        },
        Self {
            name: "capture_retried_under_new_reference",
            package: "payment-service",
            suite: Suite::Unit,
            filter: "a_call_that_never_arrived_is_made_again",
        },
        Self {
            name: "refund_retried_under_new_id",
            package: "payment-service",
            suite: Suite::Unit,
            filter: "a_refund_that_was_interrupted_is_finished",
        },
        Self {
            name: "callback_signature_over_reserialized_body",
            package: "payment-service",
            suite: Suite::Unit,
            filter: "the_signature_covers_the_bytes",
        },
        Self {
            name: "callback_amount_unchecked",
            package: "payment-service",
            suite: Suite::Unit,
            filter: "another_amount_or_currency_changes_nothing",
        },
        Self {
            name: "ledger_entry_outside_transaction",
            package: "payment-service",
            suite: Suite::Unit,
            filter: "only_the_first_of_two_moves_counts",
        },
        Self {
            name: "late_capture_ignored",
            package: "payment-service",
            suite: Suite::Unit,
            filter: "service::surplus",
        },
    ];

    /// Which of the test programs holds its tests.
    pub fn program<'p>(&self, programs: &'p [TestProgram]) -> Option<&'p TestProgram> {
        programs.iter().find(|one| one.package == self.package && one.suite == self.suite)
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {})", self.name, self.package, self.filter)
    }
}

/// What the tests made of a program with, or without, a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// At least one test failed.
    Seen,
    /// All tests passed, and there was at least one.
    Passed,
    /// No test ran, or the program ended before it told a result: nothing is proven.
    Void,
}

impl Verdict {
    /// Reads the output of a test run.
    pub fn of(output: &str) -> Self {
        let results = || output.lines().filter_map(|line| line.strip_prefix("test result: "));
        if results().any(|line| line.starts_with("FAILED")) {
            return Self::Seen;
        }
        let has_passed = |line: &str| line.starts_with("ok. ") && !line.starts_with("ok. 0 passed");
        if results().any(has_passed) { Self::Passed } else { Self::Void }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_run_is_judged_by_its_results() {
        let passed = "running 2 tests\n\ntest result: ok. 2 passed; 0 failed; 0 ignored";
        assert_eq!(Verdict::of(passed), Verdict::Passed);
        assert_eq!(Verdict::of("test result: FAILED. 1 passed; 1 failed"), Verdict::Seen);
        assert_eq!(Verdict::of("test result: ok. 0 passed; 0 failed; 9 filtered"), Verdict::Void);
        assert_eq!(Verdict::of("error: could not compile"), Verdict::Void);
    }

    /// That the page lists what is in the code, and nothing else, is what `tests/docs.rs` checks.
    #[test]
    fn every_planted_bug_that_is_documented_has_its_test() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/MUTANTS.md");
        let page = std::fs::read_to_string(page).unwrap();
        let documented: BTreeSet<&str> = page
            .lines()
            .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0))
            .collect();
        let tested: BTreeSet<&str> = Mutant::ALL.iter().map(|mutant| mutant.name).collect();
        assert_eq!(tested, documented);
        assert_eq!(Mutant::ALL.len(), tested.len(), "each once");
        assert!(tested.len() >= 12);
    }
}
