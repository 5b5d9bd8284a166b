//! The two steps in which a process stops: first it takes no new work, then it lets go.

use tokio_util::sync::CancellationToken;

/// The tokens that tell a process' parts to stop.
///
/// The soft token is cancelled when the process was asked to stop and its port has answered the
/// requests that ran: take no new work, finish what runs. The hard token is cancelled when the
/// drain deadline has passed: drop what still runs. The hard step implies the soft one.
#[derive(Clone, Debug)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Shutdown {
    /// Creates the tokens of a process that runs.
    pub fn new() -> Self {
        Self { soft: CancellationToken::new(), hard: CancellationToken::new() }
    }

    /// The tokens of a part that may be told to stop before the rest, and never stops after it.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { soft: self.soft.child_token(), hard: self.hard.child_token() }
    }

    /// The token that says: take no new work.
    pub fn soft(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// The token that says: the time to finish is over.
    pub fn hard(&self) -> CancellationToken {
        self.hard.clone()
    }

    /// Asks for no new work.
    pub fn begin(&self) {
        self.soft.cancel();
    }

    /// Ends the time to finish.
    pub fn force(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginning_leaves_time_to_finish() {
        let shutdown = Shutdown::new();
        shutdown.begin();
        assert!(shutdown.soft().is_cancelled());
        assert!(!shutdown.hard().is_cancelled());
    }

    #[test]
    fn a_part_stops_before_the_whole_or_with_it() {
        let whole = Shutdown::new();
        let (first, second) = (whole.part(), whole.part());
        first.force();
        assert!(!whole.soft().is_cancelled());
        whole.begin();
        assert!(second.soft().is_cancelled());
        assert!(!second.hard().is_cancelled());
    }

    #[test]
    fn forcing_also_stops_new_work() {
        let shutdown = Shutdown::default();
        let seen_by_a_task = shutdown.clone();
        shutdown.force();
        assert!(seen_by_a_task.soft().is_cancelled());
        assert!(seen_by_a_task.hard().is_cancelled());
    }
}
