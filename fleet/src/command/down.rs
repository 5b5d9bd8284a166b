//! `ehub down`: stops everything that `up` has started.

use std::fs;
use std::process::ExitCode;

use anyhow::Result;

use crate::layout::Layout;
use crate::local::{self, AdministratorAddresses, LocalAddresses};
use crate::{leftovers, middleware, ui};

/// Options of `down`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Remove the data of the private servers and all logs as well
    #[arg(long)]
    purge: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let layout = Layout::discover()?;
    let swept = local::sweep(&layout)?;
    middleware::stop_containers(&layout, args.purge)?;
    LocalAddresses::forget(&layout);
    AdministratorAddresses::forget(&layout);
    if swept.processes.is_empty() {
        ui::line("Nothing was running.");
    } else {
        let (processes, ports) = (swept.processes.len(), swept.ports.len());
        ui::line(&format!("Stopped: {}", swept.processes.join(", ")));
        ui::line(&format!("{processes} processes ended and {ports} ports are free again."));
    }
    if args.purge {
        for folder in ["data", "log", "run"] {
            remove(&layout.state().join(folder))?;
        }
        ui::line("Data and logs are removed.");
        if !leftovers::sweep(&layout)? {
            ui::line("Those of a test run or a measurement are kept: one is under way.");
        }
    } else {
        ui::line("Data is kept; remove it with cargo ehub down --purge");
    }
    Ok(ExitCode::SUCCESS)
}

fn remove(folder: &std::path::Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
