//! What was measured, and whether it is within its bounds.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::neighbour::{Logins, Neighbour};
use crate::bench::overload::{WELL_S, recovered_after, whole_seconds};
use crate::load::{Ask, Report, Tally};

/// What came of the calls of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Calls that were answered, or given up.
    pub calls: u64,
    /// Those of them without a good answer.
    pub failed: u64,
    /// The longest of them, in milliseconds, from the moment at which it was due.
    pub longest_ms: u64,
}

impl Figures {
    /// Share of the calls that failed, in percent; of no calls, none.
    pub fn failed_percent(&self) -> f64 {
        let float = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        float(self.failed) * 100.0 / float(self.calls.max(1))
    }

    fn add(&mut self, tally: Tally) {
        self.calls += tally.ended;
        self.failed += tally.failed;
        let longest = u64::try_from(tally.longest.as_millis()).unwrap_or(u64::MAX);
        self.longest_ms = self.longest_ms.max(longest);
    }
}

/// What came of the calls of a while.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// Of products, and of a customer's orders.
    pub reads: Figures,
    /// Of orders that are paid at once.
    pub checkouts: Figures,
    /// Of logins.
    pub logins: Figures,
    /// How reads and checkouts were answered, by status, or why they were not.
    pub answers: BTreeMap<String, u64>,
    /// How logins were answered.
    pub login_answers: BTreeMap<String, u64>,
    /// Calls that were not started, because too many were under way; they have failed.
    pub not_started: u64,
}

impl Phase {
    pub(super) fn of(shop: &Report, logins: &Report) -> Self {
        let mut phase = Self {
            answers: shop.answers().clone(),
            login_answers: logins.answers().clone(),
            not_started: shop.not_started + logins.not_started,
            ..Self::default()
        };
        for (ask, tally) in shop.tallies().chain(logins.tallies()) {
            let kind = match ask {
                Ask::Products | Ask::Product | Ask::Orders => &mut phase.reads,
                Ask::Place => &mut phase.checkouts,
                Ask::Login => &mut phase.logins,
            };
            kind.add(tally);
        }
        phase
    }

    /// Each kind of calls by its name.
    pub fn kinds(&self) -> [(&'static str, Figures); 3] {
        [("reads", self.reads), ("checkouts", self.checkouts), ("logins", self.logins)]
    }

    fn failed(&self) -> u64 {
        self.kinds().iter().map(|(_, figures)| figures.failed).sum::<u64>() + self.not_started
    }
}

/// After how many seconds customers and logins were well again, of which `length` were watched.
pub(super) fn recovered(shop: &Report, logins: &Report, length: Duration) -> Option<u64> {
    let of = |report: &Report| recovered_after(report.timeline.seconds(), whole_seconds(length));
    Some(of(shop)?.max(of(logins)?))
}

/// What is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// The longest that an answer may take, in milliseconds.
    pub answer_ms: u64,
    /// How long the fleet may take until it is well again, in seconds.
    pub recovery_s: u64,
}

/// The absence of one neighbour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// Who was away.
    pub neighbour: Neighbour,
    /// Before it went away.
    pub before: Phase,
    /// While it was away.
    pub away: Phase,
    /// From its return on.
    pub after: Phase,
    /// How many seconds after its return the fleet was well again; nothing where it was not.
    pub recovered_after_s: Option<u64>,
}

impl Turn {
    /// The bounds that were missed, in words.
    pub fn missed(&self, bounds: Bounds) -> Vec<String> {
        let failed = self.before.failed();
        let mut missed = Vec::new();
        if failed > 0 {
            missed.push(format!("{failed} calls failed before it went away"));
        }
        for (when, phase) in [("while it was away", &self.away), ("after its return", &self.after)]
        {
            missed.extend(self.failures(phase).into_iter().map(|what| format!("{what} {when}")));
            missed.extend(too_long(phase, bounds).map(|what| format!("{what} {when}")));
        }
        missed.extend(self.odd_logins());
        missed.extend(self.logins_while_away());
        missed.extend(self.recovery(bounds));
        missed.iter().map(|what| format!("{}: {what}", self.neighbour)).collect()
    }

    /// Calls that failed although nothing that they need was away.
    fn failures(&self, phase: &Phase) -> Vec<String> {
        let logins = self.neighbour.logins();
        let is_excused = |kind: &str| kind == "logins" && logins != Logins::Served;
        let kinds = phase.kinds().into_iter().filter(|(kind, _)| !is_excused(kind));
        let failing = kinds.filter(|(_, figures)| figures.failed > 0);
        let told = failing.map(|(kind, Figures { calls, failed, .. })| {
            format!("{failed} of {calls} {kind} failed")
        });
        let mut told: Vec<String> = told.collect();
        if phase.not_started > 0 {
            told.push(format!("{} calls were not even started", phase.not_started));
        }
        told
    }

