//! `ehub load`: what the running fleet bears, and how it bears it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use super::interrupted;
use super::seed::base_url;
use crate::load::{self, Mix, Plan};
use crate::{time, ui};

/// A longer run is a soak test, which wants more than figures at its end.
const LONGEST: Duration = Duration::from_hours(1);
/// What one process can ask without being what is measured.
const RATE_MAX: i64 = 10_000;
const USERS_MAX: i64 = 10_000;
const IN_FLIGHT_MAX: u64 = 20_000;

/// Options of `load`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Calls are due by a schedule that no answer delays (an open loop), and their times \
    count from when they were due: what a closed loop would leave out (coordinated omission) is in the \
    figures. Calls beyond --max-in-flight are not started, and count as failed.\n\n\
    Examples:\n  \
    cargo ehub load --rps 100 --for 30s\n  \
    cargo ehub load --rps 20 --for 1m --mix checkout --users 50 --max-failed-share 0.001"
)]
pub(super) struct Args {
    /// Calls that are due in a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=RATE_MAX))]
    rps: u32,
    /// For how long, such as 30s or 5m; an hour at most
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_length)]
    length: Duration,
    /// Base address of the API; by default that of the fleet that `up` has started
    #[arg(long)]
    url: Option<String>,
    /// What is asked
    #[arg(long, value_enum, default_value_t = Mix::Read)]
    mix: Mix,
    /// Customers, who are registered first; the gateway limits each of them
    #[arg(long, value_name = "N", default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=USERS_MAX))]
    users: u32,
    /// Calls under way at most
    #[arg(long, value_name = "N", default_value_t = 1_000,
        value_parser = clap::value_parser!(u64).range(1..=IN_FLIGHT_MAX))]
    max_in_flight: u64,
    /// After how long a call is given up; a minute at most
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_patience)]
    timeout: Duration,
    /// Share of the arrivals that may fail, from 0 to 1; more of them, and the exit code is 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = parse_share)]
    max_failed_share: f64,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let base = base_url(args.url.as_ref())?;
    ui::line(&format!("Registering {} customers at {base}", args.users));
    let customers = load::register(&base, args.users).await?;
    load::check(customers.first().context("there are no customers")?, args.mix).await?;
    let plan = Plan {
        rate: args.rps,
        length: args.length,
        mix: args.mix,
        in_flight_max: usize::try_from(args.max_in_flight)?,
        patience: args.timeout,
    };
    ui::line(&format!("{} calls a second for {}\n", plan.rate, ui::seconds(plan.length)));
    let stop = async {
        // Where signals cannot be had, the plan's own end has to do.
        if interrupted().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let report = load::run(plan, &customers, stop).await?;
    ui::line(&report.render());
    if let Some(advice) = report.advice() {
        ui::line(advice);
    }
    let share = report.failed_share();
    if share <= args.max_failed_share {
        return Ok(ExitCode::SUCCESS);
    }
    let allowed = args.max_failed_share;
    ui::error_line(&format!(
        "a share of {share:.4} failed, {allowed} is allowed; look at cargo ehub logs --level warn"
    ));
    Ok(ExitCode::FAILURE)
}

fn parse_length(text: &str) -> Result<Duration, String> {
    at_most(text, LONGEST)
}

fn parse_patience(text: &str) -> Result<Duration, String> {
    at_most(text, Duration::from_mins(1))
}

fn at_most(text: &str, longest: Duration) -> Result<Duration, String> {
    let duration = time::parse_positive(text)?;
    if duration > longest {
        return Err(format!("at most {} s", longest.as_secs()));
    }
    Ok(duration)
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a share from 0 to 1, such as 0.01".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_calls_have_an_end() {
        assert_eq!(parse_length("1h"), Ok(LONGEST));
        assert!(parse_length("61m").is_err() && parse_length("0s").is_err());
        assert!(parse_patience("60s").is_ok() && parse_patience("61s").is_err());
    }

    #[test]
    fn a_share_is_a_part_of_the_whole() {
        for good in ["0", "0.001", "1"] {
            assert!(parse_share(good).is_ok(), "{good}");
        }
        for bad in ["-0.1", "1.1", "NaN", "inf", "x", ""] {
            assert!(parse_share(bad).is_err(), "{bad}");
        }
    }
}
