//! `ehub bench overload`: what is left of the goodput under overload, and how soon all is well again.

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Place;
use crate::bench::overload::{self, Bounds, Options, Report, WELL_S};
use crate::bench::slow::require_descriptors_for;
use crate::chaos::setup;
use crate::layout::Layout;
use crate::load::{self, Mix};
use crate::time;
use crate::ui::{self, Progress};

/// A phase that is longer is a soak test.
const LONGEST: Duration = Duration::from_mins(10);
/// All rounds together: the access tokens of a private fleet live for two hours, and are not renewed.
const LONGEST_ROUNDS: Duration = Duration::from_hours(1);
/// Phases of a round that are as long as the overload, at most: it, and the rates that may be the peak.
const PHASES: u32 = 4;
/// What one process can ask without being what is measured.
const RATE_MAX: i64 = 10_000;
const USERS_MAX: i64 = 10_000;
const ROUNDS_MAX: i64 = 20;
const IN_FLIGHT_MAX: u64 = 20_000;

/// Options of `bench overload`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Goodput is good answers in a second, of all calls, and the bound is a part of that at \
    the rate which had most, offered before in the same rounds. The gateway refuses reads first: with \
    --mix shop most of them are lost by design, and the figures of each class tell what became of the \
    orders.\n\n\
    Examples:\n  \
    cargo ehub bench overload\n  \
    cargo ehub bench overload --mix shop --min-goodput-percent 0\n  \
    cargo ehub bench overload --url http://10.0.0.5:8080 --rps 300 --report /tmp/overload"
)]
pub(super) struct Args {
    /// Calls in a second that are borne; by default that is found out. One that is too low makes too
    /// little of the peak, and so too much of what is left of it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=RATE_MAX))]
    rps: Option<u32>,
    /// How many times as many calls are the overload
    #[arg(long, value_name = "N", default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(2..=20))]
    times: u32,
    /// What is asked
    #[arg(long, value_enum, default_value_t = Mix::Checkout)]
    mix: Mix,
    /// Customers, who are registered first
    #[arg(long, value_name = "N", default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=USERS_MAX))]
    users: u32,
    /// For how long each rate is tried in search of what is borne
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_phase)]
    step: Duration,
    /// How many overloads; each comes after the rates that may be the peak, and their goodput counts
    /// together
    #[arg(long, value_name = "N", default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..=ROUNDS_MAX))]
    rounds: u32,
    /// How long an overload lasts, and each of the rates that may be the peak
    #[arg(long = "for", value_name = "DURATION", default_value = "30s", value_parser = parse_phase)]
    length: Duration,
    /// For how long the fleet is watched after each
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_phase)]
    after: Duration,
    /// After how long a call is given up
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_phase)]
    timeout: Duration,
    /// Calls under way at most; those beyond it are not started, and have failed
    #[arg(long, value_name = "N", default_value_t = 1_000,
        value_parser = clap::value_parser!(u64).range(1..=IN_FLIGHT_MAX))]
    max_in_flight: u64,
    /// Goodput that has to be left under overload, in percent of that at the rate which had most; less
    /// ends with code 1
    #[arg(long, value_name = "PERCENT", default_value_t = 80.0, value_parser = parse_percent)]
    min_goodput_percent: f64,
    /// Longest time until the fleet is well again; longer ends with code 1
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = time::parse)]
    max_recovery: Duration,
    /// Folder of the report; by default .ehub/bench/overload
    #[arg(long, value_name = "FOLDER")]
    report: Option<PathBuf>,
}

impl Args {
    /// Fails where the measurement could not come to a verdict.
    pub(super) fn check(&self) -> Result<()> {
        let needed = self.max_recovery.saturating_add(Duration::from_secs(WELL_S as u64));
        ensure!(
            self.after >= needed,
            "to see within {} that {WELL_S} seconds in a row are well takes --after {}s",
            ui::seconds(self.max_recovery),
            needed.as_secs()
        );
        let round = self.length.saturating_mul(PHASES).saturating_add(self.after);
        ensure!(
            round.saturating_mul(self.rounds) <= LONGEST_ROUNDS,
            "{} rounds of {} are longer than {}: ask for fewer, or for shorter ones",
            self.rounds,
            ui::seconds(round),
            ui::seconds(LONGEST_ROUNDS)
        );
        // Each customer keeps connections of its own, and another one cannot use them.
        require_descriptors_for(usize::try_from(self.max_in_flight)?.saturating_mul(2))
    }

