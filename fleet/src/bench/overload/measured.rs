//! What was measured, and whether it is within its bounds.

use std::time::Duration;

use serde::Serialize;

use crate::load::{Class, Report, Second};

/// So many seconds in a row have to be well before a fleet counts as well again.
pub const WELL_S: usize = 5;
/// Share of the arrivals that may fail at a rate that is borne.
const BORNE: f64 = 0.01;

/// What came of a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Step {
    /// Calls that were offered in a second.
    pub rate: u32,
    /// Good answers in a second to calls that change something.
    pub changes: f64,
    /// Good answers in a second to calls that read.
    pub reads: f64,
    /// Share of the calls without a good answer, 0 to 1.
    pub failed_share: f64,
    /// Calls that were not started, because too many were under way; they have failed.
    pub not_started: u64,
    /// By how much a call was started later than it was due, at most.
    pub latest_start_ms: u64,
}

impl Step {
    pub(super) fn of(rate: u32, length: Duration, report: &Report) -> Self {
        let goodput = |class| report.timeline.goodput(class, whole_seconds(length));
        Self {
            rate,
            changes: goodput(Class::Change),
            reads: goodput(Class::Read),
            failed_share: report.failed_share(),
            not_started: report.not_started,
            latest_start_ms: u64::try_from(report.latest.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Good answers in a second.
    pub fn goodput(&self) -> f64 {
        self.changes + self.reads
    }

    /// Whether next to nothing failed.
    pub fn is_borne(&self) -> bool {
        self.failed_share <= BORNE
    }

    pub(super) fn summary(&self) -> String {
        let verdict = if self.is_borne() { "borne" } else { "too much" };
        format!("{verdict}: {:.1} good answers a second", self.goodput())
    }
}

/// What is allowed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Bounds {
    /// How much of the goodput at the capacity has to be left under overload, in percent, of what
    /// matters most among what is asked.
    pub goodput_percent: f64,
    /// How long the fleet may take until it is well again, in seconds.
    pub recovery_s: u64,
}

/// Figures of a capacity, of an overload, and of the time after it.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Rates that were tried in search of the capacity, in their order.
    pub steps: Vec<Step>,
    /// The highest rate that is borne.
    pub capacity: Step,
    /// The overload.
    pub overload: Step,
    /// What was offered afterwards.
    pub after: Step,
    /// After how many seconds the fleet was well again; nothing where it was not.
    pub recovered_after_s: Option<u64>,
    /// What became of the calls afterwards, second by second.
    pub seconds_after: Vec<Second>,
}

impl Measured {
    /// The class of calls that the bound is about: changes, which the gateway refuses last, if any
    /// are asked for.
    pub fn urgent(&self) -> Class {
        if self.capacity.changes > 0.0 { Class::Change } else { Class::Read }
    }

    /// How much of the goodput of urgent calls was left under overload, in percent.
    pub fn kept_percent(&self) -> f64 {
        let of = |step: &Step| match self.urgent() {
            Class::Change => step.changes,
            Class::Read => step.reads,
        };
        percent(of(&self.overload), of(&self.capacity))
    }

    /// How much of all goodput was left under overload, in percent. Where reads gave way to changes,
    /// which take longer, fewer answers are no less work.
    pub fn kept_of_all_percent(&self) -> f64 {
        percent(self.overload.goodput(), self.capacity.goodput())
    }

    /// The bounds that were missed, in words.
    pub fn missed(&self, bounds: Bounds) -> Vec<String> {
        let Bounds { goodput_percent, recovery_s } = bounds;
        let mut missed = Vec::new();
        let kept = self.kept_percent();
        if kept < goodput_percent {
            missed.push(format!(
                "{kept:.1} % of the goodput was left under overload, not {goodput_percent} %"
            ));
        }
        match self.recovered_after_s {
            Some(seconds) if seconds <= recovery_s => {}
            Some(seconds) => missed.push(format!(
                "the fleet was well again after {seconds} s, not within {recovery_s} s"
            )),
            None => missed.push(format!(
                "the fleet was not well again in the {} s in which it was watched",
                self.seconds_after.len()
            )),
        }
        missed
    }
}

/// After how many of the first `length` seconds those begin that are well, [`WELL_S`] of them in a row.
pub(super) fn recovered_after(seconds: &[Second], length: usize) -> Option<u64> {
    let watched = seconds.get(..length.min(seconds.len())).unwrap_or_default();
    let well = watched.windows(WELL_S).position(|row| row.iter().all(Second::is_well))?;
    u64::try_from(well).ok()
}

pub(super) fn whole_seconds(length: Duration) -> usize {
    usize::try_from(length.as_secs()).unwrap_or(usize::MAX)
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole * 100.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { goodput_percent: 80.0, recovery_s: 30 };

    fn measured(changes: f64, recovered_after_s: Option<u64>) -> Measured {
        let capacity = Step { rate: 100, changes: 25.0, reads: 75.0, ..Step::default() };
        let overload = Step { rate: 500, changes, reads: 15.0, ..capacity };
        Measured {
            steps: vec![capacity],
            capacity,
            overload,
            after: Step { rate: 60, ..Step::default() },
            recovered_after_s,
            seconds_after: vec![Second::default(); 60],
        }
    }

    #[test]
    fn what_matters_most_is_what_has_to_be_left() {
        let kept = measured(20.0, Some(30));
        assert!((kept.kept_percent() - 80.0).abs() < 1e-9);
        assert!((kept.kept_of_all_percent() - 35.0).abs() < 1e-9);
        assert_eq!(kept.missed(BOUNDS), [""; 0]);
        let lost = measured(19.9, Some(0)).missed(BOUNDS);
        assert_eq!(lost, ["79.6 % of the goodput was left under overload, not 80 %"]);
    }

    #[test]
    fn where_nothing_is_changed_reads_matter_most() {
        let mut only_reads = measured(0.0, Some(0));
        only_reads.capacity.changes = 0.0;
        assert!((only_reads.kept_percent() - 20.0).abs() < 1e-9);
    }

    #[test]
    fn a_fleet_has_to_be_well_again_in_time() {
        let late = measured(25.0, Some(31)).missed(BOUNDS);
        assert_eq!(late, ["the fleet was well again after 31 s, not within 30 s"]);
        let never = measured(25.0, None).missed(BOUNDS);
        assert_eq!(never, ["the fleet was not well again in the 60 s in which it was watched"]);
    }

    #[test]
    fn one_good_second_is_not_well_again() {
        let (bad, good) = (Second { due: 9, good: 1, ..Second::default() }, Second::default());
        let mut seconds = vec![bad, good, bad, good, good, good, good, good];
        assert_eq!(recovered_after(&seconds, 8), Some(3));
        assert_eq!(recovered_after(&seconds, 7), None, "the last one was not watched");
        seconds.pop();
        assert_eq!(recovered_after(&seconds, 8), None);
        assert_eq!(recovered_after(&[good; WELL_S], WELL_S), Some(0));
        assert_eq!(recovered_after(&[], 0), None);
    }
}