    /// Logins that failed otherwise than they may. One that is under way when the service has just
    /// started may be out of time.
    fn odd_logins(&self) -> Vec<String> {
        const RETURNING: &[&str] = &["503", "504"];
        let Logins::Refused { statuses, .. } = self.neighbour.logins() else { return Vec::new() };
        let mut told = Vec::new();
        for (when, phase, statuses) in [
            ("while it was away", &self.away, statuses),
            ("after its return", &self.after, RETURNING),
        ] {
            let is_allowed = |answer: &str| answer == "200" || statuses.contains(&answer);
            let odd = phase.login_answers.iter().filter(|(answer, _)| !is_allowed(answer));
            told.extend(odd.map(|(answer, count)| format!("{count} logins got: {answer}, {when}")));
        }
        told
    }

    fn logins_while_away(&self) -> Option<String> {
        let Logins::Refused { within, .. } = self.neighbour.logins() else { return None };
        let Figures { failed, longest_ms, .. } = self.away.logins;
        if failed == 0 {
            return Some("no login failed, so it was not away".to_owned());
        }
        let within_ms = u64::try_from(within?.as_millis()).unwrap_or(u64::MAX);
        (longest_ms > within_ms).then(|| {
            format!("a login was refused after {longest_ms} ms, not within {within_ms} ms")
        })
    }

    fn recovery(&self, bounds: Bounds) -> Option<String> {
        let bound = bounds.recovery_s;
        match self.recovered_after_s {
            Some(seconds) if seconds <= bound => None,
            Some(seconds) => Some(format!(
                "all was well again {seconds} s after its return, not within {bound} s"
            )),
            None => Some(format!(
                "no {WELL_S} seconds in a row were well in the time for which its return was watched"
            )),
        }
    }
}

