//! Mutants: bugs that are known to happen in systems like this, planted to prove that the tests see
//! them.
//!
//! A check that has never failed proves nothing. Each rule that the fleet's promise rests on is
//! therefore broken on purpose at one place, where [`mutant!`](crate::mutant!) asks whether it is
//! the turn of that bug. Without the feature `mutants` the question is the constant `false`; no
//! shipped binary has the feature.

use std::sync::LazyLock;

/// Names the environment variable with the name of the bug that is planted.
pub const PLANTED: &str = "EH_MUTANT";

static NAME: LazyLock<Option<String>> = LazyLock::new(read);

/// Whether this bug is planted: `if mutant!("acknowledge_before_commit") { … }`.
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        $crate::mutant::is_planted($name)
    };
}

/// See [`mutant!`](crate::mutant!).
///
/// It is a call in optimised binaries, too: a comparison in its place would be one with numbers, and the
/// search for names in binaries (`scripts/check-release.sh`) blind to it.
#[inline(never)]
pub fn is_planted(name: &str) -> bool {
    planted() == Some(name)
}

/// The bug that is planted, if there is one; to be passed on to processes that a test starts.
pub fn planted() -> Option<&'static str> {
    NAME.as_deref()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test plants it; it is no part of the configuration"
)]
fn read() -> Option<String> {
    std::env::var(PLANTED).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_is_planted_unless_asked_for() {
        assert!(!mutant!("anything"));
    }
}
