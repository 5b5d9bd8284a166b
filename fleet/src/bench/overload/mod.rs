//! What a fleet still does when far more is asked of it than it bears, and how soon it is well again.
//!
//! First the highest rate that is borne is looked for, in short steps. Then come rounds. Each begins with
//! the rates that may be the peak: that one, one a tenth below it, for a short step may have been lucky,
//! and the one that had the most goodput, for a rate that is not borne may have more than one that is.
//! Then comes a multiple of what is borne, and from the moment in which that ends, a share of it: nobody
//! restarts anything, and nobody waits in between. Calls come in an open loop ([`crate::load`]), so a fleet
//! that is slow is asked no less. What counts is goodput, which is good answers in a second: that of the
//! overloads held against the peak. Calls of one class are what the verdict is meant for; where there are
//! two, the gateway refuses reads first, and each class has its own figures.
//!
//! The steps do not tell the peak themselves. The best of many short ones is the luckiest one, and what
//! an order leaves to be done later (its event, its notice) is not done yet when a short one ends. And a
//! machine whose caches are shared with others does a tenth or two more in one minute than in the next: so
//! what is held against each other is measured side by side, and more than once.

mod measured;
mod report;
mod search;

use std::future::pending;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

pub use self::measured::{Bounds, Measured, Round, Step, WELL_S};
pub(in crate::bench) use self::measured::{recovered_after, whole_seconds};
pub use self::report::Report;
use self::search::Search;
use crate::load::{self, Customer, Mix, Plan};
use crate::ui::Progress;

/// The rate that the search begins with.
const FIRST: u32 = 50;
/// Pause after a rate was tried, in which what it left under way comes to its end.
const PAUSE: Duration = Duration::from_secs(3);
/// The least of the rates that may be the peak, as a percentage of the capacity: the search comes no
/// closer than a tenth.
const BELOW_PERCENT: u32 = 90;
/// What is offered after the overload, as a percentage of the capacity: a fleet that is well bears it.
const AFTER_PERCENT: u32 = 60;

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The rate that is borne, in calls per second; where it is not known, it is looked for.
    pub capacity: Option<u32>,
    /// How many times as many calls are the overload.
    pub times: u32,
    /// What is asked.
    pub mix: Mix,
    /// For how long each rate is tried in search of the capacity; whole seconds count.
    pub step: Duration,
    /// How many overloads there are.
    pub rounds: u32,
    /// How long an overload lasts, and what it is held against; whole seconds count.
    pub overload: Duration,
    /// For how long the fleet is watched afterwards; whole seconds count.
    pub after: Duration,
    /// Calls under way at most.
    pub in_flight_max: usize,
    /// After how long a call is given up.
    pub patience: Duration,
}

impl Options {
    fn plan(&self, rate: u32, length: Duration) -> Plan {
        let Self { mix, in_flight_max, patience, .. } = *self;
        Plan { rate, length, mix, in_flight_max, patience }
    }
}

/// Finds the capacity, goes beyond it in each round, and watches what becomes of it. Fails where the rate
/// that is said to be borne is not, or none is.
pub async fn measure(
    customers: &[Customer],
    options: &Options,
    progress: &Progress,
) -> Result<Measured> {
    let steps = find_capacity(customers, options, progress).await?;
    let capacity = *highest_borne(&steps)?;
    let most = measured::peak(&steps).unwrap_or(&capacity).rate;
    let rates = Rates::of(capacity.rate, most, options.times);
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        let title = format!("Round {number} of {}", options.rounds);
        rounds.push(Box::pin(round(customers, options, &rates, progress, &title)).await?);
    }
    Ok(Measured { steps, capacity, rounds })
}

/// What is offered in a round, in calls per second.
#[derive(Clone, Debug)]
struct Rates {
    /// Those that may be the peak, from the lowest to the highest.
    peaks: Vec<u32>,
    overload: u32,
    after: u32,
}

impl Rates {
    /// Of the highest rate that is borne, and the one that had the most goodput.
    fn of(capacity: u32, most: u32, times: u32) -> Self {
        let below = (capacity.saturating_mul(BELOW_PERCENT) / 100).max(1);
        let mut peaks = vec![below, capacity, most];
        peaks.sort_unstable();
        peaks.dedup();
        let after = (capacity.saturating_mul(AFTER_PERCENT) / 100).max(1);
        Self { peaks, overload: capacity.saturating_mul(times), after }
    }
}

