//! `ehub certs`: an authority and a certificate for each service, in a folder.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::credentials::Credentials;
use crate::ui;

/// Options of `certs`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder; it is made if need be, and what is still good in it stays
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    Credentials::provide(&args.out)?;
    ui::line(&format!("Certificates for development are in {}", args.out.display()));
    Ok(ExitCode::SUCCESS)
}
