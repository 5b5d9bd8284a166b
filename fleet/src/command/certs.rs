//! `ehub certs`: an authority and a certificate for each service, in a folder.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use super::interrupted;
use crate::credentials::Credentials;
use crate::ui;

/// Pause between two looks for certificates that come near their end.
const LOOK: Duration = Duration::from_mins(1);

/// Options of `certs`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder; it is made if need be, and what is still good in it stays
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Stay, and issue new certificates whenever the present ones come near their end
    #[arg(long)]
    keep: bool,
    /// Make nothing; succeed if all certificates are there and none is near its end
    #[arg(long, conflicts_with = "keep")]
    check: bool,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    if args.check {
        return Ok(check(&Credentials::at(&args.out)));
    }
    let credentials = Credentials::provide(&args.out)?;
    ui::line(&format!("Certificates for development are in {}", args.out.display()));
    if args.keep {
        keep(&credentials).await?;
    }
    Ok(ExitCode::SUCCESS)
}

fn check(credentials: &Credentials) -> ExitCode {
    if credentials.are_good() {
        return ExitCode::SUCCESS;
    }
    ui::error_line("certificates are missing or near their end");
    ExitCode::FAILURE
}

/// Renews until somebody wants this process to end. Running services take new files up.
async fn keep(credentials: &Credentials) -> Result<()> {
    let signal = interrupted();
    tokio::pin!(signal);
    loop {
        tokio::select! {
            name = &mut signal => return name.map(|_| ()),
            () = tokio::time::sleep(LOOK) => {
                if let Err(error) = credentials.renew_if_due() {
                    ui::error_line(&format!("the certificates are not renewed: {error:#}"));
                }
            }
        }
    }
}
