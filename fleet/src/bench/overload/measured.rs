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

/// One overload, and what it is held against.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// Each of the rates that may be the peak, in their order, each for as long as the overload.
    pub peaks: Vec<Step>,
    /// The overload.
    pub overload: Step,
    /// What was offered afterwards.
    pub after: Step,
    /// After how many seconds the fleet was well again; nothing where it was not.
    pub recovered_after_s: Option<u64>,
    /// What became of the calls afterwards, second by second.
    pub seconds_after: Vec<Second>,
}

/// Figures of a capacity, of overloads, and of the time after each.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Rates that were tried in search of the capacity, in their order.
    pub steps: Vec<Step>,
    /// The highest rate that is borne.
    pub capacity: Step,
    /// The overloads, one after the other.
    pub rounds: Vec<Round>,
}

impl Measured {
    /// How much of the peak goodput was left under overload, in percent, in all rounds together. The peak
    /// is the rate that had the most of it in all of them. The bound is about this.
    pub fn kept_percent(&self) -> f64 {
        percent(self.mean(|round| round.overload.goodput()), self.most(Step::goodput))
    }

    /// How much of the most that a class had at any rate before an overload was left to it under
    /// overload, in percent, in all rounds together; nothing where it was not asked for.
    pub fn kept_of_class_percent(&self, class: Class) -> Option<f64> {
        let most = self.most(|step| step.goodput_of(class));
        let kept = self.mean(|round| round.overload.goodput_of(class));
        (most > 0.0).then(|| percent(kept, most))
    }

    /// The most that any of the rates before the overloads had, in all rounds together.
    fn most(&self, of: impl Fn(&Step) -> f64) -> f64 {
        let rates = self.rounds.first().map_or(0, |round| round.peaks.len());
        let mean = |rate: usize| self.mean(|round| round.peaks.get(rate).map_or(0.0, &of));
        (0..rates).map(mean).fold(0.0, f64::max)
    }

    /// After how many seconds the fleet was well again in the worst of the rounds; nothing where it was
    /// not in one of them.
    pub fn recovered_after_s(&self) -> Option<u64> {
        let each: Option<Vec<u64>> =
            self.rounds.iter().map(|round| round.recovered_after_s).collect();
        each?.into_iter().max()
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
        match self.recovered_after_s() {
            Some(seconds) if seconds <= recovery_s => {}
            Some(seconds) => missed.push(format!(
                "the fleet was well again after {seconds} s, not within {recovery_s} s"
            )),
            None => missed.push(format!(
                "the fleet was not well again after each overload in the {} s in which it was watched",
                self.rounds.iter().map(|round| round.seconds_after.len()).max().unwrap_or_default()
            )),
        }
        missed
    }

    fn mean(&self, of: impl Fn(&Round) -> f64) -> f64 {
        let count = u32::try_from(self.rounds.len().max(1)).unwrap_or(u32::MAX);
        self.rounds.iter().map(of).sum::<f64>() / f64::from(count)
    }
}

impl Round {
    /// How much of the most goodput of this round was left under its overload, in percent.
    pub fn kept_percent(&self) -> f64 {
        let most = self.peaks.iter().map(Step::goodput).fold(0.0, f64::max);
        percent(self.overload.goodput(), most)
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

    /// Of a fleet that bears 80 calls a second, did most when it was offered 125, and had so many changes
    /// left under each overload, and was well again after so many seconds.
    fn measured(rounds: &[(f64, Option<u64>)]) -> Measured {
        let capacity = Step { rate: 80, changes: 20.0, reads: 60.0, ..Step::default() };
        let peak = Step { rate: 125, changes: 30.0, reads: 70.0, failed_share: 0.2, ..capacity };
        let beyond = Step { rate: 160, changes: 40.0, reads: 30.0, failed_share: 0.5, ..capacity };
        let round = |&(changes, recovered_after_s)| Round {
            peaks: vec![capacity, peak],
            overload: Step { rate: 400, changes, reads: 20.0, ..capacity },
            after: Step { rate: 60, ..Step::default() },
            recovered_after_s,
            seconds_after: vec![Second::default(); 60],
        };
        let steps = vec![capacity, beyond, peak];
        Measured { steps, capacity, rounds: rounds.iter().map(round).collect() }
    }

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-9
    }

    #[test]
    fn a_part_of_the_peak_has_to_be_left_and_not_only_of_what_is_borne() {
        let kept = measured(&[(60.0, Some(30))]);
        assert!(close(kept.kept_percent(), 80.0));
        assert_eq!(kept.missed(BOUNDS), [""; 0]);
        let lost = measured(&[(59.5, Some(0))]).missed(BOUNDS);
        assert_eq!(lost, ["79.5 % of the peak goodput was left under overload, not 80 %"]);
    }

    #[test]
    fn the_peak_is_the_step_with_the_most_goodput_also_where_much_of_it_failed() {
        assert_eq!(peak(&measured(&[]).steps).unwrap().rate, 125);
    }

    #[test]
    fn all_overloads_count_for_goodput_and_the_worst_one_for_recovery() {
        let mut kept = measured(&[(70.0, Some(2)), (50.0, Some(9)), (60.0, Some(0))]);
        assert!(close(kept.kept_percent(), 80.0));
        assert!(close(kept.rounds[1].kept_percent(), 70.0));
        assert_eq!((kept.recovered_after_s(), kept.missed(BOUNDS).len()), (Some(9), 0));
        kept.rounds[0].peaks[0].changes = 380.0;
        assert!(close(kept.kept_percent(), 40.0), "200 a second at one rate, 100 at the other");
        kept.rounds[2].recovered_after_s = None;
        assert_eq!(kept.recovered_after_s(), None);
    }

    #[test]
    fn without_a_round_nothing_is_kept() {
        let none = measured(&[]);
        assert!(close(none.kept_percent(), 0.0));
        assert_eq!(none.missed(BOUNDS).len(), 2);
    }

    #[test]
    fn a_class_is_held_against_the_most_that_it_had() {
        let mut shop = measured(&[(50.0, Some(0)), (70.0, Some(0))]);
        let is = |kept: Option<f64>, expected: f64| close(kept.unwrap(), expected);
        assert!(is(shop.kept_of_class_percent(Class::Change), 200.0));
        assert!(is(shop.kept_of_class_percent(Class::Read), 20.0 / 70.0 * 100.0));
        shop.rounds.iter_mut().flat_map(|round| &mut round.peaks).for_each(|peak| peak.reads = 0.0);
        assert!(shop.kept_of_class_percent(Class::Read).is_none(), "nobody asked");
    }

    #[test]
    fn a_fleet_has_to_be_well_again_in_time() {
        let late = measured(&[(80.0, Some(31))]).missed(BOUNDS);
        assert_eq!(late, ["the fleet was well again after 31 s, not within 30 s"]);
        let never = measured(&[(80.0, Some(0)), (80.0, None)]).missed(BOUNDS);
        assert_eq!(
            never,
            [
                "the fleet was not well again after each overload in the 60 s in which it was watched"
            ]
        );
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
