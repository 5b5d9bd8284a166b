//! The command line of `ehub`, one file per command.

mod administrator;
mod audit;
mod bench;
mod certs;
mod chaos;
mod config;
mod demo;
mod dlq;
mod doctor;
mod down;
mod keys;
mod load;
mod logs;
mod metrics;
mod middleware;
mod mutants;
mod provider;
mod roll;
mod sbom;
mod seed;
mod status;
mod successor;
mod test;
mod up;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::ui;

/// Runs EnterpriseHub on this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo ehub", bin_name = "cargo ehub", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tells what this machine has, what it lacks, and what to do about it
    Doctor,
    /// Starts the middleware and all services; Ctrl-C stops them
    Up(up::Args),
    /// Stops everything that `up` has started
    Down(down::Args),
    /// Shows what runs and where, and how it is
    Status(status::Args),
    /// Shows what the services have written, as one log
    Logs(logs::Args),
    /// Registers, logs in, orders, pays and waits for the notification, on the running fleet
    Demo(demo::Args),
    /// Puts load on the running fleet, at a rate that it does not decide, and tells how it bore it
    Load(load::Args),
    /// Puts the demo products on sale; what exists stays as it is
    Seed(seed::Args),
    /// Shows or rotates the keys that access tokens are signed with, on the running fleet
    Keys(keys::Args),
    /// Shows, replays or discards events that could not be processed, on the running fleet
    Dlq(dlq::Args),
    /// Checks what the running fleet has stored against everything that it promises
    Audit(audit::Args),
    /// Explains what a service is configured with, and where each value comes from
    Config(config::Args),
    /// Makes certificates for development, for services that this tool does not start
    Certs(certs::Args),
    /// Provides middleware and runs every test of the workspace
    Test(test::Args),
    /// Breaks a private fleet under load and checks that it kept its promises
    Chaos(chaos::Args),
    /// Measures what is promised about time, on a private fleet or on one that runs
    Bench(bench::Args),
    /// Replaces every process of a private fleet under load and counts what that costs
    Roll(roll::Args),
    /// Runs the tests with each planted bug in turn, and tells which ones they see
    Mutants(mutants::Args),
    /// Prints or writes the reference page of the metrics
    Metrics(metrics::Args),
    /// Writes what each binary is made of (CycloneDX), in a folder
    Sbom(sbom::Args),
    /// Runs the middleware alone
    #[command(hide = true)]
    Middleware(middleware::Args),
    /// Runs the sandbox payment provider alone; see docs/PROVIDER.md
    #[command(hide = true)]
    Provider(provider::Args),
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            ui::error_line(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong with the words behind `cargo ehub`, for whoever checks what pages tell to type.
pub fn check(words: &[&str]) -> std::result::Result<(), String> {
    let line = std::iter::once("cargo ehub").chain(words.iter().copied());
    let parsed = Cli::try_parse_from(line).map(drop);
    // Help that was asked for is an answer.
    parsed.or_else(|error| if error.use_stderr() { Err(error.to_string()) } else { Ok(()) })
}

/// The words of a line, as a shell reads simple ones: up to a remark, and without their quotes.
pub fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for character in line.chars() {
        match (quote, character) {
            (None, '#') if word.is_empty() => break,
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, _) if character.is_whitespace() => words.push(std::mem::take(&mut word)),
            _ => word.push(character),
        }
    }
    words.push(word);
    words.into_iter().filter(|word| !word.is_empty()).collect()
}

fn run(command: Command) -> Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        match command {
            Command::Doctor => doctor::run(),
            Command::Up(args) => up::run(&args).await,
            Command::Down(args) => down::run(&args),
            Command::Status(args) => status::run(&args).await,
            Command::Logs(args) => logs::run(&args).await,
            Command::Demo(args) => demo::run(&args).await,
            Command::Load(args) => load::run(&args).await,
            Command::Seed(args) => seed::run(&args).await,
            Command::Keys(args) => keys::run(&args).await,
            Command::Dlq(args) => dlq::run(&args).await,
            Command::Audit(args) => audit::run(&args).await,
            Command::Config(args) => config::run(&args).await,
            Command::Certs(args) => certs::run(&args).await,
            Command::Test(args) => test::run(&args).await,
            Command::Chaos(args) => chaos::run(&args).await,
            Command::Bench(args) => bench::run(&args).await,
            Command::Roll(args) => roll::run(&args).await,
            Command::Mutants(args) => mutants::run(&args).await,
            Command::Metrics(args) => metrics::run(&args),
            Command::Sbom(args) => sbom::run(&args).await,
            Command::Middleware(args) => middleware::run(&args).await,
            Command::Provider(args) => provider::run(&args).await,
        }
    })
}

/// Resolves when somebody wants this process to end: Ctrl-C, `kill`, or a closed terminal.
async fn interrupted() -> Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let signal = tokio::select! {
        result = tokio::signal::ctrl_c() => result.map(|()| "Ctrl-C")?,
        _ = terminate.recv() => "SIGTERM",
        _ = hangup.recv() => "SIGHUP",
    };
    Ok(signal)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_would_be_refused_is_seen_and_help_is_not_refused() {
        assert_eq!(check(&["audit", "--settle"]), Ok(()));
        assert_eq!(check(&["audit", "--help"]), Ok(()));
        assert!(check(&["audit", "--gently"]).is_err() && check(&["repair"]).is_err());
        assert!(check(&[]).is_err());
    }

    #[test]
    fn words_are_read_as_a_shell_reads_them() {
        let line = "dlq discard x#1 --reason \"a # test\"  --url 'h t' # why";
        let expected = ["dlq", "discard", "x#1", "--reason", "a # test", "--url", "h t"];
        assert_eq!(words(line), expected);
        assert_eq!(words(" # only a remark"), [""; 0]);
    }
}
