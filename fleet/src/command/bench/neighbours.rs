//! `ehub bench neighbours`: what clients notice of a part that is away, and how soon all is well again.

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Place;
use crate::bench::neighbours::{self, Callers, Neighbour, Options, Report};
use crate::bench::slow::require_descriptors_for;
use crate::chaos::setup;
use crate::layout::Layout;
use crate::load::{self, Mix};
use crate::time;
use crate::ui::{self, Progress};

/// How long a neighbour has to be away, so that deadlines pass meanwhile.
const SHORTEST: Duration = Duration::from_secs(5);
/// With longer ones the customers' tokens would end before the measurement does.
const LONGEST: Duration = Duration::from_mins(5);
/// For how long the fleet is well before a neighbour goes away.
const BEFORE: Duration = Duration::from_secs(5);
/// What one process can ask without being what is measured.
const RATE_MAX: i64 = 1_000;
/// Who looks and orders.
const CUSTOMERS: usize = 20;
/// Who logs in.
const GUESTS: usize = 10;

/// Options of `bench neighbours`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A frozen neighbour (SIGSTOP) keeps its connections and answers nothing; a killed one \
    refuses them. Each is watched after its return for --max-recovery and five seconds more, so all of \
    them take seven minutes by default.\n\n\
    Reads and checkouts may not fail, whoever is away; logins may only without auth-service. Else, and \
    where an answer comes after 1.1 times its deadline, or all is not well again in time, the exit code \
    is 1.\n\n\
    Examples:\n  \
    cargo ehub bench neighbours --for 20s\n  \
    cargo ehub bench neighbours --for 1m --rate 50 --only redis,auth-service-killed"
)]
pub(super) struct Args {
    /// For how long each neighbour is away, from 5 s to 5 min
    #[arg(long = "for", value_name = "DURATION", default_value = "20s", value_parser = parse_absence)]
    length: Duration,
    /// Calls of customers in a second, three reads to each checkout; two logins come on top
    #[arg(long, value_name = "N", default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=RATE_MAX))]
    rate: u32,
    /// Who goes away, in this order; by default all of them
    #[arg(long, value_name = "NEIGHBOUR", value_enum, value_delimiter = ',')]
    only: Vec<Neighbour>,
    /// Longest time until the fleet is well again after a return, up to 5 min; longer ends with code 1
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_recovery)]
    max_recovery: Duration,
    /// Folder of the report; by default .ehub/bench/neighbours
    #[arg(long, value_name = "FOLDER")]
    report: Option<PathBuf>,
}

impl Args {
    /// Fails where the measurement could not come to a verdict.
    pub(super) fn check(&self, url: Option<&str>) -> Result<()> {
        ensure!(
            url.is_none(),
            "neighbours are taken away from a private fleet only: leave out --url"
        );
        // Each customer keeps connections of its own, and another one cannot use them.
        let calls = usize::try_from(self.options().in_flight_max())?;
        require_descriptors_for(calls.saturating_mul(2))
    }

    fn options(&self) -> Options {
        let Self { rate, length, max_recovery, .. } = *self;
        Options { rate, before: BEFORE, away: length, recovery: max_recovery }
    }

    fn neighbours(&self) -> &[Neighbour] {
        if self.only.is_empty() { &Neighbour::ALL } else { &self.only }
    }
}

pub(super) async fn run(args: &Args, place: &mut Place) -> Result<ExitCode> {
    let folder = match &args.report {
        Some(folder) => folder.clone(),
        None => Layout::discover()?.state().join("bench/neighbours"),
    };
    let fleet = place.fleet.as_mut().context("neighbours are those of a private fleet")?;
    setup::stock(fleet).await?;
    let progress = Progress::visible();
    let step = progress.step("Registering customers");
    let registered = load::register(&place.base, u32::try_from(CUSTOMERS + GUESTS)?).await?;
    load::check(registered.first().context("there are no customers")?, Mix::Shop).await?;
    step.done(&format!("{CUSTOMERS}, and {GUESTS} who only log in"));
    let (customers, guests) = registered.split_at(CUSTOMERS);
    let (callers, options) = (Callers { customers, guests }, args.options());
    let measured = neighbours::measure(fleet, callers, args.neighbours(), (&options, &progress));
    let turns = Box::pin(measured).await?;
    let bounds = options.bounds();
    let report = Report {
        at: time::now(),
        processors: std::thread::available_parallelism().map_or(1, NonZero::get),
        rate: args.rate,
        away_s: args.length.as_secs(),
        missed: turns.iter().flat_map(|turn| turn.missed(bounds)).collect(),
        turns,
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

fn parse_absence(text: &str) -> Result<Duration, String> {
    time::parse_within(text, &(SHORTEST..=LONGEST))
}

fn parse_recovery(text: &str) -> Result<Duration, String> {
    let length = time::parse(text)?;
    if length <= LONGEST { Ok(length) } else { Err(format!("up to {} s", LONGEST.as_secs())) }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn parsed(words: &[&str]) -> Args {
        let command = Args::augment_args(clap::Command::new("neighbours"));
        let words = std::iter::once("neighbours").chain(words.iter().copied());
        Args::from_arg_matches(&command.try_get_matches_from(words).unwrap()).unwrap()
    }

    #[test]
    fn everybody_goes_away_unless_some_are_named() {
        assert_eq!(parsed(&[]).neighbours(), Neighbour::ALL);
        let named = parsed(&["--only", "rabbitmq,auth-service-killed", "--for", "1m"]);
        assert_eq!(named.neighbours(), [Neighbour::RabbitMq, Neighbour::AuthServiceKilled]);
        assert_eq!(named.options().away, Duration::from_mins(1));
    }

    #[test]
    fn what_is_promised_is_what_is_asked_for_by_default() {
        let bounds = parsed(&[]).options().bounds();
        assert_eq!((bounds.answer_ms, bounds.recovery_s), (11_000, 30));
    }

    #[test]
    fn nothing_is_taken_away_from_a_fleet_that_others_use() {
        assert!(parsed(&["--rate", "1"]).check(None).is_ok());
        let refused = parsed(&["--rate", "1"]).check(Some("http://10.0.0.5:8080")).unwrap_err();
        assert!(refused.to_string().ends_with("leave out --url"));
    }

    #[test]
    fn absences_and_recoveries_have_their_bounds() {
        assert!(parse_absence("5s").is_ok() && parse_absence("5m").is_ok());
        assert!(parse_absence("4s").is_err() && parse_absence("301s").is_err());
        assert!(parse_recovery("0s").is_ok() && parse_recovery("6m").is_err());
    }
}
