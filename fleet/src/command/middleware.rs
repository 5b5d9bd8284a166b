//! `ehub middleware`: the four servers alone, for work on a single service.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};

use super::interrupted;
use crate::layout::Layout;
use crate::middleware::{Addresses, Middleware, Plan, Site, plan};
use crate::process::Reaper;
use crate::ui::{self, Progress};

/// Options of `middleware`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder for data, logs and records
    #[arg(long)]
    dir: PathBuf,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    Reaper::install()?;
    let layout = Layout::discover()?.with_state(std::path::absolute(&args.dir)?);
    let progress = Progress::visible();
    let plan = plan::complete(&layout, Plan::detect_private, |text| progress.tell(text))?;
    let site = Site { layout, usual_ports: false };
    let mut middleware = tokio::select! {
        middleware = Middleware::provide(&site, &plan, &progress) => middleware?,
        signal = interrupted() => bail!("interrupted by {}", signal?),
    };
    for (name, value) in test_variables(&middleware.addresses) {
        ui::line(&format!("export {name}={value}"));
    }
    interrupted().await?;
    middleware.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// What tests read to find the middleware.
pub(super) fn test_variables(addresses: &Addresses) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("EH_TEST_MYSQL_URL", addresses.mysql.clone()),
        ("EH_TEST_REDIS_URL", addresses.redis.clone()),
        ("EH_TEST_AMQP_URL", addresses.amqp.clone()),
        ("EH_TEST_CONSUL_URL", addresses.consul.clone()),
    ];
    if let Some(management) = &addresses.amqp_management {
        variables.push(("EH_TEST_AMQP_MANAGEMENT_URL", management.clone()));
    }
    variables
}
