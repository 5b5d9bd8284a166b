//! `ehub status`: what runs and where, how it is, and what to do about what is not well.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use super::interrupted;
use crate::layout::Layout;
use crate::local::LocalAddresses;
use crate::process::Records;
use crate::status::{Observer, Status};
use crate::{time, ui};

/// Between the two looks of which the figures are the difference.
const BETWEEN: Duration = Duration::from_secs(1);
/// Moves to the upper left corner; the rest of each line and of the screen is cleared after it.
const HOME: &str = "\u{1b}[H\u{1b}[J";

/// Options of `status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Figures are those of the time between two looks: a second, or that of --watch. \
    The exit code is 1 when something is down.\n\n\
    Examples:\n  \
    cargo ehub status\n  \
    cargo ehub status --watch 5\n  \
    cargo ehub status --check && echo well"
)]
pub(super) struct Args {
    /// Stay, and look again every so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=3_600))]
    watch: Option<u64>,
    /// Only say what is down, and nothing when all is well
    #[arg(long, conflicts_with = "watch")]
    check: bool,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let layout = Layout::discover()?;
    if args.watch.is_none() && Records::new(layout.records()).list()?.is_empty() {
        ui::line("Nothing is running. Start it: cargo ehub up");
        return Ok(ExitCode::FAILURE);
    }
    let mut observer = Observer::new(layout.clone())?;
    if let Some(seconds) = args.watch {
        return watch(&mut observer, Duration::from_secs(seconds)).await;
    }
    let mut status = observer.look().await?;
    if !args.check {
        tokio::time::sleep(BETWEEN).await;
        status = observer.look().await?;
        ui::line(&status.render());
        if let Ok(addresses) = LocalAddresses::load(&layout) {
            ui::line(&addresses.table());
        }
    }
    let problems = status.problems();
    for problem in &problems {
        ui::error_line(problem);
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn watch(observer: &mut Observer, pause: Duration) -> Result<ExitCode> {
    let signal = interrupted();
    tokio::pin!(signal);
    let mut pauses = tokio::time::interval(pause);
    loop {
        tokio::select! {
            name = &mut signal => return name.map(|_| ExitCode::SUCCESS),
            _ = pauses.tick() => {}
        }
        let status = observer.look().await?;
        let front = if ui::is_terminal() { HOME } else { "" };
        ui::line(&format!("{front}{}", screen(&status)));
    }
}

fn screen(status: &Status) -> String {
    let at = time::now().format("%Y-%m-%d %H:%M:%S UTC");
    let mut problems = String::new();
    for problem in status.problems() {
        problems.extend(["  ! ", problem.as_ref(), "\n"]);
    }
    format!("{at}\n\n{}\n{problems}", status.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_tells_when_it_was_and_what_is_wrong() {
        let status = Status { queues: Some(Err("away".to_owned())), ..Status::default() };
        let text = screen(&status);
        assert!(text.contains("UTC\n") && text.contains("! the queues cannot be seen"), "{text}");
    }
}
