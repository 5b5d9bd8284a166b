//! `ehub sbom`: bills of materials of the binaries.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::layout::Layout;
use crate::{dependencies, ui};

/// Options of `sbom`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder of the files, one per binary; it is made if need be
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let layout = Layout::discover()?;
    let bills = dependencies::bills(layout.root()).await?;
    let written = || format!("{} cannot be written", args.out.display());
    fs::create_dir_all(&args.out).with_context(written)?;
    for bill in &bills {
        let file = args.out.join(format!("{}.cdx.json", bill.binary().name));
        let text = serde_json::to_string_pretty(bill.document())?;
        fs::write(file, text + "\n").with_context(written)?;
    }
    ui::line(&format!("{} bills of materials are in {}", bills.len(), args.out.display()));
    Ok(ExitCode::SUCCESS)
}
