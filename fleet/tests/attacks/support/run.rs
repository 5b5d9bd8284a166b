//! Runs rows on one shared fleet.

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, RwLock};

use super::stage::Stage;

/// How long a row may take that does not say otherwise.
const LIMIT: Duration = Duration::from_mins(2);
/// Rows at once: they wait for the fleet most of the time, and it has to answer in time.
const ROWS_AT_ONCE: usize = 3;

/// What a row does, on the stage that it shares with others.
type Attack = for<'s> fn(&'s Stage) -> Pin<Box<dyn Future<Output = Result<()>> + 's>>;

/// A row of the catalogue.
pub(crate) struct Row {
    name: &'static str,
    attack: Attack,
    limit: Duration,
    is_alone: bool,
}

impl Row {
    /// Use `row!`.
    pub(crate) fn new(name: &'static str, attack: Attack) -> Self {
        Self { name, attack, limit: LIMIT, is_alone: false }
    }

    /// Runs while no other row runs: it measures, or disturbs.
    pub(crate) fn alone(self) -> Self {
        Self { is_alone: true, ..self }
    }

    /// May take longer than others.
    pub(crate) fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }
}

/// The row that this function is.
macro_rules! row {
    ($attack:ident) => {
        $crate::support::run::Row::new(stringify!($attack), |stage| Box::pin($attack(stage)))
    };
}
pub(crate) use row;

/// What all rows share.
struct Shared {
    runtime: Runtime,
    /// Why the stage cannot be set is said by every row, and tried once.
    stage: OnceCell<Result<Stage>>,
    turn: RwLock<()>,
}

impl Shared {
    fn play(&self, row: &Row) -> Result<()> {
        self.runtime.block_on(async {
            let stage = self.stage.get_or_init(Stage::set).await;
            let stage = stage.as_ref().map_err(|error| anyhow!("no fleet: {error:#}"))?;
            let play = async {
                let late = || format!("not done within {} s", row.limit.as_secs());
                tokio::time::timeout(row.limit, (row.attack)(stage)).await.with_context(late)?
            };
            if row.is_alone {
                let _turn = self.turn.write().await;
                play.await
            } else {
                let _turn = self.turn.read().await;
                play.await
            }
        })
    }
}

/// Options of the command line that are followed by a value.
const WITH_VALUE: [&str; 5] = ["--skip", "--test-threads", "--logfile", "--color", "--format"];

/// Takes the filters out of the command line: the built-in harness takes any number of them,
/// `libtest_mimic` one.
fn without_filters(line: impl Iterator<Item = String>) -> (Vec<String>, Vec<String>) {
    let (mut rest, mut filters) = (Vec::new(), Vec::new());
    let mut is_value = true; // The first word is the program's name.
    for word in line {
        let is_option = word.starts_with('-');
        let takes_value = WITH_VALUE.contains(&word.as_str());
        if is_option || is_value { &mut rest } else { &mut filters }.push(word);
        is_value = takes_value;
    }
    (rest, filters)
}

/// Runs the rows that the command line asks for; then the fleet has to end in order.
pub(crate) fn run(mut rows: Vec<Row>) -> ExitCode {
    let (line, filters) = without_filters(std::env::args());
    let mut arguments = Arguments::from_iter(line);
    arguments.test_threads.get_or_insert(ROWS_AT_ONCE);
    let fits = |name: &str, filter: &str| {
        if arguments.exact { name == filter } else { name.contains(filter) }
    };
    let is_wanted = |name: &str| filters.iter().any(|filter| fits(name, filter));
    rows.retain(|row| filters.is_empty() || is_wanted(row.name));
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let shared = Arc::new(Shared { runtime, stage: OnceCell::new(), turn: RwLock::const_new(()) });
    let trials = rows.into_iter().map(|row| trial(row, Arc::clone(&shared))).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    match end(shared) {
        Ok(()) if !conclusion.has_failed() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the fleet did not end well: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn trial(row: Row, shared: Arc<Shared>) -> Trial {
    let name = row.name;
    let play = move || shared.play(&row).map_err(|error| Failed::from(format!("{error:#}")));
    Trial::test(name, play).with_ignored_flag(true)
}

fn end(shared: Arc<Shared>) -> Result<()> {
    let Shared { runtime, stage, .. } =
        Arc::into_inner(shared).context("a row is still running")?;
    match stage.into_inner() {
        Some(Ok(stage)) => runtime.block_on(stage.finish()),
        Some(Err(_)) | None => Ok(()),
    }
}
