//! `ehub mutants`: whether the tests see the bugs that are planted.

use std::process::{ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use tokio::process::Command;

use super::interrupted;
use super::middleware::test_variables;
use crate::layout::Layout;
use crate::leftovers;
use crate::middleware::{Middleware, Plan, Site, plan};
use crate::mutants::{Mutant, TestProgram, Verdict};
use crate::process::{Group, Reaper};
use crate::ui::{self, Progress};

/// Names a planted bug for the processes under test; the chassis reads it.
const PLANTED: &str = "EH_MUTANT";

/// Options of `mutants`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only these; by default all
    names: Vec<String>,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    Reaper::install()?;
    let mutants = chosen(&args.names)?;
    let layout = Layout::discover()?;
    leftovers::sweep(&layout)?;
    let site = Site { layout: leftovers::own(&layout, None), usual_ports: false };
    let outcome = tokio::select! {
        outcome = on_middleware(&site, &mutants) => outcome,
        signal = interrupted() => Err(anyhow!("interrupted by {}", signal?)),
    };
    leftovers::remove(&site.layout)?;
    let missed = outcome?;
    if missed.is_empty() {
        ui::line(&format!("\nAll {} planted bugs were seen.", mutants.len()));
        return Ok(ExitCode::SUCCESS);
    }
    ui::error_line(&format!("\nNOT proven: {}", missed.join(", ")));
    Ok(ExitCode::FAILURE)
}

fn chosen(names: &[String]) -> Result<Vec<Mutant>> {
    let known = |name: &&String| Mutant::ALL.iter().any(|mutant| mutant.name == name.as_str());
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        bail!("there is no planted bug {unknown}; docs/MUTANTS.md lists them");
    }
    let wanted = |mutant: &&Mutant| names.is_empty() || names.iter().any(|n| n == mutant.name);
    Ok(Mutant::ALL.iter().filter(wanted).copied().collect())
}

async fn on_middleware(site: &Site, mutants: &[Mutant]) -> Result<Vec<String>> {
    let progress = Progress::visible();
    let plan = plan::complete(&site.layout, Plan::detect_private, |text| progress.tell(text))?;
    let step = progress.step("Building services and tests");
    let programs = TestProgram::build_all(site.layout.root()).await?;
    step.done("cargo build");
    let trials = mutants.iter().map(|mutant| {
        let program = mutant.program(&programs);
        Ok((mutant, program.with_context(|| format!("no test program is built for {mutant}"))?))
    });
    let trials = trials.collect::<Result<Vec<_>>>()?;
    let mut middleware = Middleware::provide(site, &plan, &progress).await?;
    let variables = test_variables(&middleware.addresses);
    let outcome = judge(&trials, &variables).await;
    middleware.stop().await?;
    outcome
}

/// Runs the tests of each bug with and without it; returns the bugs that are not proven to be seen.
async fn judge(
    trials: &[(&Mutant, &TestProgram)],
    variables: &[(&'static str, String)],
) -> Result<Vec<String>> {
    let mut missed = Vec::new();
    for (mutant, program) in trials {
        let start = Instant::now();
        let without = verdict(program, mutant, variables, "").await?;
        let with = verdict(program, mutant, variables, mutant.name).await?;
        let word = match (without, with) {
            (Verdict::Passed, Verdict::Seen) => "seen",
            (Verdict::Passed, Verdict::Passed) => "SURVIVED",
            (Verdict::Passed, Verdict::Void) => "NO RESULT with it",
            (Verdict::Seen | Verdict::Void, _) => "NO RESULT without it",
        };
        ui::line(&format!("{word:<22} {mutant} ({})", ui::seconds(start.elapsed())));
        if word != "seen" {
            missed.push(mutant.name.to_owned());
        }
    }
    Ok(missed)
}

async fn verdict(
    program: &TestProgram,
    mutant: &Mutant,
    variables: &[(&'static str, String)],
    planted: &str,
) -> Result<Verdict> {
    let mut command = Command::new(&program.executable);
    // A test that fails says so below; its own words would be taken for news.
    command.current_dir(&program.folder).args(["--include-ignored", mutant.filter]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.envs(variables.iter().map(|(name, value)| (name, value))).env(PLANTED, planted);
    let (_, output) = Group::start(&mut command)?.output().await?;
    Ok(Verdict::of(&String::from_utf8_lossy(&output)))
}
