//! What was measured, and whether it is as promised.

use std::collections::BTreeMap;

use super::{ROUTES, Source};
use crate::bench::good::Served;
use crate::bench::samples::milliseconds;
use crate::load::{Report, counts};

/// What a login with a wrong password may be answered: that it is wrong, or that it is not looked at.
const REFUSALS: [&str; 3] = ["401", "429", "503"];
/// Share of the logins that has to be sent in time, or it is another flood than was asked for.
const SENT: f64 = 0.95;
/// Good answers that a 99th percentile takes: of fewer, less than ten lie above it, and each of these
/// moves it.
const ANSWERS_MIN: usize = 1_000;

/// What is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many times as long the 99th percentile of others may be beside a flood.
    pub p99_times: f64,
    /// Logins in a second that a flood has.
    pub rate: u32,
}

/// A flood, and others beside it.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Where the flood came from.
    pub source: Source,
    /// What came of the logins.
    pub logins: Report,
    /// How others were served, in the order of what they ask for.
    pub beside: Vec<Served>,
}

/// Others without a flood, and beside each.
#[derive(Clone, Debug)]
pub struct Measured {
    /// How others were served alone.
    pub before: Vec<Served>,
    /// Flood by flood.
    pub turns: Vec<Turn>,
}

impl Measured {
    /// What is not as it has to be, in words.
    pub fn missed(&self, bounds: Bounds) -> Vec<String> {
        let before = refusals(&self.before).chain(scarcities(&self.before));
        let before = before.map(|missed| format!("without a flood: {missed}"));
        let turns = self.turns.iter().flat_map(|turn| {
            let missed = turn.missed(&self.before, bounds).into_iter();
            missed.map(move |missed| format!("a flood from {}: {missed}", turn.source))
        });
        before.chain(turns).collect()
    }

    /// How others were served, as a table.
    pub fn others(&self) -> Vec<Vec<String>> {
        let head =
            ["others", "route", "answers", "refused", "median", "p99", "longest", "p99 times"];
        let before = self.before.iter().zip(ROUTES);
        let before = before.map(|(served, route)| row("alone", route, served, None));
        let beside = self.turns.iter().flat_map(|turn| {
            let name = format!("beside {}", turn.source);
            let served = turn.beside.iter().zip(&self.before).zip(ROUTES);
            served.map(move |((served, before), route)| row(&name, route, served, Some(before)))
        });
        std::iter::once(head.map(str::to_owned).to_vec()).chain(before).chain(beside).collect()
    }

    /// What came of the floods, as a table.
    pub fn floods(&self) -> Vec<Vec<String>> {
        let head =
            ["flood from", "logins", "a second", "401", "429", "503", "other", "not started"];
        let floods = self.turns.iter().map(Turn::row);
        std::iter::once(head.map(str::to_owned).to_vec()).chain(floods).collect()
    }
}

impl Turn {
    fn missed(&self, before: &[Served], bounds: Bounds) -> Vec<String> {
        let Bounds { p99_times, rate } = bounds;
        let pairs = self.beside.iter().zip(before).zip(ROUTES);
        let judged = pairs.filter(|((beside, before), _)| is_enough(beside) && is_enough(before));
        let slow = judged.filter_map(|((beside, before), route)| {
            let times = beside.times.p99_times(&before.times);
            let is_quick = times <= p99_times;
            (!is_quick)
                .then(|| format!("the p99 of {route} is {times:.2} times as long, not {p99_times}"))
        });
        let few = scarcities(&self.beside);
        let mut missed: Vec<String> = refusals(&self.beside).chain(few).chain(slow).collect();
        let odd = self.odd();
        if !odd.is_empty() {
            missed.push(format!("logins got: {}", counts(&odd)));
        }
        let sent = self.logins.rate();
        if sent < f64::from(rate) * SENT {
            missed.push(format!("only {sent:.1} logins a second were sent, not {rate}"));
        }
        missed
    }

    /// How often a login was answered as none may be.
    fn odd(&self) -> BTreeMap<String, u64> {
        let mut answers = self.logins.answers().clone();
        answers.retain(|answer, _| !REFUSALS.contains(&answer.as_str()));
        answers
    }

    fn row(&self) -> Vec<String> {
        let Report { arrivals, not_started, .. } = &self.logins;
        let answers = self.logins.answers();
        let refused = REFUSALS.map(|status| answers.get(status).copied().unwrap_or_default());
        let start =
            [self.source.to_string(), arrivals.to_string(), format!("{:.1}", self.logins.rate())];
        let end = [counts(&self.odd()), not_started.to_string()];
        start.into_iter().chain(refused.map(|count| count.to_string())).chain(end).collect()
    }
}

/// Those of the others who were not served throughout.
fn refusals(served: &[Served]) -> impl Iterator<Item = String> {
    let refused = served.iter().zip(ROUTES).filter(|(served, _)| served.refusals() > 0);
    refused.map(|(served, route)| format!("others got at {route}: {}", counts(&served.refused)))
}

/// Those of the others who got too few good answers to be judged by.
fn scarcities(served: &[Served]) -> impl Iterator<Item = String> {
    let scarce = served.iter().zip(ROUTES).filter(|(served, _)| !is_enough(served));
    scarce.map(|(served, route)| {
        let answers = served.times.count();
        format!(
            "only {answers} answers of {route}: too few for a 99th percentile, ask for longer \
             (--for)"
        )
    })
}

