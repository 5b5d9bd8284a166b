//! `ehub metrics`: the reference page of what the services export.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::layout::Layout;
use crate::observability::{PAGE, catalogues, page};
use crate::ui;

/// Options of `metrics`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Writes docs/METRICS.md anew
    #[arg(long)]
    write: bool,
    /// Succeeds if docs/METRICS.md is as the declarations have it; writes nothing
    #[arg(long, conflicts_with = "write")]
    check: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let layout = Layout::discover()?;
    let (path, text) = (layout.root().join(PAGE), page(&catalogues(layout.root())?));
    if args.write {
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        ui::line(&format!("{PAGE} is written"));
        return Ok(ExitCode::SUCCESS);
    }
    if !args.check {
        ui::line(text.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    if fs::read_to_string(&path).is_ok_and(|found| found == text) {
        return Ok(ExitCode::SUCCESS);
    }
    ui::error_line(&format!("{PAGE} is not that of the code: cargo ehub metrics --write"));
    Ok(ExitCode::FAILURE)
}
