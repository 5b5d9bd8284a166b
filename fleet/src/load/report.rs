//! What the load amounts to.

use std::collections::BTreeMap;
use std::time::Duration;

use super::histogram::Histogram;
use super::mix::Ask;
use super::timeline::Timeline;
use crate::ui;

/// Kinds of failures told apart; a server may make up any number of codes.
const KINDS_MAX: usize = 50;
const OTHERS: &str = "others";

/// What came of one call.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was asked.
    pub ask: Ask,
    /// When it was due, after the first one.
    pub due: Duration,
    /// The status, or why there is none.
    pub answer: Result<u16, &'static str>,
    /// The error code in the answer.
    pub code: Option<String>,
    /// From the moment at which the call was due to the last byte of its answer.
    pub elapsed: Duration,
}

impl Outcome {
    fn is_good(&self) -> bool {
        self.answer.is_ok_and(|status| (200..300).contains(&status))
    }
}

#[derive(Clone, Debug, Default)]
struct Route {
    times: Histogram,
    good: u64,
}

/// What came of the calls of one route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls that were answered, or given up.
    pub ended: u64,
    /// Those of them without a good answer.
    pub failed: u64,
    /// The longest of them, from the moment at which it was due.
    pub longest: Duration,
}

/// Figures of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    routes: BTreeMap<Ask, Route>,
    answers: BTreeMap<String, u64>,
    codes: BTreeMap<String, u64>,
    /// What became of the calls, second by second.
    pub timeline: Timeline,
    /// Arrivals that came due.
    pub arrivals: u64,
    /// Those that were not started, because too many calls were under way.
    pub not_started: u64,
    /// By how much a call was started later than it was due, at most.
    pub latest: Duration,
    /// From the first arrival to the last one.
    pub elapsed: Duration,
}

impl Report {
    /// Counts an arrival that came due, so long after the first one.
    pub fn arrive(&mut self, due: Duration) {
        self.arrivals += 1;
        self.timeline.arrive(due);
    }

    /// Counts what came of a call.
    pub fn add(&mut self, outcome: &Outcome) {
        if outcome.is_good() {
            self.timeline.good(outcome.ask.class(), outcome.due, outcome.elapsed);
        }
        let route = self.routes.entry(outcome.ask).or_default();
        route.times.record(outcome.elapsed);
        route.good += u64::from(outcome.is_good());
        let answer = match outcome.answer {
            Ok(status) => status.to_string(),
            Err(reason) => reason.to_owned(),
        };
        count(&mut self.answers, answer);
        if let Some(code) = outcome.code.as_ref().filter(|_| !outcome.is_good()) {
            count(&mut self.codes, ui::printable(code));
        }
    }

    /// Calls that were answered, or given up.
    pub fn ended(&self) -> u64 {
        self.routes.values().map(|route| route.times.count()).sum()
    }

    /// What came of the calls, by route.
    pub fn tallies(&self) -> impl Iterator<Item = (Ask, Tally)> {
        self.routes.iter().map(|(ask, Route { times, good })| {
            let ended = times.count();
            (*ask, Tally { ended, failed: ended.saturating_sub(*good), longest: times.max() })
        })
    }

    /// How often each status was answered, or why nothing was.
    pub fn answers(&self) -> &BTreeMap<String, u64> {
        &self.answers
    }

    /// Share of the arrivals that got no good answer. What was not started got none.
    pub fn failed_share(&self) -> f64 {
        let good: u64 = self.routes.values().map(|route| route.good).sum();
        ratio(self.arrivals.saturating_sub(good), self.arrivals)
    }

