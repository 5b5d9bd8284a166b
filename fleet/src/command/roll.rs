//! `ehub roll`: replaces every process of a private fleet under load and counts what that costs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::chaos::{prepare, until_interrupted};
use crate::harness::Fleet;
use crate::layout::Layout;
use crate::rolling::{self, Options};
use crate::ui::{self, Progress};

/// Options of `roll`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// How often every process is replaced, at least
    #[arg(long, default_value_t = Options::default().rounds)]
    rounds: usize,
    /// How many requests are made, at least; rounds go on until then
    #[arg(long, default_value_t = 20_000)]
    requests: usize,
    /// Customers at once
    #[arg(long, default_value_t = Options::default().clients)]
    clients: usize,
    /// Folder with the services of another build, which the fleet is started as; see
    /// scripts/check-upgrade.sh
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let layout = Layout::discover()?;
    let progress = Progress::visible();
    prepare(&layout, &progress).await?;
    let options = Options { rounds: args.rounds, requests: args.requests, clients: args.clients };
    let from = args.from.as_deref().map(existing).transpose()?;
    let report = until_interrupted(Box::pin(roll(options, from, &progress))).await?;
    ui::line(&format!("\n{report}"));
    if report.is_clean() {
        ui::line("Nothing was lost.");
        return Ok(ExitCode::SUCCESS);
    }
    ui::error_line("Requests or orders were LOST; see above.");
    Ok(ExitCode::FAILURE)
}

/// The whole path: services have another working folder.
fn existing(folder: &Path) -> Result<PathBuf> {
    folder.canonicalize().with_context(|| format!("{} is no folder", folder.display()))
}

async fn roll(
    options: Options,
    from: Option<PathBuf>,
    progress: &Progress,
) -> Result<rolling::Report> {
    let step = progress.step("Starting a private fleet");
    let wanted = rolling::fleet().own_broker().own_database();
    let (wanted, build) = match from {
        Some(folder) => (wanted.binaries(folder), "of the other build"),
        None => (wanted, "of this build"),
    };
    let mut fleet = Fleet::start(wanted).await?;
    step.done(&format!("two processes of every service, {build}"));
    let report = Box::pin(rolling::run(&mut fleet, options, progress)).await?;
    fleet.finish().await?;
    Ok(report)
}
