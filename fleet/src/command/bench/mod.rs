//! `ehub bench`: measures what is promised about time.

mod login_flood;
mod neighbours;
mod overload;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use super::interrupted;
use super::successor::go_on_as;
use crate::bench::good::{PRODUCTS, well_behaved};
use crate::bench::resident::Resident;
use crate::bench::samples::{Samples, milliseconds};
use crate::bench::slow::{Crowd, Manner, require_descriptors_for};
use crate::bench::{self, logins};
use crate::harness::{Api, Fleet, FleetOptions};
use crate::layout::Layout;
use crate::middleware::{Plan, plan};
use crate::services::{Profile, Service, build};
use crate::ui::{self, Progress};

/// How long good clients are measured before there are slow ones, at most.
const BEFORE: Duration = Duration::from_secs(15);
/// How long slow clients stay after the measurement, if nobody hangs up on them.
const OVERTIME: Duration = Duration::from_secs(1);

/// Options of `bench`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
    /// Base address of a gateway that runs; by default a private fleet is built for release and started
    #[arg(long, global = true)]
    url: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// How long refused logins take: of accounts that are there, and of those that are not
    Logins {
        /// Tries with each kind
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
        tries: u32,
        /// How far the medians may lie apart, in percent; farther ends with code 1
        #[arg(long, default_value_t = 5.0)]
        max_difference_percent: f64,
    },
    /// How long others wait beside many slow clients, and what those cost the gateway
    SlowClients {
        /// Slow clients at once, with heads, bodies and answers in turn
        #[arg(long, default_value_t = 1_000)]
        connections: usize,
        /// How long they stay
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,
        /// How many times as long the 99th percentile of others may be meanwhile; longer ends with code 1
        #[arg(long, default_value_t = 2.0)]
        max_p99_factor: f64,
        /// How many MiB more the gateway may hold, where it is our own; more ends with code 1
        #[arg(long, default_value_t = 50)]
        max_growth_mib: u64,
    },
    /// How long others wait beside a flood of logins, with the limits as they are shipped
    LoginFlood(login_flood::Args),
    /// What is left of the goodput when far more is asked than is borne, and how soon all is well again
    Overload(overload::Args),
    /// What clients notice while Redis, Consul, RabbitMQ, another service or the payment provider is
    /// away, and how soon all is well again
    Neighbours(neighbours::Args),
}

impl What {
    /// The private fleet on which it is measured.
    fn fleet(&self) -> FleetOptions {
        match self {
            Self::Neighbours(_) => bench::neighbours::options(),
            Self::LoginFlood(_) => bench::shipped(),
            Self::Logins { .. } | Self::SlowClients { .. } | Self::Overload(_) => bench::options(),
        }
    }
}

/// What slow clients may cost.
#[derive(Clone, Copy, Debug)]
struct SlowBounds {
    p99_factor: f64,
    growth_mib: u64,
}

/// What is measured: a gateway, and the fleet behind it if that is ours.
struct Place {
    base: String,
    fleet: Option<Fleet>,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::SlowClients { connections, .. } => require_descriptors_for(*connections)?,
        What::LoginFlood(_) => login_flood::check(args.url.as_deref())?,
        What::Overload(overload) => overload.check()?,
        What::Neighbours(neighbours) => neighbours.check(args.url.as_deref())?,
        What::Logins { .. } => {}
    }
    let measured = async {
        let mut place = Box::pin(Place::find(args)).await?;
        let code = measure(&args.what, &mut place).await?;
        place.leave().await?;
        Ok(code)
    };
    tokio::select! {
        outcome = Box::pin(measured) => outcome,
        signal = interrupted() => bail!("interrupted by {}", signal?),
    }
}

async fn measure(what: &What, place: &mut Place) -> Result<ExitCode> {
    match what {
        What::Logins { tries, max_difference_percent } => {
            logins(place, usize::try_from(*tries)?, *max_difference_percent).await
        }
        What::SlowClients { connections, seconds, max_p99_factor, max_growth_mib } => {
            let bounds = SlowBounds { p99_factor: *max_p99_factor, growth_mib: *max_growth_mib };
            slow_clients(place, *connections, Duration::from_secs(*seconds), bounds).await
        }
        What::LoginFlood(args) => login_flood::run(args, place).await,
        What::Overload(args) => overload::run(args, place).await,
        What::Neighbours(args) => neighbours::run(args, place).await,
    }
}

async fn logins(place: &Place, tries: usize, most: f64) -> Result<ExitCode> {
    let measured = logins::measure(&Api::new(&place.base)?, tries).await?;
    ui::line(&ui::table(&measured.rows()));
    if is_within(measured.difference_percent(), most) {
        return Ok(ExitCode::SUCCESS);
    }
    ui::error_line(&format!("The medians lie more than {most} % apart."));
    Ok(ExitCode::FAILURE)
}

fn is_within(difference_percent: f64, most: f64) -> bool {
    difference_percent.abs() <= most
}

