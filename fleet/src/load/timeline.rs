//! What became of the calls, second by second.
//!
//! A call belongs to the second in which it was due; a good answer counts as work done in the second in
//! which it came, which under load is a later one.

use std::time::Duration;

use serde::Serialize;

use super::mix::Class;
use super::report::ratio;

/// One second of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Second {
    /// Calls that were due in it.
    pub due: u64,
    /// Those of them that got a good answer, whenever it came.
    pub good: u64,
    /// Good answers that came in it, to calls that change something.
    pub changes: u64,
    /// Good answers that came in it, to calls that read.
    pub reads: u64,
}

impl Second {
    /// Whether no more than one in a hundred of the calls that were due got no good answer.
    pub fn is_well(&self) -> bool {
        self.due.saturating_sub(self.good).saturating_mul(100) <= self.due
    }

    fn came(&self, class: Class) -> u64 {
        match class {
            Class::Change => self.changes,
            Class::Read => self.reads,
        }
    }
}

/// The seconds of a run, from the moment at which its first call was due.
#[derive(Clone, Debug, Default)]
pub struct Timeline(Vec<Second>);

impl Timeline {
    /// Notes that a call was due, so long after the first one.
    pub(super) fn arrive(&mut self, due: Duration) {
        self.at(due, |second| second.due += 1);
    }

    /// Notes the good answer to a call that was due then, and how long after it came.
    pub(super) fn good(&mut self, class: Class, due: Duration, elapsed: Duration) {
        self.at(due, |second| second.good += 1);
        self.at(due + elapsed, |second| match class {
            Class::Change => second.changes += 1,
            Class::Read => second.reads += 1,
        });
    }

    /// The seconds, up to the last one in which anything was due or came.
    pub fn seconds(&self) -> &[Second] {
        &self.0
    }

    /// Good answers to calls of a class in a second, over the first `length` seconds. What came later
    /// was not done in that time.
    pub fn goodput(&self, class: Class, length: usize) -> f64 {
        let came = self.0.iter().take(length).map(|second| second.came(class)).sum();
        ratio(came, u64::try_from(length).unwrap_or(u64::MAX))
    }

    fn at(&mut self, time: Duration, note: impl FnOnce(&mut Second)) {
        let place = usize::try_from(time.as_secs()).unwrap_or(usize::MAX - 1);
        if self.0.len() <= place {
            self.0.resize(place + 1, Second::default());
        }
        if let Some(second) = self.0.get_mut(place) {
            note(second);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTH: Duration = Duration::from_millis(100);

    #[test]
    fn calls_count_where_they_were_due_and_answers_where_they_came() {
        let mut timeline = Timeline::default();
        for _ in 0..3 {
            timeline.arrive(Duration::from_millis(900));
        }
        timeline.good(Class::Read, Duration::from_millis(900), TENTH / 2);
        timeline.good(Class::Change, Duration::from_millis(900), TENTH);
        let first = Second { due: 3, good: 2, changes: 0, reads: 1 };
        let second = Second { changes: 1, ..Second::default() };
        assert_eq!(timeline.seconds(), [first, second]);
    }

    #[test]
    fn what_came_after_the_time_was_not_done_in_it() {
        let mut timeline = Timeline::default();
        for number in 0..4 {
            timeline.good(Class::Change, TENTH * number, Duration::from_secs(u64::from(number)));
        }
        let close = |goodput: f64, expected: f64| (goodput - expected).abs() < 1e-9;
        assert!(close(timeline.goodput(Class::Change, 2), 1.0));
        assert!(close(timeline.goodput(Class::Change, 8), 0.5));
        assert!(close(timeline.goodput(Class::Read, 2), 0.0));
        assert!(close(Timeline::default().goodput(Class::Read, 0), 0.0));
    }

    #[test]
    fn one_in_a_hundred_may_fail() {
        let second = |due, good| Second { due, good, ..Second::default() };
        assert!(second(100, 99).is_well() && second(0, 0).is_well() && second(5, 5).is_well());
        assert!(!second(100, 98).is_well() && !second(99, 98).is_well());
    }
}