fn is_enough(served: &Served) -> bool {
    served.times.count() >= ANSWERS_MIN
}

fn row(name: &str, route: &str, served: &Served, before: Option<&Served>) -> Vec<String> {
    let times = [50, 99, 100].map(|percent| milliseconds(served.times.percentile(percent)));
    let compared = before.map(|before| format!("{:.2}", served.times.p99_times(&before.times)));
    let [answers, refused] = [served.times.count().to_string(), served.refusals().to_string()];
    [name.to_owned(), route.to_owned(), answers, refused]
        .into_iter()
        .chain(times)
        .chain([compared.unwrap_or_default()])
        .collect()
}

#[cfg(test)]
mod tests {
    use std::iter::repeat_n;
    use std::time::Duration;

    use super::*;
    use crate::load::{Ask, Outcome};

    const BOUNDS: Bounds = Bounds { p99_times: 2.0, rate: 200 };

    fn served_times(milliseconds: u64, answers: usize) -> Served {
        let times = repeat_n(Duration::from_millis(milliseconds), answers).collect();
        Served { times, ..Served::default() }
    }

    fn served(milliseconds: u64) -> Served {
        served_times(milliseconds, ANSWERS_MIN)
    }

    fn logins(answers: &[Result<u16, &'static str>]) -> Report {
        let mut report = Report::default();
        for answer in answers {
            let (due, elapsed) = (Duration::ZERO, Duration::from_millis(1));
            report.add(&Outcome { ask: Ask::Login, due, answer: *answer, code: None, elapsed });
        }
        report.arrivals = 200;
        report.elapsed = Duration::from_secs(1);
        report
    }

    fn measured() -> Measured {
        let turn = |source| Turn {
            source,
            logins: logins(&[Ok(401), Ok(429), Ok(429), Ok(503)]),
            beside: vec![served(4), served(10)],
        };
        Measured { before: vec![served(2), served(5)], turns: Source::ALL.map(turn).to_vec() }
    }

    #[test]
    fn others_may_wait_twice_as_long_and_no_longer() {
        let mut measured = measured();
        assert_eq!(measured.missed(BOUNDS), [""; 0]);
        measured.turns[1].beside[1] = served(11);
        let expected =
            "a flood from new addresses: the p99 of /api/v1/orders is 2.20 times as long, not 2";
        assert_eq!(measured.missed(BOUNDS), [expected]);
    }

    #[test]
    fn few_answers_are_told_and_not_judged() {
        let mut measured = measured();
        measured.turns[0].beside[1] = served_times(11, ANSWERS_MIN - 1);
        let expected = "a flood from one address: only 999 answers of /api/v1/orders: too few for a \
            99th percentile, ask for longer (--for)";
        assert_eq!(measured.missed(BOUNDS), [expected]);
        measured.turns[0].beside[1] = served(11);
        measured.before[1] = served_times(5, 1);
        let expected = "without a flood: only 1 answers of /api/v1/orders: too few for a 99th \
            percentile, ask for longer (--for)";
        assert_eq!(measured.missed(BOUNDS), [expected]);
    }

    #[test]
    fn others_may_not_be_refused() {
        let mut measured = measured();
        measured.before[0].refused.insert("503".to_owned(), 1);
        measured.turns[0].beside[1].refused.insert("429".to_owned(), 2);
        let expected = [
            "without a flood: others got at /api/v1/products: 503 x 1",
            "a flood from one address: others got at /api/v1/orders: 429 x 2",
        ];
        assert_eq!(measured.missed(BOUNDS), expected);
    }

    #[test]
    fn a_login_may_be_refused_and_nothing_else() {
        let mut measured = measured();
        measured.turns[0].logins = logins(&[Ok(401), Ok(500), Err("timeout")]);
        measured.turns[1].logins = logins(&[Ok(200)]);
        let expected = [
            "a flood from one address: logins got: 500 x 1, timeout x 1",
            "a flood from new addresses: logins got: 200 x 1",
        ];
        assert_eq!(measured.missed(BOUNDS), expected);
    }

    #[test]
    fn a_flood_that_is_not_sent_is_none() {
        let mut measured = measured();
        measured.turns[0].logins.not_started = 10;
        assert_eq!(measured.missed(BOUNDS), [""; 0]);
        measured.turns[0].logins.not_started = 11;
        let expected = "a flood from one address: only 189.0 logins a second were sent, not 200";
        assert_eq!(measured.missed(BOUNDS), [expected]);
    }

    #[test]
    fn tables_tell_how_others_were_served_and_what_came_of_the_logins() {
        let measured = measured();
        let others = measured.others();
        assert_eq!(others.len(), 1 + 2 + 4);
        let alone = ["alone", "/api/v1/products", "1000", "0", "2.00 ms", "2.00 ms", "2.00 ms", ""];
        assert_eq!(others[1], alone);
        assert_eq!(others[6][0], "beside new addresses");
        assert_eq!(others[6][7], "2.00");
        let floods = measured.floods();
        assert_eq!(floods[1], ["one address", "200", "200.0", "1", "2", "1", "none", "0"]);
    }
}
