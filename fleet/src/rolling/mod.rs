//! Replaces every process of a fleet in turn, under load, and counts what that costs: nothing.
//!
//! Two processes of each service run. One is told to end, must end with code 0, is started again, and
//! the next one has its turn when everybody knows it. Every round begins with a column and an index more
//! in a table of each schema, and takes them away again when everything is replaced; it ends with a new
//! signing key and with a registry that begins with nothing. Customers order and read all the while; each
//! asks once, so that whatever goes wrong is seen. Afterwards every order is paid, and the books are
//! audited.
//!
//! A fleet that was started as another build ([`FleetOptions::binaries`]) becomes this one in the first
//! round: for as long as that takes, the two work together on the schema of the newer one.

mod expansion;
mod load;
mod report;
mod round;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

pub use self::report::{Report, Turn};
use crate::audit;
use crate::chaos::setup;
use crate::harness::{Fleet, FleetOptions};
use crate::services::Service;
use crate::ui::Progress;

/// Processes of each service.
const REPLICAS: usize = 2;
/// What would end sooner than a long run, or refuse one customer's many orders.
const SETTINGS: &[(&str, &str)] = &[
    ("EH_GATEWAY__RATE_LIMITS__ADDRESS__REQUESTS", "100000000"),
    ("EH_GATEWAY__RATE_LIMITS__DEFAULT__REQUESTS", "1000000"),
    ("EH_GATEWAY__RATE_LIMITS__PAYMENT__REQUESTS", "1000000"),
    ("EH_GATEWAY__RATE_LIMITS__REGISTER__REQUESTS", "1000000"),
    ("EH_GATEWAY__RATE_LIMITS__LOGIN__REQUESTS", "1000000"),
    ("EH_AUTH__SESSIONS__ACCESS_TOKEN_S", "7200"),
];

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How often every process is replaced, at least.
    pub rounds: usize,
    /// How many requests are made, at least; rounds go on until then.
    pub requests: usize,
    /// Customers at once.
    pub clients: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { rounds: 3, requests: 3_000, clients: 6 }
    }
}

/// The options of the fleet: two processes of everything.
pub fn fleet() -> FleetOptions {
    let options = Service::ALL
        .iter()
        .fold(FleetOptions::default(), |options, service| options.replicas(service.name, REPLICAS));
    SETTINGS.iter().fold(options, |options, (name, value)| options.setting(name, value))
}

/// Runs it on a fleet that [`fleet()`] describes.
pub async fn run(fleet: &mut Fleet, options: Options, progress: &Progress) -> Result<Report> {
    setup::stock(fleet).await?;
    let accounts = setup::accounts(fleet, options.clients.max(1)).await?;
    let load = load::Load::new(fleet.gateway_urls())?;
    let step = progress.step("Replacing every process under load");
    let rolled = async {
        let turns = rounds(fleet, &load, options).await;
        // Also after a failure: nobody would tell the customers otherwise.
        load.end();
        turns
    };
    let (turns, orders) = tokio::join!(rolled, load.run(&accounts));
    let (turns, orders) = (turns?, orders?);
    step.done(&format!("{} turns, {} requests", turns.len(), load.requests()));
    let step = progress.step("Waiting for every order and auditing");
    let unpaid = unpaid(fleet, orders).await?;
    let audit = audit::run(&fleet.audit_sources()).await.context("the audit could not look")?;
    let report = Report {
        turns,
        requests: load.requests(),
        orders,
        failures: load.failures(),
        unpaid,
        audit,
    };
    step.done(if report.is_clean() { "clean" } else { "NOT clean" });
    Ok(report)
}

async fn rounds(fleet: &mut Fleet, load: &load::Load, options: Options) -> Result<Vec<Turn>> {
    let mut turns = Vec::new();
    let mut done = 0;
    while done < options.rounds || load.requests() < options.requests {
        done += 1;
        Box::pin(round::replace_expanded(fleet, load, done, &mut turns)).await?;
        turns.push(timed(done, "signing key", load, round::rotate_keys(fleet)).await?);
        turns.push(timed(done, "registry", load, round::restart_registry(fleet)).await?);
    }
    Ok(turns)
}

/// What was done, how long it took, and what the customers did meanwhile.
async fn timed(
    round: usize,
    what: &str,
    load: &load::Load,
    work: impl Future<Output = Result<()>>,
) -> Result<Turn> {
    let (start, before, failed) = (Instant::now(), load.requests(), load.failed());
    work.await.with_context(|| format!("{what}, round {round}"))?;
    Ok(Turn {
        round,
        what: what.to_owned(),
        took: start.elapsed(),
        requests: load.requests() - before,
        failed: load.failed() - failed,
    })
}

/// Waits until as many orders are paid as were acknowledged, and no other is there; returns what is
/// missing in the end.
async fn unpaid(fleet: &Fleet, acknowledged: usize) -> Result<Vec<(String, i64)>> {
    const PATIENCE: Duration = Duration::from_mins(1);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut states = states(fleet).await?;
        let paid =
            states.iter().find(|(status, _)| status == "PAID").map_or(0, |(_, count)| *count);
        if states.len() <= 1 && usize::try_from(paid) == Ok(acknowledged) {
            return Ok(Vec::new());
        }
        if Instant::now() > deadline {
            states.push(("acknowledged".to_owned(), i64::try_from(acknowledged)?));
            return Ok(states);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn states(fleet: &Fleet) -> Result<Vec<(String, i64)>> {
    let mut connection = fleet.database("order-service").await?;
    let states = sqlx::query_as("SELECT status, COUNT(*) FROM orders GROUP BY status")
        .fetch_all(&mut connection)
        .await?;
    sqlx::Connection::close(connection).await?;
    Ok(states)
}
