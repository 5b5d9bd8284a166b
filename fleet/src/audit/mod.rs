//! The auditor: reads what a fleet has stored and names every broken promise.
//!
//! It looks from outside, as the administrator of the database, and trusts no service: the five
//! schemas in one consistent snapshot, the provider's ledger, the queues, and, where there is one,
//! the history that the clients wrote of their calls. What it compares are invariants
//! ([`Invariant`]); each check names the one it speaks for, and the report says which ones such a
//! reader cannot see.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use fleet::audit::{self, Sources};
//!
//! let report = audit::run(&Sources::of("mysql://root@127.0.0.1:3306", "hub_")).await?;
//! assert!(report.is_clean(), "{report}");
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`invariant`] is the list, [`checks`] are the questions in SQL, [`provider`],
//! [`queues`], [`grants`] and [`history`] the other witnesses, [`report`] the verdict,
//! [`metrics`] what is alarmed on.

pub mod checks;
pub mod grants;
pub mod graph;
pub mod history;
pub mod invariant;
pub mod metrics;
pub mod provider;
pub mod queues;
pub mod report;
pub mod seals;
pub mod settle;
pub mod snapshot;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::{DateTime, Utc};

pub use self::invariant::Invariant;
pub use self::provider::Provider;
pub use self::report::{Report, Violation};
use self::snapshot::Snapshot;

/// Violations of one check that are shown; the others are only counted.
const SHOWN: u32 = 1_000;

/// Where to look.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Address of the database server with an account that may read every schema.
    pub mysql: String,
    /// What stands before `user`, `auth`, `order`, `payment` and `notify` in schema names.
    pub prefix: String,
    /// Where the provider keeps its ledger.
    pub provider: Provider,
    /// The broker's management API with its account; `None` leaves the queues out.
    pub management: Option<String>,
    /// The fleet's name space in the broker.
    pub namespace: String,
    /// The history that the clients wrote.
    pub history: Option<PathBuf>,
    /// Pieces of each product that were put on sale in all; without it, stock is not balanced.
    pub stock: BTreeMap<String, u64>,
    /// Dead letters that somebody has planted and nobody has decided on.
    pub planted: u64,
    /// What is younger than this may still be under way, and is no violation of what has to hold in
    /// the end.
    pub grace: Duration,
    /// Waits until the fleet is quiet, at most this long, before it looks.
    pub settle: Option<Duration>,
    /// What the rows of the audit log are sealed with; without any, seals are not verified.
    pub audit_keys: seals::Keys,
    /// From when on a change must have its row in the audit log; by default, since there is one.
    pub audit_since: Option<DateTime<Utc>>,
}

impl Sources {
    /// A fleet with the simulated provider, looked at as it is.
    pub fn of(mysql: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            mysql: mysql.into(),
            prefix: prefix.into(),
            provider: Provider::Simulated,
            management: None,
            namespace: "enterprisehub".to_owned(),
            history: None,
            stock: BTreeMap::new(),
            planted: 0,
            grace: Duration::from_mins(1),
            settle: None,
            audit_keys: seals::Keys::default(),
            audit_since: None,
        }
    }
}

/// Looks at everything and tells what it saw. An error means that it could not look.
pub async fn run(sources: &Sources) -> Result<Report> {
    let start = Instant::now();
    let mut report = Report::default();
    let history = match &sources.history {
        Some(file) => Some(history::read(file)?),
        None => None,
    };
    if let Some(limit) = sources.settle {
        settle::until_quiet(sources, limit, &mut report).await?;
    }
    let uncollected = queues::check(sources, &mut report).await?;
    // The provider is read before our own books: what it takes on in between is not missed there.
    let foreign = provider::read_foreign(&sources.provider).await?;
    let mut snapshot = Snapshot::open(sources).await?;
    checks::run(&mut snapshot, &mut report).await?;
    let dead_letters = (uncollected, sources.planted);
    queues::check_dead_letters(&mut snapshot, dead_letters, &mut report).await?;
    grants::check(&mut snapshot, &mut report).await?;
    provider::check(&mut snapshot, foreign, &mut report).await?;
    if let Some(calls) = &history {
        history::check(&mut snapshot, calls, &mut report).await?;
    }
    snapshot.close().await?;
    report.finish(sources, start.elapsed());
    Ok(report)
}
