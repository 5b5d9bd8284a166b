//! `ehub seed`: products for the running fleet.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::harness::Api;
use crate::layout::Layout;
use crate::local::LocalAddresses;
use crate::{seed, ui};

/// Options of `seed`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Base address of the API; by default that of the fleet that `up` has started
    #[arg(long)]
    url: Option<String>,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let base = base_url(args.url.as_ref())?;
    let admin = Api::new(base)?
        .login(seed::ADMIN_EMAIL, seed::ADMIN_PASSWORD)
        .await
        .context("the development administrator cannot log in")?;
    let created = seed::products(&admin).await?;
    ui::line(&format!("{created} products are new; administrator: {}", seed::ADMIN_EMAIL));
    Ok(ExitCode::SUCCESS)
}

/// The given address, else that of the local fleet.
pub(super) fn base_url(given: Option<&String>) -> Result<String> {
    match given {
        Some(url) => Ok(url.trim_end_matches('/').to_owned()),
        None => Ok(LocalAddresses::load(&Layout::discover()?)?.gateway),
    }
}
