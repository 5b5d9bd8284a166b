//! `ehub status`: what runs and where.

use std::process::ExitCode;

use anyhow::Result;

use crate::layout::Layout;
use crate::local::LocalAddresses;
use crate::process::{Record, Records};
use crate::ui;

pub(super) fn run() -> Result<ExitCode> {
    let layout = Layout::discover()?;
    let records = Records::new(layout.records()).list()?;
    if records.is_empty() {
        ui::line("Nothing is running. Start it: cargo ehub up");
        return Ok(ExitCode::FAILURE);
    }
    let rows: Vec<Vec<String>> = records.iter().map(row).collect();
    ui::line(&ui::table(&rows));
    if let Ok(addresses) = LocalAddresses::load(&layout) {
        ui::line(&addresses.table());
    }
    let all_alive = records.iter().all(Record::is_alive);
    if !all_alive {
        ui::line("Something has ended; cargo ehub up starts the fleet anew and keeps its data.");
    }
    Ok(if all_alive { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row(record: &Record) -> Vec<String> {
    let state = if record.is_alive() { "running" } else { "ENDED" };
    vec![
        record.name.clone(),
        state.to_owned(),
        record.pid.to_string(),
        record.log.display().to_string(),
    ]
}
