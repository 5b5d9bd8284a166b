//! One run: warm-up, faults, healing, rest, new work, verdict.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::watch;

use super::arena::Arena;
use super::catalogue::Fault;
use super::checks::Violation;
use super::history::History;
use super::load::mix::Mix;
use super::load::{self, Load, Sender, Shop, Tally};
use super::new_work::{self, NewWork};
use super::report::Report;
use super::schedule::{Schedule, Wish};
use super::setup::Payments;
use super::standing::Standing;
use super::{evidence, figures, setup, verdict};
use crate::harness::Fleet;
use crate::ui::Progress;

/// The load runs so long before the first fault.
const WARM_UP: Duration = Duration::from_secs(3);
/// How often the supervisor looks.
const SUPERVISION: Duration = Duration::from_millis(50);
/// After the faults the fleet has to come to rest within this time, unless told otherwise.
pub const REST: Duration = Duration::from_secs(15);
/// A fleet that missed it is watched so much longer, to see whether it ever comes to rest.
const OVERTIME: Duration = Duration::from_secs(45);
/// A client gives up on a reply after this time; the fleet has to answer well before.
const CLIENT_PATIENCE: Duration = Duration::from_millis(setup::REQUEST_LIMIT_MS * 2);

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seed of the schedule and of the load.
    pub seed: u64,
    /// Length of the phase with faults.
    pub length: Duration,
    /// Arrivals in a second.
    pub rate: u32,
    /// Customers.
    pub users: usize,
    /// Only these faults; all when empty.
    pub faults: Vec<&'static Fault>,
    /// Where the report goes.
    pub report: PathBuf,
    /// After the faults the fleet has to come to rest within this time.
    pub rest: Duration,
    /// Who takes the payments.
    pub payments: Payments,
    /// Variables of the services, such as a planted bug.
    pub settings: Vec<(String, String)>,
}

impl Options {
    /// A run of a seed with the usual load.
    pub fn of_seed(seed: u64, length: Duration, report: PathBuf) -> Self {
        let (faults, settings) = (Vec::new(), Vec::new());
        let payments = Payments::default();
        let (rate, users, rest) = (20, 20, REST);
        Self { seed, length, rate, users, faults, report, rest, payments, settings }
    }

    /// The schedule that this run follows.
    pub fn schedule(&self) -> Schedule {
        Schedule::draw(&Wish {
            seed: self.seed,
            length_ms: u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX),
            faults: self.faults.clone(),
            replicas: setup::REPLICATED.map(|service| (service, setup::REPLICAS)).into(),
            sandbox: self.payments == Payments::Sandbox,
        })
    }

    /// The command that runs this again.
    fn replay(&self) -> String {
        let Self { seed, rate, users, .. } = self;
        let minutes = self.length.as_secs_f64() / 60.0;
        let mut text = format!(
            "cargo ehub chaos --seed {seed} --minutes {minutes} --rate {rate} --users {users}"
        );
        if !self.faults.is_empty() {
            let ids: Vec<&str> = self.faults.iter().map(|fault| fault.id).collect();
            let _ = write!(text, " --faults {}", ids.join(","));
        }
        if self.rest != REST {
            let _ = write!(text, " --rest {}", self.rest.as_secs());
        }
        if self.payments == Payments::Simulated {
            text.push_str(" --provider simulated");
        }
        for (name, value) in &self.settings {
            let _ = write!(text, " --set {name}={value}");
        }
        text
    }
}

