//! `ehub test`: every test of the workspace, on middleware of its own.

use std::path::Path;
use std::process::{ExitCode, ExitStatus};
use std::time::Instant;

use anyhow::{Result, anyhow};

use super::interrupted;
use super::middleware::test_variables;
use crate::layout::Layout;
use crate::middleware::{Middleware, Plan, Site, plan};
use crate::process::{Group, Reaper};
use crate::services::{TEST_BUILD, cargo};
use crate::ui::{self, Progress};
use crate::{environment, leftovers};

/// Set when somebody already provides the middleware; then none is started.
const GIVEN: [&str; 4] =
    ["EH_TEST_MYSQL_URL", "EH_TEST_REDIS_URL", "EH_TEST_AMQP_URL", "EH_TEST_CONSUL_URL"];

/// Options of `test`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Test only these packages
    #[arg(short, long = "package", value_name = "NAME")]
    packages: Vec<String>,
    /// Run only tests whose name contains one of these
    filters: Vec<String>,
    /// Passed to the test programs, after `--`
    #[arg(last = true)]
    options: Vec<String>,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    Reaper::install()?;
    let start = Instant::now();
    let progress = Progress::visible();
    let layout = Layout::discover()?;
    leftovers::sweep(&layout)?;
    let site = Site { layout: leftovers::own(&layout, None), usual_ports: false };
    let outcome = tokio::select! {
        outcome = build_and_test(args, &site, &progress) => outcome,
        signal = interrupted() => Err(anyhow!("interrupted by {}", signal?)),
    };
    leftovers::remove(&site.layout)?;
    let (outcome, elapsed) = (outcome?, ui::seconds(start.elapsed()));
    if outcome.success() {
        ui::line(&format!("\nAll tests passed ({elapsed})."));
        Ok(ExitCode::SUCCESS)
    } else {
        ui::error_line(&format!("\nTests FAILED ({outcome}, {elapsed}); the names are above."));
        Ok(ExitCode::FAILURE)
    }
}

async fn build_and_test(args: &Args, site: &Site, progress: &Progress) -> Result<ExitStatus> {
    let root = site.layout.root();
    let given = GIVEN.iter().all(|name| environment::find(name).is_some());
    // Only fleets start servers beside those that are given.
    let plan = if given && !tests_fleets(args) {
        None
    } else {
        Some(plan::complete(&site.layout, Plan::detect_private, |text| progress.tell(text))?)
    };
    let step = progress.step("Building services and tests");
    let built = run_cargo(root, &build_arguments(args), &[]).await?;
    if !built.success() {
        return Ok(built);
    }
    step.done("cargo build");
    let Some(plan) = plan.filter(|_| !given) else {
        progress.tell("using the middleware named by EH_TEST_*");
        return run_cargo(root, &test_arguments(args), &[]).await;
    };
    let mut middleware = Middleware::provide(site, &plan, progress).await?;
    let variables = test_variables(&middleware.addresses);
    let outcome = run_cargo(root, &test_arguments(args), &variables).await;
    let step = progress.step("Stopping the middleware");
    middleware.stop().await?;
    step.done("");
    outcome
}

async fn run_cargo(
    root: &Path,
    arguments: &[String],
    variables: &[(&str, String)],
) -> Result<ExitStatus> {
    let mut command = cargo(root);
    command.args(arguments).envs(variables.iter().map(|(name, value)| (name, value)));
    Group::start(&mut command)?.wait().await
}

/// Whether the end-to-end tests are among them.
fn tests_fleets(args: &Args) -> bool {
    args.packages.is_empty() || args.packages.iter().any(|name| name == "fleet")
}

/// The end-to-end tests start the services' binaries.
fn build_arguments(args: &Args) -> Vec<String> {
    let mut arguments = TEST_BUILD.map(str::to_owned).to_vec();
    if tests_fleets(args) {
        arguments.extend(words("--workspace"));
    } else {
        arguments.extend(selection(args));
    }
    arguments
}

/// Tests that need middleware are marked as ignored, so that plain `cargo test` works without.
fn test_arguments(args: &Args) -> Vec<String> {
    let mut arguments = words("test --all-features --no-fail-fast");
    arguments.extend(selection(args));
    arguments.extend(words("-- --include-ignored"));
    arguments.extend(args.options.iter().chain(&args.filters).cloned());
    arguments
}

fn selection(args: &Args) -> Vec<String> {
    if args.packages.is_empty() {
        return words("--workspace");
    }
    args.packages.iter().flat_map(|name| ["--package".to_owned(), name.clone()]).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_tested_unless_told_otherwise() {
        let args = Args { packages: vec![], filters: vec![], options: vec![] };
        let expected = "test --all-features --no-fail-fast --workspace -- --include-ignored";
        assert_eq!(test_arguments(&args).join(" "), expected);
    }

    #[test]
    fn the_end_to_end_tests_get_their_services() {
        let args = Args { packages: words("fleet"), filters: vec![], options: vec![] };
        assert!(build_arguments(&args).contains(&"--workspace".to_owned()));
        assert!(tests_fleets(&Args { packages: vec![], filters: vec![], options: vec![] }));
        let args = Args { packages: words("chassis"), filters: vec![], options: vec![] };
        assert!(!tests_fleets(&args));
        assert!(!build_arguments(&args).contains(&"--workspace".to_owned()));
    }

    #[test]
    fn packages_filters_and_options_are_passed_on() {
        let args = Args {
            packages: words("chassis proto"),
            filters: words("outbox"),
            options: words("--nocapture"),
        };
        let text = test_arguments(&args).join(" ");
        assert!(text.contains("--package chassis --package proto -- "), "{text}");
        assert!(text.ends_with("--include-ignored --nocapture outbox"), "{text}");
    }
}
