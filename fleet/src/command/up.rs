//! `ehub up`: from a bare machine to a running fleet.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::interrupted;
use crate::credentials::Credentials;
use crate::layout::Layout;
use crate::local::{
    self, AdministratorAddresses, Choice, LocalAddresses, LocalFleet, Payments, SUPERVISOR,
};
use crate::middleware;
use crate::process::Records;
use crate::services::Profile;
use crate::ui::{self, Progress};

const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Options of `up`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Return once everything is ready; stop it with `cargo ehub down`
    #[arg(long)]
    detach: bool,
    /// Build and run the services with optimisation
    #[arg(long)]
    release: bool,
    /// Who takes payments: the provider inside payment-service, or one in a process of its own
    #[arg(long, value_enum, default_value_t = Provider::Simulated)]
    provider: Provider,
}

/// Who takes payments.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Provider {
    Simulated,
    Sandbox,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let layout = Layout::discover()?;
    let Some(_lock) = local::lock(&layout)? else {
        return Ok(tell_running(&layout));
    };
    if local::is_running(&layout)? {
        Credentials::at(&layout.credentials()).renew_if_due()?;
        return Ok(tell_running(&layout));
    }
    let progress = Progress::visible();
    remove_leftovers(&layout, &progress)?;
    local::record_supervisor(&layout)?;
    let outcome = run_recorded(args, &layout, &progress).await;
    Records::new(layout.records()).remove(SUPERVISOR);
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn run_recorded(args: &Args, layout: &Layout, progress: &Progress) -> Result<()> {
    let start = Instant::now();
    let mut fleet = match start_unless_interrupted(args, layout, progress).await {
        Ok(fleet) => fleet,
        Err(error) => {
            if let Err(left) = middleware::stop_containers(layout, false) {
                ui::error_line(&format!("containers may be left running: {left:#}"));
            }
            return Err(error.context("the fleet did not start; nothing was left running"));
        }
    };
    ui::line(&format!("\nEnterpriseHub is running ({})\n", ui::seconds(start.elapsed())));
    ui::line(&fleet.addresses.table());
    ui::line(&format!("Logs: {}", layout.state().join("log").display()));
    if args.detach {
        ui::line("Try it: cargo ehub demo. Stop it: cargo ehub down");
        fleet.detach();
        return Ok(());
    }
    ui::line("Try it in another terminal: cargo ehub demo. Stop it: Ctrl-C or cargo ehub down");
    supervise(&mut fleet).await?;
    let step = progress.step("Stopping everything");
    fleet.stop(layout).await?;
    step.done("");
    Ok(())
}

async fn start_unless_interrupted(
    args: &Args,
    layout: &Layout,
    progress: &Progress,
) -> Result<LocalFleet> {
    let profile = if args.release { Profile::Release } else { Profile::Debug };
    let payments = match args.provider {
        Provider::Simulated => Payments::Simulated,
        Provider::Sandbox => Payments::Sandbox,
    };
    let choice = Choice { profile, payments };
    tokio::select! {
        fleet = LocalFleet::start(layout, choice, progress) => fleet,
        signal = interrupted() => bail!("interrupted by {}", signal?),
    }
}

/// Tells about processes that end unasked, until somebody wants everything to end.
async fn supervise(fleet: &mut LocalFleet) -> Result<()> {
    let signal = interrupted();
    tokio::pin!(signal);
    loop {
        tokio::select! {
            name = &mut signal => {
                ui::line(&format!("\n{}: stopping", name?));
                return Ok(());
            }
            () = tokio::time::sleep(WATCH_INTERVAL) => {
                for message in fleet.ended() {
                    ui::error_line(&message);
                }
                if let Err(error) = fleet.renew_certificates() {
                    ui::error_line(&format!("the certificates are not renewed: {error:#}"));
                }
            }
        }
    }
}

/// A second `up` changes nothing but certificates that come near their end, and is no error.
fn tell_running(layout: &Layout) -> ExitCode {
    match LocalAddresses::load(layout) {
        Ok(addresses) => {
            ui::line("EnterpriseHub is already running. Stop it: cargo ehub down\n");
            ui::line(&addresses.table());
        }
        Err(_) => ui::line("Another cargo ehub up is starting the fleet. Stop it: cargo ehub down"),
    }
    ExitCode::SUCCESS
}

/// Half a fleet, left by a crash, can neither be used nor be started beside.
fn remove_leftovers(layout: &Layout, progress: &Progress) -> Result<()> {
    let swept = local::sweep(layout)?;
    if !swept.processes.is_empty() {
        let names = swept.processes.join(", ");
        progress.tell(&format!("stopped what an earlier start had left: {names}"));
    }
    LocalAddresses::forget(layout);
    AdministratorAddresses::forget(layout);
    middleware::stop_containers(layout, false)
}
