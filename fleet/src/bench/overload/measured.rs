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

    /// Good answers in a second to calls of a class.
    pub fn goodput_of(&self, class: Class) -> f64 {
        match class {
            Class::Change => self.changes,
            Class::Read => self.reads,
        }
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
    /// How much of the peak goodput has to be left under overload, in percent.
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
    /// That of the steps with the most goodput, whatever failed beside it.
    pub peak: Step,
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
    /// How much of the peak goodput was left under overload, in percent. The bound is about this.
    pub fn kept_percent(&self) -> f64 {
        percent(self.overload.goodput(), self.peak.goodput())
    }

    /// How much of the goodput at the capacity was left under overload, in percent.
    pub fn kept_of_capacity_percent(&self) -> f64 {
        percent(self.overload.goodput(), self.capacity.goodput())
    }

    /// How much of the most that a class had in any step was left to it under overload, in percent;
    /// nothing where it was not asked for.
    pub fn kept_of_class_percent(&self, class: Class) -> Option<f64> {
        let most = self.steps.iter().map(|step| step.goodput_of(class)).fold(0.0, f64::max);
        (most > 0.0).then(|| percent(self.overload.goodput_of(class), most))
    }

    /// The bounds that were missed, in words.
    pub fn missed(&self, bounds: Bounds) -> Vec<String> {
        let Bounds { goodput_percent, recovery_s } = bounds;
        let mut missed = Vec::new();
        let kept = self.kept_percent();
        if kept < goodput_percent {
            missed.push(format!(
                "{kept:.1} % of the peak goodput was left under overload, not {goodput_percent} %"
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

/// That of the steps with the most goodput.
pub(super) fn peak(steps: &[Step]) -> Option<&Step> {
    steps.iter().max_by(|one, other| one.goodput().total_cmp(&other.goodput()))
}

/// After how many of the first `length` seconds those begin that are well, [`WELL_S`] of them in a row.
pub(in crate::bench) fn recovered_after(seconds: &[Second], length: usize) -> Option<u64> {
    let watched = seconds.get(..length.min(seconds.len())).unwrap_or_default();
    let well = watched.windows(WELL_S).position(|row| row.iter().all(Second::is_well))?;
    u64::try_from(well).ok()
}

pub(in crate::bench) fn whole_seconds(length: Duration) -> usize {
    usize::try_from(length.as_secs()).unwrap_or(usize::MAX)
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole * 100.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { goodput_percent: 80.0, recovery_s: 30 };

    /// Of a fleet that bears 80 calls a second, and did most when it was offered 125.
    fn measured(changes: f64, recovered_after_s: Option<u64>) -> Measured {
        let capacity = Step { rate: 80, changes: 20.0, reads: 60.0, ..Step::default() };
        let peak = Step { rate: 125, changes: 30.0, reads: 70.0, failed_share: 0.2, ..capacity };
        let beyond = Step { rate: 160, changes: 40.0, reads: 30.0, failed_share: 0.5, ..capacity };
        let overload = Step { rate: 400, changes, reads: 20.0, ..capacity };
        let steps = vec![capacity, beyond, peak];
        Measured {
            peak: *super::peak(&steps).unwrap(),
            steps,
            capacity,
            overload,
            after: Step { rate: 60, ..Step::default() },
            recovered_after_s,
            seconds_after: vec![Second::default(); 60],
        }
    }

    #[test]
    fn a_part_of_the_peak_has_to_be_left_and_not_only_of_what_is_borne() {
        let kept = measured(60.0, Some(30));
        assert_eq!(kept.peak.rate, 125);
        assert!((kept.kept_percent() - 80.0).abs() < 1e-9);
        assert!((kept.kept_of_capacity_percent() - 100.0).abs() < 1e-9);
        assert_eq!(kept.missed(BOUNDS), [""; 0]);
        let lost = measured(59.5, Some(0)).missed(BOUNDS);
        assert_eq!(lost, ["79.5 % of the peak goodput was left under overload, not 80 %"]);
    }

    #[test]
    fn a_class_is_held_against_the_most_that_it_had() {
        let mut shop = measured(60.0, Some(0));
        let close = |kept: Option<f64>, expected: f64| (kept.unwrap() - expected).abs() < 1e-9;
        assert!(close(shop.kept_of_class_percent(Class::Change), 150.0));
        assert!(close(shop.kept_of_class_percent(Class::Read), 20.0 / 70.0 * 100.0));
        shop.steps.iter_mut().for_each(|step| step.reads = 0.0);
        assert!(shop.kept_of_class_percent(Class::Read).is_none(), "nobody asked");
    }

    #[test]
    fn a_fleet_has_to_be_well_again_in_time() {
        let late = measured(80.0, Some(31)).missed(BOUNDS);
        assert_eq!(late, ["the fleet was well again after 31 s, not within 30 s"]);
        let never = measured(80.0, None).missed(BOUNDS);
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