async fn round(
    customers: &[Customer],
    options: &Options,
    rates: &Rates,
    progress: &Progress,
    title: &str,
) -> Result<Round> {
    let Rates { overload, after, .. } = *rates;
    let mut peaks = Vec::new();
    for &rate in &rates.peaks {
        peaks.push(peak(customers, options, rate, progress, title).await?);
    }
    let announced = format!("{title}: {overload} calls a second, then {after}");
    let shown = progress.step(&announced);
    let over = load::run(options.plan(overload, options.overload), customers, pending());
    let afterwards = async {
        // Not when the last call of the overload has ended: that would be a rest.
        sleep(options.overload).await;
        load::run(options.plan(after, options.after), customers, pending()).await
    };
    let (over, afterwards) = tokio::try_join!(Box::pin(over), Box::pin(afterwards))?;
    let seconds = measured::whole_seconds(options.after);
    let round = Round {
        peaks,
        overload: Step::of(overload, options.overload, &over),
        after: Step::of(after, options.after, &afterwards),
        recovered_after_s: measured::recovered_after(afterwards.timeline.seconds(), seconds),
        seconds_after: afterwards.timeline.seconds().iter().copied().take(seconds).collect(),
    };
    shown.done(&format!("{:.1} % left", round.kept_percent()));
    Ok(round)
}

/// Offers what may be the peak, for as long as the overload lasts.
async fn peak(
    customers: &[Customer],
    options: &Options,
    rate: u32,
    progress: &Progress,
    title: &str,
) -> Result<Step> {
    let announced = format!("{title}: {rate} calls a second");
    let shown = progress.step(&announced);
    let report =
        Box::pin(load::run(options.plan(rate, options.overload), customers, pending())).await?;
    let step = Step::of(rate, options.overload, &report);
    shown.done(&step.summary());
    sleep(PAUSE).await;
    Ok(step)
}

/// Tries rates until the highest one that is borne is known; only the one that is said to be, if any.
async fn find_capacity(
    customers: &[Customer],
    options: &Options,
    progress: &Progress,
) -> Result<Vec<Step>> {
    let mut search = Search::from(FIRST);
    let mut steps = Vec::new();
    while let Some(rate) = options.capacity.or_else(|| search.next()) {
        let announced = format!("Offering {rate} calls a second");
        let shown = progress.step(&announced);
        let plan = options.plan(rate, options.step);
        let report = Box::pin(load::run(plan, customers, pending())).await?;
        let step = Step::of(rate, options.step, &report);
        shown.done(&step.summary());
        if let Some(advice) = report.advice().filter(|advice| advice.contains("RATE_LIMITED")) {
            progress.tell(advice);
        }
        search.learn(rate, step.is_borne());
        steps.push(step);
        sleep(PAUSE).await;
        if options.capacity.is_some() {
            break;
        }
    }
    Ok(steps)
}

fn highest_borne(steps: &[Step]) -> Result<&Step> {
    let borne = steps.iter().filter(|step| step.is_borne()).max_by_key(|step| step.rate);
    let least = steps.iter().map(|step| step.rate).min().unwrap_or_default();
    let capacity = borne.with_context(|| format!("not even {least} calls a second are borne"))?;
    ensure!(capacity.goodput() > 0.0, "nothing came in time that could be counted");
    Ok(capacity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(rate: u32, failed_share: f64) -> Step {
        Step { rate, reads: 1.0, failed_share, ..Step::default() }
    }

    #[test]
    fn the_capacity_is_the_highest_rate_that_is_borne() {
        let steps = [step(50, 0.0), step(100, 0.2), step(75, 0.001), step(88, 0.02)];
        assert_eq!(highest_borne(&steps).unwrap().rate, 75);
    }

    #[test]
    fn rates_follow_from_what_is_borne_and_none_is_nothing() {
        let Rates { peaks, overload, after } = Rates::of(80, 125, 5);
        assert_eq!((peaks, overload, after), (vec![72, 80, 125], 400, 48));
        assert_eq!(
            Rates::of(80, 60, 5).peaks,
            [60, 72, 80],
            "answers of a slow step come after it"
        );
        assert_eq!(Rates::of(80, 80, 5).peaks, [72, 80]);
        let Rates { peaks, after, .. } = Rates::of(1, 1, 5);
        assert_eq!((peaks, after), (vec![1], 1));
    }

    #[test]
    fn a_fleet_that_bears_nothing_has_no_capacity() {
        let refused = highest_borne(&[step(50, 1.0), step(25, 0.5)]).unwrap_err();
        assert_eq!(refused.to_string(), "not even 25 calls a second are borne");
        let silent = Step { reads: 0.0, ..step(1, 0.0) };
        assert!(highest_borne(&[silent]).unwrap_err().to_string().contains("in time"));
    }
}
