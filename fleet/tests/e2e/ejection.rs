//! An instance dies or freezes while Consul is frozen too: nobody tells its callers, and how their
//! calls go has to be enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fleet::harness::Api;
use fleet::middleware::Part;
use fleet::services::Service;
use fleet::{Fleet, FleetOptions, wait};
use futures::future::try_join;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::support::{order, text};

/// The service of which one instance is lost.
const SERVICE: &str = "order-service";
/// Which one; the other stays.
const LOST: usize = 1;
/// Failures in a row after which the gateway leaves an instance out.
const THRESHOLD: usize = 5;
/// Reads after which an instance is taken for one that gets its share: more than may have waited
/// in a frozen one.
const SHARE: usize = 100;
/// Reads that are looked at after the instance was left out.
const AFTERWARDS: usize = 200;
/// How long a step of a test may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// Few under way: all of them may be at the instance that dies, and as many more come to its address
/// before the first of these was refused. The gateway has a retry for each
/// (`upstream.retry_budget_max`).
const STEADY: Pace = Pace { at_once: 1, every: Duration::from_millis(25), under_way: 4 };
/// Many at a time: more than [`THRESHOLD`] wait for the instance that froze.
const IN_WAVES: Pace = Pace { at_once: 10, every: Duration::from_millis(500), under_way: 200 };

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn a_dead_instance_fails_no_read_and_gets_no_more_calls() -> Result<()> {
    let mut fleet = Fleet::start(options()).await?;
    let reads = Reads::of_an_order(&fleet, STEADY).await?;
    let gateway = Metrics::of(&mut fleet, Service::GATEWAY, 0)?;
    let lose = async {
        until_it_has_its_share(&mut fleet).await?;
        fleet.pause_server(Part::Consul)?;
        let before = gateway.counted().await?;
        let killed = Instant::now();
        fleet.kill(SERVICE, LOST)?;
        gateway.until_ejections(before.ejections + 1).await?;
        let noticed = killed.elapsed();
        // After its time, one call finds out whether it is back.
        gateway.until_ejections(before.ejections + 2).await?;
        reads.until_begun(AFTERWARDS).await?;
        reads.stop();
        anyhow::Ok((before, noticed))
    };
    let (answers, (before, noticed)) = try_join(reads.keep_coming(), lose).await?;
    let after = gateway.counted().await?;
    let attempts = after.failures - before.failures;
    let trials = after.ejections - before.ejections - 1;
    let failed: Vec<_> = answers.iter().filter(|answer| !answer.is_good()).collect();
    println!(
        "{} reads, {} failed; {attempts} calls met the dead instance, {trials} of them to find out \
         whether it is back; seen to be left out {} ms after its death",
        answers.len(),
        failed.len(),
        noticed.as_millis(),
    );
    ensure!(failed.is_empty(), "{failed:?}");
    // Those that made the gateway leave it out, and those that were under way to it by then.
    ensure!(attempts <= THRESHOLD + STEADY.under_way + trials, "{attempts} calls");
    fleet.resume_server(Part::Consul)?;
    fleet.restart(SERVICE, LOST).await?;
    fleet.finish().await
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn a_frozen_instance_fails_only_reads_that_wait_for_it_already() -> Result<()> {
    // No call finds out whether it is back while the reads after the ejection are looked at.
    let options = options().setting("EH_GATEWAY__UPSTREAM__EJECT_FOR_MS", "30000");
    let mut fleet = Fleet::start(options).await?;
    let reads = Reads::of_an_order(&fleet, IN_WAVES).await?;
    let gateway = Metrics::of(&mut fleet, Service::GATEWAY, 0)?;
    let lose = async {
        until_it_has_its_share(&mut fleet).await?;
        fleet.pause_server(Part::Consul)?;
        let before = gateway.counted().await?;
        fleet.pause(SERVICE, LOST)?;
        gateway.until_ejections(before.ejections + 1).await?;
        let left_out = reads.begun();
        reads.until_begun(AFTERWARDS).await?;
        reads.stop();
        anyhow::Ok(left_out)
    };
    let (answers, left_out) = try_join(reads.keep_coming(), lose).await?;
    let failed: Vec<_> = answers.iter().filter(|answer| !answer.is_good()).collect();
    let ends = || failed.iter().map(|answer| answer.at);
    let (first, last) = ends().min().zip(ends().max()).context("no read waited for it")?;
    let longest = failed.iter().map(|answer| answer.took).max().unwrap_or_default();
    println!(
        "{} reads, {} failed, each within {} ms; {} ms from the first failure to the last; {} began \
         after the instance was left out",
        answers.len(),
        failed.len(),
        longest.as_millis(),
        last.duration_since(first).as_millis(),
        answers.len() - left_out,
    );
    let late: Vec<_> = failed.iter().filter(|answer| answer.number >= left_out).collect();
    ensure!(late.is_empty(), "sent to an instance that was left out: {late:?}");
    let is_told = failed.iter().all(|answer| [503, 504].contains(&answer.status));
    ensure!(is_told, "{failed:?}");

    fleet.resume(SERVICE, LOST)?;
    fleet.resume_server(Part::Consul)?;
    let reads = Reads::new(&reads.customer, &reads.path, STEADY);
    let come_back = async {
        until_it_has_its_share(&mut fleet).await?;
        reads.stop();
        anyhow::Ok(())
    };
    let (answers, ()) = try_join(reads.keep_coming(), come_back).await?;
    let failed: Vec<_> = answers.iter().filter(|answer| !answer.is_good()).collect();
    ensure!(failed.is_empty(), "{failed:?}");
    fleet.finish().await
}

fn options() -> FleetOptions {
    FleetOptions::default()
        .replicas(SERVICE, 2)
        .setting("EH_GATEWAY__UPSTREAM__EJECT_AFTER_FAILURES", &THRESHOLD.to_string())
        .setting("EH_GATEWAY__RATE_LIMITS__DEFAULT__REQUESTS", "1000000")
        // However slow the machine is, no read is one too many.
        .setting("EH_GATEWAY__SHEDDING__CALM_MS", "10000")
}

/// Waits until the instance that is to be lost, or was, has served its share of the reads.
async fn until_it_has_its_share(fleet: &mut Fleet) -> Result<()> {
    let metrics = Metrics::of(fleet, SERVICE, LOST)?;
    let served = || async {
        let of_reads = ["rpc_method=\"GetOrder\"", "rpc_grpc_status_code=\"OK\""];
        sum(&metrics.text().await?, "rpc_server_requests_total", &of_reads)
    };
    let enough = served().await? + SHARE;
    wait::until("the instance serving", PATIENCE, || async {
        Ok((served().await? >= enough).then_some(()))
    })
    .await
}

/// How reads come.
#[derive(Clone, Copy)]
struct Pace {
    /// So many at a time.
    at_once: usize,
    /// How often.
    every: Duration,
    /// More are not under way: a slow machine gets fewer of them.
    under_way: usize,
}

/// Reads of one order, one after another or several at a time.
struct Reads {
    customer: Api,
    path: String,
    pace: Pace,
    begun: AtomicUsize,
    is_over: AtomicBool,
}

/// What became of a read.
#[derive(Debug)]
struct Answer {
    /// How many began before it.
    number: usize,
    status: u16,
    took: Duration,
    at: Instant,
}

impl Answer {
    fn is_good(&self) -> bool {
        self.status == 200
    }
}

impl Reads {
    /// Reads of an order that a new customer has placed.
    async fn of_an_order(fleet: &Fleet, pace: Pace) -> Result<Self> {
        fleet.seed().await?;
        let customer = fleet.customer().await?;
        let placed = order(&customer, "pm_ok").await?;
        let path = format!("/api/v1/orders/{}", text(&placed, "id")?);
        Ok(Self::new(&customer, &path, pace))
    }

    fn new(customer: &Api, path: &str, pace: Pace) -> Self {
        Self {
            customer: customer.clone(),
            path: path.to_owned(),
            pace,
            begun: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// Reads on and on until told to stop, and waits for every answer.
    async fn keep_coming(&self) -> Result<Vec<Answer>> {
        let places = Arc::new(Semaphore::new(self.pace.under_way));
        let mut pace = tokio::time::interval(self.pace.every);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reading = JoinSet::new();
        while !self.is_over.load(Ordering::Relaxed) {
            pace.tick().await;
            for _ in 0..self.pace.at_once {
                let place = Arc::clone(&places).acquire_owned().await?;
                let number = self.begun.fetch_add(1, Ordering::Relaxed);
                let (customer, path) = (self.customer.clone(), self.path.clone());
                reading.spawn(async move {
                    let reply = customer.get(&path).await?;
                    drop(place);
                    let (status, took) = (reply.status, reply.elapsed);
                    anyhow::Ok(Answer { number, status, took, at: Instant::now() })
                });
            }
        }
        reading.join_all().await.into_iter().collect()
    }

    /// How many have begun.
    fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Waits until so many more have begun.
    async fn until_begun(&self, more: usize) -> Result<()> {
        let enough = self.begun() + more;
        let is_enough = || async { Ok((self.begun() >= enough).then_some(())) };
        wait::until("further reads", PATIENCE, is_enough).await
    }

    fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// What the gateway has counted. It leaves out instances of this service only: no other has two.
struct Counted {
    /// How often it began to leave an instance out.
    ejections: usize,
    /// Calls that failed at an instance, or went elsewhere because it could not be reached.
    failures: usize,
}

/// The metrics of a process.
struct Metrics {
    client: reqwest::Client,
    url: String,
}

impl Metrics {
    fn of(fleet: &mut Fleet, service: &str, replica: usize) -> Result<Self> {
        let url = format!("{}/metrics", fleet.internal_url(service, replica)?);
        Ok(Self { client: fleet::http::client().build()?, url })
    }

    async fn text(&self) -> Result<String> {
        Ok(self.client.get(&self.url).send().await?.error_for_status()?.text().await?)
    }

    async fn counted(&self) -> Result<Counted> {
        let metrics = self.text().await?;
        let failed = ["peer=\"order-service\"", "rpc_grpc_status_code=\"UNAVAILABLE\""];
        let failed = sum(&metrics, "rpc_client_requests_total", &failed)?;
        let elsewhere = sum(&metrics, "eh_grpc_calls_sent_elsewhere_total", &[])?;
        let ejections = sum(&metrics, "rpc_client_ejections_total", &[])?;
        Ok(Counted { ejections, failures: failed + elsewhere })
    }

    async fn until_ejections(&self, enough: usize) -> Result<()> {
        wait::until("the instance being left out", PATIENCE, || async {
            Ok((self.counted().await?.ejections >= enough).then_some(()))
        })
        .await
    }
}

/// The sum of those series of a counter that have all of these labels.
fn sum(metrics: &str, name: &str, labels: &[&str]) -> Result<usize> {
    let mut sum = 0;
    for line in metrics.lines() {
        let series = line.strip_prefix(name).and_then(|rest| rest.rsplit_once(' '));
        let Some((series, value)) = series else { continue };
        let is_it = series.is_empty() || series.starts_with('{');
        if is_it && labels.iter().all(|label| series.contains(label)) {
            sum += value.parse::<usize>().with_context(|| line.to_owned())?;
        }
    }
    Ok(sum)
}

#[test]
fn series_are_summed_by_name_and_labels() -> Result<()> {
    let metrics = "# TYPE calls counter\ncalls{a=\"1\",b=\"2\"} 3\ncalls{a=\"1\",b=\"4\"} 5\n\
                   calls{a=\"6\"} 7\ncalls_total 8\nends 9\n";
    assert_eq!(sum(metrics, "calls", &["a=\"1\""])?, 8);
    assert_eq!(sum(metrics, "calls", &[])?, 15);
    assert_eq!(sum(metrics, "ends", &[])?, 9);
    assert_eq!(sum(metrics, "absent", &[])?, 0);
    Ok(())
}