    fn options(&self) -> Result<Options> {
        Ok(Options {
            capacity: self.rps,
            times: self.times,
            mix: self.mix,
            step: self.step,
            rounds: self.rounds,
            overload: self.length,
            after: self.after,
            in_flight_max: usize::try_from(self.max_in_flight)?,
            patience: self.timeout,
        })
    }

    fn bounds(&self) -> Bounds {
        let recovery_s = self.max_recovery.as_secs();
        Bounds { goodput_percent: self.min_goodput_percent, recovery_s }
    }
}

pub(super) async fn run(args: &Args, place: &Place) -> Result<ExitCode> {
    let folder = match &args.report {
        Some(folder) => folder.clone(),
        None => Layout::discover()?.state().join("bench/overload"),
    };
    if let Some(fleet) = &place.fleet {
        setup::stock(fleet).await?;
    }
    let progress = Progress::visible();
    let step = progress.step("Registering customers");
    let customers = load::register(&place.base, args.users).await?;
    load::check(customers.first().context("there are no customers")?, args.mix).await?;
    step.done(&format!("{} at {}", args.users, place.base));
    let measured = Box::pin(overload::measure(&customers, &args.options()?, &progress)).await?;
    let bounds = args.bounds();
    let report = Report {
        at: time::now(),
        gateway: place.base.clone(),
        processors: std::thread::available_parallelism().map_or(1, NonZero::get),
        mix: args.mix,
        missed: measured.missed(bounds),
        measured,
        bounds,
    };
    ui::line(&format!("\n{report}"));
    report.write(&folder)?;
    ui::line(&format!("Report: {}", folder.display()));
    for missed in &report.missed {
        ui::error_line(&format!("MISSED: {missed}"));
    }
    Ok(if report.missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse_phase(text: &str) -> Result<Duration, String> {
    time::parse_within(text, &(Duration::from_secs(1)..=LONGEST))
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent: &f64| percent.is_finite() && *percent >= 0.0);
    percent.ok_or_else(|| "expected a percentage, such as 80".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn parsed(words: &[&str]) -> Args {
        let command = Args::augment_args(clap::Command::new("overload"));
        let words = std::iter::once("overload").chain(words.iter().copied());
        Args::from_arg_matches(&command.try_get_matches_from(words).unwrap()).unwrap()
    }

    #[test]
    fn what_is_promised_is_what_is_asked_for_by_default() {
        let args = parsed(&[]);
        assert_eq!((args.times, args.rounds, args.bounds().recovery_s), (5, 3, 30));
        assert_eq!(args.mix, Mix::Checkout, "calls of one class");
        assert!((args.bounds().goodput_percent - 80.0).abs() < 1e-9);
        assert_eq!(args.options().unwrap().capacity, None);
    }

    #[test]
    fn a_fleet_is_watched_for_as_long_as_it_may_take() {
        let few = ["--max-in-flight", "1", "--max-recovery", "30s", "--after"];
        let of = |after| parsed(&[&few[..], &[after]].concat()).check();
        assert!(of("35s").is_ok());
        assert!(of("34s").unwrap_err().to_string().ends_with("takes --after 35s"));
    }

    #[test]
    fn rounds_end_within_the_life_of_a_token() {
        let few = ["--max-in-flight", "1", "--for", "2m", "--after", "2m", "--rounds"];
        let of = |rounds| parsed(&[&few[..], &[rounds]].concat()).check();
        assert!(of("6").is_ok());
        let refused = of("7").unwrap_err().to_string();
        assert!(refused.starts_with("7 rounds of 600") && refused.contains("fewer"), "{refused}");
        let command = Args::augment_args(clap::Command::new("overload"));
        assert!(command.try_get_matches_from(["overload", "--rounds", "0"]).is_err());
    }

    #[test]
    fn phases_and_percentages_have_their_bounds() {
        assert!(parse_phase("1s").is_ok() && parse_phase("10m").is_ok());
        assert!(parse_phase("999ms").is_err() && parse_phase("11m").is_err());
        assert!(parse_percent("0").is_ok() && parse_percent("99.5").is_ok());
        assert!(["-1", "NaN", "inf", "x"].iter().all(|text| parse_percent(text).is_err()));
    }
}
