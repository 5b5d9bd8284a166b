//! `ehub chaos`: breaks a private fleet under load and checks that it kept its promises.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::interrupted;
use super::successor::go_on_as;
use crate::chaos::catalogue::{self, Fault, Means};
use crate::chaos::kills::{self, KillOptions};
use crate::chaos::run::{self, Options};
use crate::chaos::setup::Payments;
use crate::layout::Layout;
use crate::middleware::{Plan, plan};
use crate::services::{Profile, build};
use crate::ui::{self, Progress};

/// Options of `chaos`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    kills: Option<Sub>,
    /// Seed of faults and load; the same one does the same again
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Minutes with faults
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Only these faults, such as F01,F15
    #[arg(long, value_delimiter = ',')]
    faults: Vec<String>,
    /// Seconds in which the fleet has to come to rest after the faults
    #[arg(long, default_value_t = run::REST.as_secs())]
    rest: u64,
    /// Calls that arrive in a second
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// Customers
    #[arg(long, default_value_t = 20)]
    users: usize,
    /// Sets a variable of a service, as NAME=VALUE
    #[arg(long = "set", global = true)]
    settings: Vec<String>,
    /// Who takes the payments
    #[arg(long, global = true, value_enum, default_value = "sandbox")]
    provider: Payments,
    /// Folder of the report
    #[arg(long, global = true)]
    report: Option<PathBuf>,
    /// Shows the catalogue and ends
    #[arg(long)]
    list: bool,
    /// Writes the catalogue into docs/CHAOS.md and ends
    #[arg(long)]
    write: bool,
    /// Shows the schedule and ends
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Sub {
    /// Kills processes at every failpoint, again and again
    Kills {
        /// Only these points
        #[arg(long = "point")]
        points: Vec<String>,
        /// How often each
        #[arg(long, default_value_t = 10)]
        times: usize,
    },
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        list();
        return Ok(ExitCode::SUCCESS);
    }
    let layout = Layout::discover()?;
    if args.write {
        write(&layout)?;
        return Ok(ExitCode::SUCCESS);
    }
    let progress = Progress::visible();
    if let Some(Sub::Kills { points, times }) = &args.kills {
        let report = args.report.clone().unwrap_or_else(|| layout.state().join("chaos/kills"));
        let (points, settings) = (points.clone(), settings(&args.settings)?);
        let options =
            KillOptions { points, times: *times, payments: args.provider, settings, report };
        prepare(&layout, &progress).await?;
        let report = until_interrupted(Box::pin(kills::run(&options, &progress))).await?;
        ui::line(&format!("\n{}", report.summary()));
        return Ok(code(report.violations.is_empty(), &options.report));
    }
    let options = options(args, &layout)?;
    if args.dry_run {
        show(&options);
        return Ok(ExitCode::SUCCESS);
    }
    prepare(&layout, &progress).await?;
    show(&options);
    let report = until_interrupted(Box::pin(run::run(&options, &progress))).await?;
    for violation in report.violations.iter().take(20) {
        ui::error_line(&format!(
            "  {} [{}]: {}",
            violation.check, violation.subject, violation.detail
        ));
    }
    ui::line(&format!("\nReplay: {}", report.replay));
    Ok(code(report.is_clean(), &options.report))
}

fn options(args: &Args, layout: &Layout) -> Result<Options> {
    if !(args.minutes > 0.0 && args.minutes <= 24.0 * 60.0) {
        bail!("--minutes has to be more than nothing and at most a day");
    }
    let report = layout.state().join(format!("chaos/seed-{}", args.seed));
    Ok(Options {
        seed: args.seed,
        length: Duration::from_secs_f64(args.minutes * 60.0),
        rate: args.rate.max(1),
        users: args.users.max(1),
        faults: faults(&args.faults)?,
        report: args.report.clone().unwrap_or(report),
        rest: Duration::from_secs(args.rest),
        payments: args.provider,
        settings: settings(&args.settings)?,
    })
}

fn faults(ids: &[String]) -> Result<Vec<&'static Fault>> {
    let found = ids.iter().map(|id| {
        let fault = catalogue::find(id).with_context(|| format!("there is no fault {id}"))?;
        match fault.means {
            Means::LeftOut(reason) => bail!("{} cannot be made here: {reason}", fault.id),
            _ => Ok(fault),
        }
    });
    found.collect()
}

fn settings(texts: &[String]) -> Result<Vec<(String, String)>> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').with_context(|| format!("{text} has no ="))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    texts.iter().map(pair).collect()
}

/// The programs of the middleware, and binaries that have failpoints.
pub(super) async fn prepare(layout: &Layout, progress: &Progress) -> Result<()> {
    plan::complete(layout, Plan::detect_private, |text| progress.tell(text))?;
    let step = progress.step("Building the services with failpoints");
    build(layout.root(), Profile::Chaos).await?;
    step.done("cargo build");
    go_on_as(layout, Profile::Chaos)
}

pub(super) async fn until_interrupted<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        outcome = work => outcome,
        signal = interrupted() => bail!("interrupted by {}", signal?),
    }
}

fn code(is_clean: bool, report: &Path) -> ExitCode {
    ui::line(&format!("Report: {}", report.display()));
    if is_clean {
        ui::line("Every promise was kept.");
        ExitCode::SUCCESS
    } else {
        ui::error_line("Promises were BROKEN; the report names them, the logs are beside it.");
        ExitCode::FAILURE
    }
}

fn show(options: &Options) {
    ui::line(&format!("Schedule of seed {}:", options.seed));
    ui::line(&ui::table(&options.schedule().rows()));
}

fn list() {
    let row = |fault: &Fault| {
        let [id, name] = [fault.id, fault.name].map(str::to_owned);
        let how = match fault.means {
            Means::LeftOut(reason) => format!("left out: {reason}"),
            _ => format!("{}; ends: {}", fault.how, fault.heal),
        };
        vec![id, name, how]
    };
    ui::line(&ui::table(&catalogue::ALL.iter().map(row).collect::<Vec<_>>()));
}

fn write(layout: &Layout) -> Result<()> {
    let path = layout.root().join(catalogue::PAGE);
    let page =
        fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    fs::write(&path, catalogue::fill(&page)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    ui::line(&format!("{} is written", catalogue::PAGE));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_found_by_number_and_those_left_out_are_refused_with_the_reason() {
        let named =
            |ids: &[&str]| faults(&ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        assert_eq!(named(&["f01", "F15"]).unwrap().len(), 2);
        assert!(named(&["F99"]).unwrap_err().to_string().contains("F99"));
        assert!(named(&["F36"]).unwrap_err().to_string().contains("preloaded clock"));
    }

    #[test]
    fn settings_are_names_and_values() {
        let parsed = settings(&["EH_MUTANT=a=b".to_owned()]).unwrap();
        assert_eq!(parsed, [("EH_MUTANT".to_owned(), "a=b".to_owned())]);
        assert!(settings(&["nothing".to_owned()]).is_err());
    }
}