fn too_long(phase: &Phase, bounds: Bounds) -> impl Iterator<Item = String> {
    let bound = bounds.answer_ms;
    let kinds = phase.kinds().into_iter().filter(move |(_, kind)| kind.longest_ms > bound);
    kinds.map(move |(kind, Figures { longest_ms, .. })| {
        format!("the longest of the {kind} took {longest_ms} ms, not {bound} ms,")
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::load::Outcome;

    pub(in crate::bench::neighbours) const BOUNDS: Bounds =
        Bounds { answer_ms: 11_000, recovery_s: 30 };

    fn phase() -> Phase {
        let figures = Figures { calls: 100, failed: 0, longest_ms: 90 };
        Phase { reads: figures, checkouts: figures, logins: figures, ..Phase::default() }
    }

    pub(in crate::bench::neighbours) fn turn(neighbour: Neighbour) -> Turn {
        let [before, away, after] = [phase(), phase(), phase()];
        Turn { neighbour, before, away, after, recovered_after_s: Some(0) }
    }

    /// A turn in which nobody could log in.
    fn locked_out(neighbour: Neighbour, answer: &str, longest_ms: u64) -> Turn {
        let mut turn = turn(neighbour);
        turn.away.logins = Figures { calls: 40, failed: 40, longest_ms };
        turn.away.login_answers.insert(answer.to_owned(), 40);
        turn
    }

    #[test]
    fn where_nothing_fails_nothing_is_missed() {
        for neighbour in Neighbour::ALL.into_iter().filter(|it| it.logins() == Logins::Served) {
            assert_eq!(turn(neighbour).missed(BOUNDS), [""; 0]);
        }
    }

    #[test]
    fn not_one_call_may_fail_that_does_not_need_who_is_away() {
        let mut turn = turn(Neighbour::Redis);
        turn.away.reads.failed = 1;
        turn.away.logins.failed = 2;
        turn.after.checkouts.failed = 3;
        turn.after.not_started = 4;
        assert_eq!(
            turn.missed(BOUNDS),
            [
                "Redis, frozen: 1 of 100 reads failed while it was away",
                "Redis, frozen: 2 of 100 logins failed while it was away",
                "Redis, frozen: 3 of 100 checkouts failed after its return",
                "Redis, frozen: 4 calls were not even started after its return",
            ]
        );
    }

    #[test]
    fn without_auth_service_logins_fail_and_nothing_else_may() {
        assert_eq!(locked_out(Neighbour::AuthService, "504", 5_010).missed(BOUNDS), [""; 0]);
        assert_eq!(locked_out(Neighbour::AuthServiceKilled, "503", 20).missed(BOUNDS), [""; 0]);
        let mut turn = locked_out(Neighbour::AuthServiceKilled, "503", 20);
        turn.away.checkouts.failed = 1;
        let missed = turn.missed(BOUNDS);
        assert_eq!(missed, ["auth-service, killed: 1 of 100 checkouts failed while it was away"]);
    }

    #[test]
    fn a_service_that_is_dead_is_no_reason_to_wait() {
        let late = locked_out(Neighbour::AuthServiceKilled, "503", 1_001).missed(BOUNDS);
        let expected =
            "auth-service, killed: a login was refused after 1001 ms, not within 1000 ms";
        assert_eq!(late, [expected]);
        let in_vain = locked_out(Neighbour::AuthServiceKilled, "504", 20).missed(BOUNDS);
        assert_eq!(in_vain, ["auth-service, killed: 40 logins got: 504, while it was away"]);
        let mut returning = locked_out(Neighbour::AuthServiceKilled, "503", 20);
        returning.after.login_answers.insert("504".to_owned(), 1);
        assert_eq!(returning.missed(BOUNDS), [""; 0]);
        let unanswered = locked_out(Neighbour::AuthService, "connection lost", 20).missed(BOUNDS);
        let expected = "auth-service, frozen: 40 logins got: connection lost, while it was away";
        assert_eq!(unanswered, [expected]);
    }

    #[test]
    fn logins_without_who_answers_them_prove_that_nobody_was_away() {
        let missed = turn(Neighbour::AuthService).missed(BOUNDS);
        assert_eq!(missed, ["auth-service, frozen: no login failed, so it was not away"]);
    }

    #[test]
    fn no_answer_comes_after_its_time() {
        let mut turn = locked_out(Neighbour::AuthService, "504", 11_000);
        turn.after.reads.longest_ms = 11_001;
        let expected = "auth-service, frozen: the longest of the reads took 11001 ms, not 11000 ms, \
                        after its return";
        assert_eq!(turn.missed(BOUNDS), [expected]);
    }

    #[test]
    fn all_has_to_be_well_again_in_time() {
        let of = |recovered_after_s| {
            let mut turn = turn(Neighbour::Consul);
            turn.recovered_after_s = recovered_after_s;
            turn.missed(BOUNDS)
        };
        assert_eq!(of(Some(30)), [""; 0]);
        let late = "Consul, frozen: all was well again 31 s after its return, not within 30 s";
        assert_eq!(of(Some(31)), [late]);
        assert!(of(None)[0].starts_with("Consul, frozen: no 5 seconds in a row were well"));
    }

    #[test]
    fn a_fleet_that_was_not_well_before_is_no_measure() {
        let mut turn = turn(Neighbour::RabbitMq);
        turn.before.reads.failed = 1;
        turn.before.not_started = 1;
        let expected = "RabbitMQ, frozen: 2 calls failed before it went away";
        assert_eq!(turn.missed(BOUNDS), [expected]);
    }

    #[test]
    fn calls_are_counted_by_their_kind() {
        let outcome = |ask, answer, ms| {
            let (due, elapsed) = (Duration::ZERO, Duration::from_millis(ms));
            Outcome { ask, due, answer, code: None, elapsed }
        };
        let (mut shop, mut logins) = (Report::default(), Report::default());
        for (ask, ms) in [(Ask::Products, 5), (Ask::Product, 9), (Ask::Orders, 7)] {
            shop.arrive(Duration::ZERO);
            shop.add(&outcome(ask, Ok(200), ms));
        }
        shop.arrive(Duration::ZERO);
        shop.add(&outcome(Ask::Place, Ok(202), 3));
        logins.arrive(Duration::ZERO);
        logins.add(&outcome(Ask::Login, Err("timeout"), 20));
        let phase = Phase::of(&shop, &logins);
        assert_eq!(phase.reads, Figures { calls: 3, failed: 0, longest_ms: 9 });
        assert_eq!(phase.checkouts, Figures { calls: 1, failed: 0, longest_ms: 3 });
        assert_eq!(phase.logins, Figures { calls: 1, failed: 1, longest_ms: 20 });
        assert!((phase.logins.failed_percent() - 100.0).abs() < 1e-9);
        assert!(Figures::default().failed_percent().abs() < 1e-9);
        assert_eq!(phase.login_answers.get("timeout"), Some(&1));
        assert_eq!(recovered(&shop, &logins, Duration::from_secs(6)), None);
    }
}
