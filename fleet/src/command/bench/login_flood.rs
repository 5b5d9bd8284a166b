//! `ehub bench login-flood`: how long others wait beside a flood of logins.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Place;
use crate::bench::flood::{self, Bounds, IN_FLIGHT_MAX, Options};
use crate::bench::slow::require_descriptors_for;
use crate::load;
use crate::time;
use crate::ui::{self, Progress};

/// Within less, nothing is seen of a flood. A 99th percentile takes longer, and a verdict says so.
const SHORTEST: Duration = Duration::from_secs(1);
/// Three times as long and a little more, the tokens of the others are good.
const LONGEST: Duration = Duration::from_mins(4);
/// What one process can send without being what is measured.
const RATE_MAX: i64 = 1_000;

/// Options of `bench login-flood`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Two customers, who look at products and at their orders, are measured alone, then beside \
    logins from one address, then beside logins from new addresses, for which no quota of an address \
    holds. Each login is for another account, with a wrong password, and may be answered by 401, 429 or \
    503. Another answer, a customer who is refused, or one who waits for longer, ends with code 1, and so \
    do fewer than 1,000 good answers to a customer: they are too few for a 99th percentile.\n\n\
    A gateway that is named has to be on this machine, and keeps what limits it has.\n\n\
    Examples:\n  \
    cargo ehub bench login-flood\n  \
    cargo ehub bench login-flood --rate 500 --for 2m\n  \
    cargo ehub bench login-flood --url http://127.0.0.1:8080 --p99-times 3"
)]
pub(super) struct Args {
    /// Logins in a second
    #[arg(long, value_name = "N", default_value_t = 200,
        value_parser = clap::value_parser!(u32).range(1..=RATE_MAX))]
    rate: u32,
    /// How long each flood lasts, from 1 s to 4 min, and for how long others are measured alone
    #[arg(long = "for", value_name = "DURATION", default_value = "90s", value_parser = parse_length)]
    length: Duration,
    /// How many times as long the 99th percentile of others may be beside a flood; longer ends with
    /// code 1
    #[arg(long, value_name = "TIMES", default_value_t = 2.0)]
    p99_times: f64,
}

impl Args {
    fn options(&self) -> Options {
        Options { rate: self.rate, length: self.length }
    }

    fn bounds(&self) -> Bounds {
        Bounds { p99_times: self.p99_times, rate: self.rate }
    }
}

/// Fails where a flood could not come from many addresses.
pub(super) fn check(url: Option<&str>) -> Result<()> {
    ensure!(
        url.is_none_or(load::is_loopback),
        "new addresses are at hand on this machine only: name a gateway at 127.0.0.1, or leave out --url"
    );
    require_descriptors_for(IN_FLIGHT_MAX)
}

pub(super) async fn run(args: &Args, place: &Place) -> Result<ExitCode> {
    let progress = Progress::visible();
    let measured = Box::pin(flood::measure(&place.base, args.options(), &progress)).await?;
    ui::line(&format!("\n{}", ui::table(&measured.others())));
    ui::line(&ui::table(&measured.floods()));
    let missed = measured.missed(args.bounds());
    for missed in &missed {
        ui::error_line(&format!("MISSED: {missed}"));
    }
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse_length(text: &str) -> Result<Duration, String> {
    time::parse_within(text, &(SHORTEST..=LONGEST))
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    #[test]
    fn what_is_promised_is_what_is_asked_for_by_default() {
        let command = Args::augment_args(clap::Command::new("login-flood"));
        let matches = command.try_get_matches_from(["login-flood"]).unwrap();
        let args = Args::from_arg_matches(&matches).unwrap();
        assert_eq!((args.options().rate, args.options().length), (200, Duration::from_secs(90)));
        assert_eq!(args.bounds().rate, 200);
        assert!((args.bounds().p99_times - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_flood_lasts_no_longer_than_the_tokens_of_others() {
        assert!(parse_length("1s").is_ok() && parse_length("4m").is_ok());
        assert!(parse_length("999ms").is_err() && parse_length("241s").is_err());
    }

    #[test]
    fn many_addresses_are_those_of_this_machine() {
        let refused = check(Some("http://10.0.0.5:8080")).unwrap_err();
        assert!(refused.to_string().ends_with("leave out --url"));
    }
}
