//! What remains of a run: the report, and after a violation the logs of every process.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::arena::Arena;
use super::checks::Violation;
use super::report::Report;

/// Ends the fleet and writes the report.
pub async fn close(arena: Arena, folder: &Path, mut report: Report) -> Result<Report> {
    report.violations = end(arena, folder, report.violations).await?;
    report.write(folder)?;
    Ok(report)
}

/// Ends the fleet, which one that kept its promises does in order; keeps the logs of another.
pub async fn end(
    mut arena: Arena,
    folder: &Path,
    mut violations: Vec<Violation>,
) -> Result<Vec<Violation>> {
    arena.supervise()?;
    keep(&arena.fleet.log_folder(), folder)?;
    if !violations.is_empty() {
        arena.fleet.abandon()?;
        return Ok(violations);
    }
    match arena.fleet.finish().await {
        Ok(()) => forget(folder)?,
        Err(error) => {
            let check = "a fleet at rest ends in order";
            violations.push(Violation::new(check, "end", format!("{error:#}")));
        }
    }
    Ok(violations)
}

fn keep(logs: &Path, folder: &Path) -> Result<()> {
    let target = folder.join("logs");
    fs::create_dir_all(&target)?;
    for entry in fs::read_dir(logs).context("no logs")? {
        let entry = entry?;
        fs::copy(entry.path(), target.join(entry.file_name()))?;
    }
    Ok(())
}

/// The logs of a run in which nothing happened that anybody has to look for.
fn forget(folder: &Path) -> Result<()> {
    Ok(fs::remove_dir_all(folder.join("logs"))?)
}