/// Runs it; the report is written before this returns.
pub async fn run(options: &Options, progress: &Progress) -> Result<Report> {
    let step = progress.step("Starting a private fleet");
    let fleet = Fleet::start(setup::options(options.payments, &options.settings)).await?;
    setup::stock(&fleet).await?;
    let accounts = setup::accounts(&fleet, options.users).await?;
    let provider = setup::provider_of(&fleet)?;
    let sandbox = provider.is_some();
    step.done(&format!("{} customers", accounts.len()));
    let folder = &options.report;
    std::fs::create_dir_all(folder)?;
    let history = Arc::new(History::create(&folder.join("history.jsonl"))?);
    let sender = Sender::new(fleet.gateway_urls(), CLIENT_PATIENCE, history.clone())?;
    let load = Load {
        sender: Arc::new(sender),
        shop: Arc::new(Shop::new(accounts)),
        mix: Mix::new(options.seed, sandbox),
        rate: options.rate,
    };
    let (sender, shop) = (load.sender.clone(), load.shop.clone());
    let schedule = options.schedule();
    let mut arena = Arena::new(fleet, provider);
    let (stop, stopped) = watch::channel(false);
    let step = progress.step("Faults under load");
    let (tally, settled) = tokio::join!(
        load.run(stopped, options.rest + OVERTIME),
        course(&mut arena, (&schedule, options.rest), stop),
    );
    step.done(&format!("{} faults, {} deaths", schedule.episodes.len(), arena.deaths.len()));
    let tally = tally?;
    let step = progress.step("New work");
    let new_work = match settled {
        Ok(_) => Some(offer(&mut arena, options, (&sender, &shop)).await?),
        Err(_) => None,
    };
    step.done(&new_work.map_or_else(String::new, |work| format!("{} orders served", work.served)));
    let step = progress.step("Reading and auditing");
    load::read_everything(&sender, &shop).await?;
    let outcome = (tally, settled, new_work, &*history);
    let report = conclude(options, schedule, &arena, outcome).await?;
    step.done(&format!("{} violations", report.violations.len()));
    evidence::close(arena, folder, report).await
}

/// The faults, from the warm-up to rest. Always ends the load.
async fn course(
    arena: &mut Arena,
    (schedule, rest): (&Schedule, Duration),
    stop: watch::Sender<bool>,
) -> Result<Result<Duration, Standing>> {
    let outcome = strike(arena, schedule).await;
    stop.send_replace(true);
    outcome?;
    let settled = Standing::settle(&arena.fleet, arena.provider.as_ref(), rest).await?;
    if let Err(left) = &settled {
        let late = Standing::settle(&arena.fleet, arena.provider.as_ref(), OVERTIME).await?;
        let end = match late {
            Ok(_) => "done later".to_owned(),
            Err(still) => format!("never done: {still}"),
        };
        let limit = format!("{} s", rest.as_secs());
        let detail = format!("left after {limit}: {left}; {end}");
        arena.violations.push(Violation::new("the fleet comes to rest", limit, detail));
    }
    Ok(settled)
}

/// New work, which the audit then knows like all other.
async fn offer(
    arena: &mut Arena,
    options: &Options,
    (sender, shop): (&Sender, &Shop),
) -> Result<NewWork> {
    let (work, violations) = new_work::offer(sender, shop, options.seed, options.rest).await?;
    arena.violations.extend(violations);
    Ok(work)
}

async fn strike(arena: &mut Arena, schedule: &Schedule) -> Result<()> {
    tokio::time::sleep(WARM_UP).await;
    arena.begin();
    let begin = Instant::now();
    for timed in schedule.acts() {
        let due = Duration::from_millis(timed.at_ms);
        watch_until(arena, begin + due).await?;
        arena.perform(&timed.act).await;
    }
    watch_until(arena, begin + Duration::from_millis(schedule.length_ms)).await?;
    arena.heal().await.context("the fleet does not come back")
}

async fn watch_until(arena: &mut Arena, due: Instant) -> Result<()> {
    loop {
        arena.supervise()?;
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        tokio::time::sleep(left.min(SUPERVISION)).await;
    }
}

type Outcome<'a> = (Tally, Result<Result<Duration, Standing>>, Option<NewWork>, &'a History);

async fn conclude(
    options: &Options,
    schedule: Schedule,
    arena: &Arena,
    (tally, settled, new_work, history): Outcome<'_>,
) -> Result<Report> {
    let mut violations = arena.violations.clone();
    if let Err(error) = &settled {
        violations.push(Violation::new("the fleet comes back", "heal", format!("{error:#}")));
    }
    if tally.unresolved > 0 {
        let detail = "calls whose outcome could not be learnt after the faults";
        violations.push(Violation::new("every call is answered in the end", "keys", detail));
    }
    let judged = verdict::reach(arena, history).await?;
    violations.extend(judged.violations);
    let settled = settled.ok().and_then(Result::ok);
    Ok(Report {
        replay: options.replay(),
        schedule,
        deaths: arena.deaths.clone(),
        notes: arena.notes.clone(),
        figures: figures::of(&judged.calls),
        arrivals: tally.arrivals,
        dropped: tally.dropped,
        settled_ms: settled.and_then(|time| u64::try_from(time.as_millis()).ok()),
        settle_limit_ms: u64::try_from(options.rest.as_millis()).unwrap_or(u64::MAX),
        new_work,
        audit: judged.audit,
        violations,
    })
}
