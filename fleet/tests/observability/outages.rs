//! Faults of a real fleet against the table of `docs/OBSERVABILITY.md`: the alerts of the row fire,
//! no other does, and they end with the fault.
//!
//! The processes are asked every [`PACE`], and each look stands for the interval at which Prometheus
//! asks: counters, gauges and what is absent are real, and rules with windows of minutes are judged
//! in less. Ages and latencies are those of the clock. Objectives, which are judged over hours and
//! days, cannot be so and are left out: over a record of minutes a single error is too many.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fleet::harness::Api;
use fleet::middleware::Part;
use fleet::services::Service;
use fleet::{Fleet, FleetOptions, seed};
use futures::future::join_all;
use tokio::time::{Interval, MissedTickBehavior};

use crate::record::{Record, Target};
use crate::{read, replay, rules};

/// Files of rules that are judged: all but those of the objectives.
const JUDGED: [&str; 3] = ["fleet", "identity", "messaging"];
/// Pause between two looks.
const PACE: Duration = Duration::from_secs(2);
/// Looks at a fleet that is well before anything is done to it.
const LOOKS_BEFORE: usize = 5;
/// How long alerts may take to come or go; an event is old after a minute.
const PATIENCE: Duration = Duration::from_mins(5);

/// What is taken away.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Process(&'static str),
    Broker,
    Redis,
    Consul,
    Database,
}

/// A fault, and the rows of the page that say what it shows as.
type Row = (Fault, &'static [&'static str]);

const SERVERS: [Row; 4] = [
    (Fault::Redis, &["Redis is away"]),
    (Fault::Consul, &["Consul is away"]),
    (Fault::Broker, &["RabbitMQ is away"]),
    (Fault::Database, &["the database is away"]),
];
const PROCESSES: [Row; 2] = [
    (Fault::Process("notify-service"), &["a process dies or freezes"]),
    (
        Fault::Process("auth-service"),
        &["a process dies or freezes", "auth-service is away from the gateway"],
    ),
];

impl Fault {
    async fn begin(self, fleet: &mut Fleet, customer: &Api) -> Result<()> {
        match self {
            Self::Process(service) => fleet.kill(service, 0),
            Self::Redis => fleet.kill_server(Part::Redis),
            Self::Consul => fleet.kill_server(Part::Consul),
            Self::Database => fleet.database_server()?.kill(),
            Self::Broker => {
                fleet.stop_broker().await?;
                // Events that have to wait.
                let order = customer.order(seed::DEMO_SKU, 1, "pm_ok").await?;
                order.require_any(&[201, 202]).map(|_| ())
            }
        }
    }

    async fn end(self, fleet: &mut Fleet) -> Result<()> {
        match self {
            Self::Process(service) => fleet.restart(service, 0).await?,
            Self::Redis => fleet.launch_server(Part::Redis)?,
            Self::Consul => fleet.start_consul().await?,
            Self::Broker => fleet.start_broker().await?,
            Self::Database => {
                let database = fleet.database_server()?;
                database.launch()?;
                database.ready().await?;
            }
        }
        fleet.all_ready().await?;
        fleet.all_registered().await
    }
}

/// The alerts that rows of the page name, without those that are not judged.
fn expected(rows: &[&str]) -> BTreeSet<String> {
    let page = read("docs/OBSERVABILITY.md");
    let judged = rules::alerts_of(&JUDGED);
    let mut alerts = BTreeSet::new();
    for row in rows {
        let start = format!("| {row} | ");
        let line = page.lines().find_map(|line| line.strip_prefix(&start));
        let links = line.unwrap_or_default().split('[').skip(1);
        let names = links.filter_map(|link| Some(link.split_once("](runbooks/")?.0));
        alerts.extend(names.filter(|name| judged.contains(*name)).map(str::to_owned));
    }
    alerts
}

/// Looks at a fleet again and again.
struct Watch {
    targets: Vec<(Target, String)>,
    client: reqwest::Client,
    customer: Api,
    promtool: PathBuf,
    pace: Interval,
    record: Record,
}

