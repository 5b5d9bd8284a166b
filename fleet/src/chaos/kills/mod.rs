//! The kill matrix: each failpoint, a number of times, one after the other.
//!
//! A point is armed, an action that leads there is sent, the process dies, its successor starts,
//! and the client repeats its call under the same key until it knows. Chaos draws such deaths by
//! chance; the matrix leaves none out. Rest, new work and the audit come once, at the end.

mod action;
pub mod table;

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use self::action::Actor;
use self::table::{ROWS, Row};
use super::arena::{Arena, Death};
use super::checks::Violation;
use super::history::History;
use super::load::{self, Sender, Shop};
use super::new_work::{self, NewWork};
use super::run::REST;
use super::setup::Payments;
use super::standing::Standing;
use super::{evidence, setup, verdict};
use crate::harness::Fleet;
use crate::ui::{self, Progress};

/// How long the fleet may take to come to rest after the last kill.
const SETTLE_LIMIT: Duration = Duration::from_mins(1);
/// A client gives up on a reply after this time.
const CLIENT_PATIENCE: Duration = Duration::from_millis(setup::REQUEST_LIMIT_MS * 2);
const USERS: usize = 4;
/// The matrix is the same each time, and so is its new work.
const SEED: u64 = 0;

/// What to kill.
#[derive(Clone, Debug)]
pub struct KillOptions {
    /// Only these points; all when empty.
    pub points: Vec<String>,
    /// How often each.
    pub times: usize,
    /// Who takes the payments.
    pub payments: Payments,
    /// Variables of the services, such as a planted bug.
    pub settings: Vec<(String, String)>,
    /// Where the report goes.
    pub report: PathBuf,
}

/// What became of one point.
#[derive(Clone, Debug, Serialize)]
pub struct Kills {
    /// The failpoint.
    pub point: &'static str,
    /// The service that died.
    pub service: &'static str,
    /// How often.
    pub times: usize,
    /// How long one took on average, from arming to the answer.
    pub average_ms: u64,
}

/// What the matrix came to.
#[derive(Clone, Debug, Serialize)]
pub struct KillReport {
    /// By point.
    pub kills: Vec<Kills>,
    /// Everybody who died.
    pub deaths: Vec<Death>,
    /// From the last kill to rest; absent when the fleet did not come to rest.
    pub settled_ms: Option<u64>,
    /// What came of the orders that were placed then; absent when the fleet did not come to rest.
    pub new_work: Option<NewWork>,
    /// What the audit looked at.
    pub audit: String,
    /// Broken promises.
    pub violations: Vec<Violation>,
}

impl KillReport {
    /// The report as people read it.
    pub fn summary(&self) -> String {
        let row = |one: &Kills| {
            let [times, average] = [one.times.to_string(), format!("{} ms", one.average_ms)];
            vec![one.point.to_owned(), one.service.to_owned(), times, average]
        };
        let mut text = ui::table(&self.kills.iter().map(row).collect::<Vec<_>>());
        if let Some(NewWork { offered, served, .. }) = self.new_work {
            let _ = writeln!(text, "  {served} of {offered} new orders were paid afterwards");
        }
        for one in &self.violations {
            let _ = writeln!(text, "  {} [{}]: {}", one.check, one.subject, one.detail);
        }
        text
    }
}

/// Runs the matrix; the report is written before this returns.
pub async fn run(options: &KillOptions, progress: &Progress) -> Result<KillReport> {
    let rows = rows(&options.points)?;
    let step = progress.step("Starting a private fleet");
    let fleet = Fleet::start(setup::options(options.payments, &options.settings)).await?;
    setup::stock(&fleet).await?;
    let accounts = setup::accounts(&fleet, USERS).await?;
    let provider = setup::provider_of(&fleet)?;
    step.done("ready");
    std::fs::create_dir_all(&options.report)?;
    let history = Arc::new(History::create(&options.report.join("history.jsonl"))?);
    let sender = Sender::new(fleet.gateway_urls(), CLIENT_PATIENCE, history.clone())?;
    let mut actor = Actor::new(Arc::new(sender), Arc::new(Shop::new(accounts)));
    let mut arena = Arena::new(fleet, provider);
    arena.begin();
    let mut kills = Vec::new();
    for row in rows {
        kills.push(repeat(&mut arena, &mut actor, (row, options.times), progress).await?);
    }
    arena.heal().await?;
    let report = conclude(arena, &actor, (kills, &history)).await?;
    evidence_of(report, options).await
}

fn rows(points: &[String]) -> Result<Vec<&'static Row>> {
    let wanted = |row: &&Row| points.is_empty() || points.iter().any(|point| point == row.point);
    let rows: Vec<&Row> = ROWS.iter().filter(wanted).collect();
    let unknown = points.iter().find(|point| !ROWS.iter().any(|row| row.point == **point));
    match unknown {
        Some(point) => bail!("there is no way to a point {point}"),
        None => Ok(rows),
    }
}

async fn repeat(
    arena: &mut Arena,
    actor: &mut Actor,
    (row, times): (&Row, usize),
    progress: &Progress,
) -> Result<Kills> {
    let Row { point, service, .. } = *row;
    let start = Instant::now();
    for _ in 0..times {
        let killed = actor.kill(arena, row).await;
        if let Err(error) = killed.with_context(|| format!("{point} in {service}")) {
            let detail = format!("{error:#}");
            arena.violations.push(Violation::new(
                "each point is reached and survived",
                point,
                detail,
            ));
            break;
        }
    }
    let elapsed = start.elapsed();
    progress.note(point, service, elapsed);
    let average = elapsed.as_millis() / u128::try_from(times.max(1)).unwrap_or(1);
    let average_ms = u64::try_from(average).unwrap_or(u64::MAX);
    Ok(Kills { point, service, times, average_ms })
}

async fn conclude(
    mut arena: Arena,
    actor: &Actor,
    (kills, history): (Vec<Kills>, &History),
) -> Result<(Arena, KillReport)> {
    let settled = Standing::settle(&arena.fleet, arena.provider.as_ref(), SETTLE_LIMIT).await?;
    if let Err(left) = &settled {
        let limit = format!("{} s", SETTLE_LIMIT.as_secs());
        arena.violations.push(Violation::new("the fleet comes to rest", limit, left.to_string()));
    }
    let settled_ms = settled.ok().and_then(|time| u64::try_from(time.as_millis()).ok());
    let new_work = match settled_ms {
        Some(_) => Some(offer(&mut arena, actor).await?),
        None => None,
    };
    load::read_everything(&actor.sender, &actor.shop).await?;
    let judged = verdict::reach(&arena, history).await?;
    let mut violations = arena.violations.clone();
    violations.extend(judged.violations);
    let (deaths, audit) = (arena.deaths.clone(), judged.audit);
    Ok((arena, KillReport { kills, deaths, settled_ms, new_work, audit, violations }))
}

/// New work, which the audit then knows like all other.
async fn offer(arena: &mut Arena, actor: &Actor) -> Result<NewWork> {
    let (work, violations) = new_work::offer(&actor.sender, &actor.shop, SEED, REST).await?;
    arena.violations.extend(violations);
    Ok(work)
}

async fn evidence_of(
    (arena, mut report): (Arena, KillReport),
    options: &KillOptions,
) -> Result<KillReport> {
    report.violations = evidence::end(arena, &options.report, report.violations).await?;
    let text = serde_json::to_vec_pretty(&report)?;
    std::fs::write(options.report.join("report.json"), text)?;
    std::fs::write(options.report.join("report.md"), report.summary())?;
    Ok(report)
}