    /// Calls started in a second.
    pub fn rate(&self) -> f64 {
        let started = self.arrivals.saturating_sub(self.not_started);
        float(started) / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// As people read it.
    pub fn render(&self) -> String {
        let head =
            ["route", "calls", "failed", "p50", "p90", "p99", "p99.9", "max"].map(str::to_owned);
        let rows = self.routes.iter().map(|(ask, route)| row(*ask, route));
        let rows: Vec<Vec<String>> = std::iter::once(head.to_vec()).chain(rows).collect();
        let codes = if self.codes.is_empty() {
            String::new()
        } else {
            format!("  error codes: {}\n", counts(&self.codes))
        };
        let Self { arrivals, not_started, .. } = self;
        format!(
            "{}\n  Times count from the moment at which a call was due.\n  answers: {}\n{codes}  \
             {arrivals} arrivals, {:.1} calls started in a second, {not_started} not started\n  \
             latest start: {} after it was due; failed share: {:.4}\n",
            ui::table(&rows),
            counts(&self.answers),
            self.rate(),
            time(self.latest),
            self.failed_share()
        )
    }

    /// What would make the next run better.
    pub fn advice(&self) -> Option<&'static str> {
        if self.codes.contains_key("RATE_LIMITED") {
            return Some(
                "RATE_LIMITED is the gateway's own limit (docs/EDGE.md): name more --users, or raise \
                 EH_GATEWAY__RATE_LIMITS__… for this fleet",
            );
        }
        (self.not_started > 0).then_some(
            "calls were not started because too many were under way: the fleet is slower than the \
             rate, or --max-in-flight is too low",
        )
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: String) {
    let is_room = counts.len() < KINDS_MAX || counts.contains_key(&name);
    *counts.entry(if is_room { name } else { OTHERS.to_owned() }).or_default() += 1;
}

/// Counts by name, as people read them.
pub(crate) fn counts(counts: &BTreeMap<String, u64>) -> String {
    let parts = counts.iter().map(|(name, count)| format!("{name} x {count}"));
    let text = parts.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "none".to_owned() } else { text }
}

fn row(ask: Ask, route: &Route) -> Vec<String> {
    let Route { times, good } = route;
    let numbers = [times.count(), times.count() - good].map(|number| number.to_string());
    let shares = [500, 900, 990, 999].map(|share| time(times.permille(share)));
    std::iter::once(ask.route().to_owned())
        .chain(numbers)
        .chain(shares)
        .chain([time(times.max())])
        .collect()
}

/// In milliseconds; of a long time, in seconds.
fn time(duration: Duration) -> String {
    if duration < Duration::from_secs(10) {
        format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
    } else {
        ui::seconds(duration)
    }
}

/// A part of a whole; of nothing, nothing.
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { float(part) / float(whole) }
}

#[expect(clippy::cast_precision_loss, reason = "far below the numbers at which it would show")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(ask: Ask, answer: Result<u16, &'static str>, code: Option<&str>) -> Outcome {
        let elapsed = Duration::from_millis(20);
        let code = code.map(str::to_owned);
        Outcome { ask, due: Duration::ZERO, answer, code, elapsed }
    }

    #[test]
    fn what_was_not_started_has_failed() {
        let mut report = Report { arrivals: 4, not_started: 1, ..Report::default() };
        report.add(&outcome(Ask::Place, Ok(201), None));
        report.add(&outcome(Ask::Place, Ok(503), Some("SERVICE_UNAVAILABLE")));
        report.add(&outcome(Ask::Products, Err("timeout"), None));
        assert_eq!(report.ended(), 3);
        let longest = Duration::from_millis(20);
        let placed = Tally { ended: 2, failed: 1, longest };
        assert!(report.tallies().any(|found| found == (Ask::Place, placed)));
        assert_eq!(report.answers().get("timeout"), Some(&1));
        assert!((report.failed_share() - 0.75).abs() < 1e-9);
        assert!(report.advice().unwrap().contains("--max-in-flight"));
        let text = report.render();
        for part in [
            "POST /api/v1/orders   2      1       20.0 ms",
            "answers: 201 x 1, 503 x 1, timeout x 1",
            "error codes: SERVICE_UNAVAILABLE x 1",
            "4 arrivals",
            "1 not started",
            "failed share: 0.7500",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn nothing_asked_is_nothing_failed() {
        let report = Report::default();
        assert!(report.failed_share().abs() < 1e-9);
        assert!(report.render().contains("answers: none"), "{}", report.render());
    }

    #[test]
    fn the_limit_of_the_gateway_is_named_as_such() {
        let mut report = Report { arrivals: 1, ..Report::default() };
        report.add(&outcome(Ask::Login, Ok(429), Some("RATE_LIMITED")));
        assert!(report.advice().unwrap().contains("--users"));
    }

    #[test]
    fn codes_without_end_take_bounded_room() {
        let mut report = Report::default();
        for number in 0..1_000 {
            report.add(&outcome(Ask::Login, Ok(500), Some(&format!("CODE_{number}"))));
        }
        assert!(report.codes.len() <= KINDS_MAX + 1);
        assert_eq!(report.codes.values().sum::<u64>(), 1_000);
    }
}