impl Watch {
    async fn of(fleet: &mut Fleet, promtool: PathBuf) -> Result<Self> {
        fleet.seed().await?;
        let target = |service: &Service| {
            let target = Target { job: service.name, instance: service.instance_name(0) };
            anyhow::Ok((target, format!("{}/metrics", fleet.internal_url(service.name, 0)?)))
        };
        let targets = Service::ALL.iter().map(target).collect::<Result<_>>()?;
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            targets,
            client: fleet::http::client().timeout(PACE).build()?,
            customer: fleet.customer().await?,
            promtool,
            pace,
            record: Record::new(BTreeSet::new()),
        })
    }

    /// Forgets what was, and sees that nothing fires while all is well.
    async fn begin(&mut self) -> Result<()> {
        self.record = Record::new(rules::asked(&JUDGED));
        for _ in 1..LOOKS_BEFORE {
            self.look().await;
        }
        self.until(&BTreeSet::new()).await
    }

    /// Looks until exactly these alerts fire.
    async fn until(&mut self, alerts: &BTreeSet<String>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.look().await;
            let said = replay::differs(&self.promtool, &self.record, &JUDGED, alerts).await?;
            let Some(said) = said else { return Ok(()) };
            ensure!(Instant::now() < deadline, "not {alerts:?} alone: {said}");
        }
    }

    async fn look(&mut self) {
        self.pace.tick().await;
        // Quotas are counted when somebody asks; with which success is not the matter here.
        let _ = self.customer.get("/api/v1/products").await;
        let answers = self.targets.iter().map(|(target, url)| {
            let client = &self.client;
            async move { (target.clone(), metrics(client, url).await.ok()) }
        });
        let answers = join_all(answers).await;
        self.record.add(&answers);
    }
}

async fn metrics(client: &reqwest::Client, url: &str) -> reqwest::Result<String> {
    client.get(url).send().await?.error_for_status()?.text().await
}

async fn hold(fleet: &mut Fleet, promtool: PathBuf, rows: &[Row]) -> Result<()> {
    let mut watch = Watch::of(fleet, promtool).await?;
    for (fault, documented) in rows {
        let alerts = expected(documented);
        watch.begin().await.with_context(|| format!("before {fault:?}"))?;
        fault.begin(fleet, &watch.customer).await?;
        watch.until(&alerts).await.with_context(|| format!("{fault:?}"))?;
        fault.end(fleet).await?;
        watch.until(&BTreeSet::new()).await.with_context(|| format!("after {fault:?}"))?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn a_server_that_goes_away_shows_as_the_alerts_of_its_row_until_it_is_back() -> Result<()> {
    let Some(promtool) = replay::promtool()? else { return Ok(()) };
    let mut fleet = Fleet::start(FleetOptions::default().own_broker().own_database()).await?;
    Box::pin(hold(&mut fleet, promtool, &SERVERS)).await?;
    fleet.finish().await
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn a_process_that_dies_shows_as_the_alerts_of_its_row_until_it_is_back() -> Result<()> {
    let Some(promtool) = replay::promtool()? else { return Ok(()) };
    let mut fleet = Fleet::start(FleetOptions::default()).await?;
    Box::pin(hold(&mut fleet, promtool, &PROCESSES)).await?;
    fleet.finish().await
}

#[test]
fn every_fault_has_a_row_and_every_row_an_alert_that_is_judged() {
    for (fault, documented) in SERVERS.iter().chain(&PROCESSES) {
        for row in *documented {
            assert!(!expected(&[*row]).is_empty(), "{fault:?}: {row}");
        }
    }
    let broker = expected(&["RabbitMQ is away"]);
    assert_eq!(broker.into_iter().collect::<Vec<_>>(), ["BrokerLost", "OutboxOld"]);
    assert!(expected(&["nothing is away"]).is_empty());
}