async fn slow_clients(
    place: &mut Place,
    connections: usize,
    stay: Duration,
    bounds: SlowBounds,
) -> Result<ExitCode> {
    let good = Api::new(&place.base)?;
    let before = well_behaved(&good, PRODUCTS, stay.min(BEFORE)).await?.throughout()?;
    let memory = place.gateway()?.map(Resident::of).transpose()?;
    let crowd = Crowd::new(&Manner::BUSY, OVERTIME);
    let mut members = crowd.gather(&place.base, connections, stay);
    let during = well_behaved(&good, PRODUCTS, stay).await?.throughout()?;
    let growth = memory.map(|memory| memory.growth_kb()).transpose()?;
    while let Some(member) = members.join_next().await {
        member??;
    }
    ui::line(&ui::table(&answers(connections, &before, &during)));
    ui::line(&ui::table(&costs(&crowd, memory, growth)));
    let missed = bounds.missed(&before, &during, growth);
    for missed in &missed {
        ui::error_line(missed);
    }
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl SlowBounds {
    /// What was more than it may be.
    fn missed(self, before: &Samples, during: &Samples, growth_kb: Option<u64>) -> Vec<String> {
        let is_quick = during.p99_times(before) <= self.p99_factor;
        let is_small =
            growth_kb.is_none_or(|growth| growth <= self.growth_mib.saturating_mul(1_024));
        let slow = || format!("The p99 of others is more than {} times as long.", self.p99_factor);
        let large = || format!("The gateway holds more than {} MiB more.", self.growth_mib);
        let missed = [(!is_quick).then(slow), (!is_small).then(large)];
        missed.into_iter().flatten().collect()
    }
}

/// What clients that behave well went through.
fn answers(connections: usize, before: &Samples, during: &Samples) -> Vec<Vec<String>> {
    let row = |name: String, samples: &Samples| {
        let times = [50, 99, 100].map(|percent| milliseconds(samples.percentile(percent)));
        [vec![name, samples.count().to_string()], times.to_vec()].concat()
    };
    vec![
        ["good clients", "answers", "median", "p99", "longest"].map(str::to_owned).to_vec(),
        row("before".to_owned(), before),
        row(format!("beside {connections} slow ones"), during),
    ]
}

/// What slow clients did and cost.
fn costs(crowd: &Crowd, memory: Option<Resident>, growth_kb: Option<u64>) -> Vec<Vec<String>> {
    let row = |what: String, value: String| vec![what, value];
    let mut rows = vec![row("slow connections made".to_owned(), crowd.connected().to_string())];
    rows.extend(crowd.held_longest_ms().into_iter().map(|(manner, held)| {
        row(format!("longest held, {manner:?}").to_lowercase(), format!("{held} ms"))
    }));
    let shown = match (memory, growth_kb) {
        (Some(memory), Some(growth)) => format!("{growth} KiB more than {}", memory.before_kb()),
        _ => "not known of a process that is not ours".to_owned(),
    };
    rows.push(row("memory of the gateway".to_owned(), shown));
    rows
}

impl Place {
    /// The gateway that is named, else a fleet of our own.
    async fn find(args: &Args) -> Result<Self> {
        if let Some(url) = &args.url {
            return Ok(Self { base: url.trim_end_matches('/').to_owned(), fleet: None });
        }
        let (layout, progress) = (Layout::discover()?, Progress::visible());
        plan::complete(&layout, Plan::detect_private, |text| progress.tell(text))?;
        let step = progress.step("Building the services for release");
        build(layout.root(), Profile::Release).await?;
        step.done("cargo build");
        go_on_as(&layout, Profile::Release)?;
        let step = progress.step("Starting a private fleet");
        let fleet = Fleet::start(args.what.fleet()).await?;
        fleet.seed().await?;
        step.done("");
        let base = fleet.gateway_urls().into_iter().next().unwrap_or_default();
        Ok(Self { base, fleet: Some(fleet) })
    }

    /// The gateway's process, if it is ours.
    fn gateway(&mut self) -> Result<Option<u32>> {
        self.fleet.as_mut().map(|fleet| fleet.process_id(Service::GATEWAY, 0)).transpose()
    }

    async fn leave(self) -> Result<()> {
        match self.fleet {
            Some(fleet) => fleet.finish().await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_may_lie_apart_in_either_direction() {
        assert!(is_within(5.0, 5.0) && is_within(-5.0, 5.0) && is_within(0.0, 0.0));
        assert!(!is_within(5.1, 5.0) && !is_within(-5.1, 5.0));
    }

    #[test]
    fn slow_clients_may_cost_so_much_and_no_more() {
        let bounds = SlowBounds { p99_factor: 2.0, growth_mib: 50 };
        let [usual, twice, more] =
            [10, 20, 21].map(|ms| [Duration::from_millis(ms)].into_iter().collect());
        let missed = |during, growth| bounds.missed(&usual, during, growth).len();
        assert_eq!(missed(&twice, Some(50 * 1_024)), 0);
        assert_eq!(missed(&twice, None), 0, "of a gateway that is not ours nothing is known");
        assert_eq!(missed(&more, Some(0)), 1);
        assert_eq!(missed(&twice, Some(50 * 1_024 + 1)), 1);
        assert_eq!(missed(&more, Some(u64::MAX)), 2);
    }

    #[test]
    fn what_is_not_known_of_a_gateway_is_said_so() {
        let crowd = Crowd::new(&Manner::BUSY, OVERTIME);
        let rows = costs(&crowd, None, None);
        assert_eq!(rows.first().map(|row| row[1].as_str()), Some("0"));
        assert!(rows.last().is_some_and(|row| row[1].starts_with("not known")));
    }

    #[test]
    fn answers_are_told_before_and_beside_slow_clients() {
        let [quick, slow] = [2, 4].map(|ms| [Duration::from_millis(ms)].into_iter().collect());
        let [_, before, beside] = answers(10, &quick, &slow).try_into().unwrap();
        assert_eq!(before, ["before", "1", "2.00 ms", "2.00 ms", "2.00 ms"]);
        assert_eq!(beside[..3], ["beside 10 slow ones", "1", "4.00 ms"]);
    }
}
