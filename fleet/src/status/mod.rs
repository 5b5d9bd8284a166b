//! How the running fleet is: each process of each service, the servers, the queues.
//!
//! Every part is asked by itself and may be down; what is wrong is told together with what to do.

pub mod metrics;
mod render;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::join_all;
use serde::Deserialize;

use self::metrics::{Figures, Traffic};
use crate::layout::Layout;
use crate::local::{AdministratorAddresses, NAMESPACE, SUPERVISOR};
use crate::middleware::queues::{self, Queue};
use crate::middleware::{self, Addresses, Part};
use crate::process::{Record, Records, Usage, usage};
use crate::services::Service;

/// A process on this machine that takes longer is not well.
const LIMIT: Duration = Duration::from_secs(2);

/// Whether a part does its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Ready,
    /// It lives and takes no requests: why.
    NotReady(String),
    /// Its process lives and does not answer.
    Silent,
    /// It ended, or was never started.
    Ended,
}

/// One process of a service, or the place of one that is not there.
#[derive(Clone, Debug)]
pub struct ServiceRow {
    /// Which service.
    pub service: &'static Service,
    /// Name of the process.
    pub name: String,
    /// Whether it does its work.
    pub state: State,
    /// Its process, while it lives.
    pub pid: Option<u32>,
    /// What it takes.
    pub usage: Option<Usage>,
    /// Share of one processor since the last look.
    pub cpu: Option<f64>,
    /// What it did since the last look.
    pub traffic: Option<Traffic>,
    /// Events that wait for the broker, and for how many seconds the oldest one.
    pub outbox: Option<(f64, f64)>,
}

/// One server, or another process that `up` has started.
#[derive(Clone, Debug)]
pub struct ServerRow {
    /// Its name.
    pub name: String,
    /// Whether it answers.
    pub state: State,
    /// Its process, if it is one of ours and lives.
    pub pid: Option<u32>,
    /// What it takes.
    pub usage: Option<Usage>,
    /// Its log, if it is one of ours.
    pub log: Option<String>,
}

/// How the fleet is.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Every process of every service.
    pub services: Vec<ServiceRow>,
    /// Every server.
    pub servers: Vec<ServerRow>,
    /// The broker's queues, or why they cannot be seen; `None` where nobody can tell.
    pub queues: Option<Result<Vec<Queue>, String>>,
}

/// What was seen of a process at the last look.
#[derive(Clone, Debug)]
struct Sample {
    at: Instant,
    identity: String,
    cpu: Option<Duration>,
    figures: Option<Figures>,
}

/// Looks at a fleet, again and again.
#[derive(Debug)]
pub struct Observer {
    layout: Layout,
    client: reqwest::Client,
    before: BTreeMap<String, Sample>,
}

/// What a process answered.
struct Answers {
    is_alive: bool,
    readiness: Option<Readiness>,
    figures: Option<Figures>,
}

#[derive(Debug, Default, Deserialize)]
struct Readiness {
    status: String,
    phase: String,
    #[serde(default)]
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    status: String,
    required: bool,
}

impl Observer {
    /// An observer of the fleet of this layout.
    pub fn new(layout: Layout) -> Result<Self> {
        let client = crate::http::client().timeout(LIMIT).build()?;
        Ok(Self { layout, client, before: BTreeMap::new() })
    }

    /// Looks at everything at once. The first look tells no rates.
    pub async fn look(&mut self) -> Result<Status> {
        let records = Records::new(self.layout.records()).list()?;
        let local = AdministratorAddresses::load(&self.layout).ok();
        let addresses = local.map(|local| local.servers()).unwrap_or_default();
        let answers = join_all(records.iter().map(|record| self.ask(record)));
        let servers = servers(&records, &addresses);
        let (answers, servers, queues) = tokio::join!(answers, servers, queues_of(&addresses));
        let mut services = Vec::new();
        for service in Service::ALL {
            let own = records.iter().zip(&answers);
            let own = own.filter(|(record, _)| Service::of_process(&record.name) == Some(service));
            let rows: Vec<ServiceRow> =
                own.map(|(record, answers)| self.row(service, record, answers)).collect();
            if rows.is_empty() {
                services.push(absent(service));
            }
            services.extend(rows);
        }
        Ok(Status { services, servers, queues })
    }

    async fn ask(&self, record: &Record) -> Answers {
        let nothing = Answers { is_alive: false, readiness: None, figures: None };
        let [_, port] = record.ports[..] else { return nothing };
        if Service::of_process(&record.name).is_none() || !record.is_alive() {
            return nothing;
        }
        let get = async |path: &str| {
            let reply = self.client.get(format!("http://127.0.0.1:{port}{path}")).send().await;
            reply.ok()?.text().await.ok()
        };
        let (alive, ready, metrics) = tokio::join!(get("/livez"), get("/readyz"), get("/metrics"));
        Answers {
            is_alive: alive.is_some(),
            readiness: ready.and_then(|text| serde_json::from_str(&text).ok()),
            figures: metrics.as_deref().map(Figures::parse),
        }
    }

    fn row(&mut self, service: &'static Service, record: &Record, answers: &Answers) -> ServiceRow {
        let usage = record.is_alive().then(|| usage(record.pid)).flatten();
        let sample = Sample {
            at: Instant::now(),
            identity: record.identity.clone(),
            cpu: usage.map(|usage| usage.cpu),
            figures: answers.figures.clone(),
        };
        let before = self.before.insert(record.name.clone(), sample.clone());
        // Another process of the same name has counted from its own start.
        let before = before.filter(|before| before.identity == sample.identity);
        let (cpu, traffic) = before.map_or((None, None), |before| sample.since(&before));
        let figures = sample.figures.as_ref();
        ServiceRow {
            service,
            name: record.name.clone(),
            state: state(record.is_alive(), answers),
            pid: record.is_alive().then_some(record.pid),
            usage,
            cpu,
            traffic,
            outbox: figures.and_then(|it| Some((it.outbox?, it.outbox_age.unwrap_or_default()))),
        }
    }
}

impl Sample {
    fn since(&self, before: &Self) -> (Option<f64>, Option<Traffic>) {
        let elapsed = self.at.duration_since(before.at);
        let worked = self.cpu.zip(before.cpu).map(|(now, then)| now.saturating_sub(then));
        let cpu = worked.map(|it| it.as_secs_f64() / elapsed.as_secs_f64().max(f64::EPSILON));
        let figures = self.figures.as_ref().zip(before.figures.as_ref());
        (cpu, figures.map(|(now, then)| now.since(then, elapsed)))
    }
}

fn state(is_alive: bool, answers: &Answers) -> State {
    match &answers.readiness {
        _ if !is_alive => State::Ended,
        _ if !answers.is_alive => State::Silent,
        None => State::NotReady("it does not tell why".to_owned()),
        Some(readiness) if readiness.status == "ready" => State::Ready,
        Some(readiness) => State::NotReady(readiness.reason()),
    }
}

impl Readiness {
    fn reason(&self) -> String {
        let is_missing = |one: &&Dependency| one.required && one.status != "up";
        let missing = self.dependencies.iter().filter(is_missing);
        let missing: Vec<String> =
            missing.map(|one| format!("{} {}", one.name, one.status)).collect();
        if missing.is_empty() { self.phase.clone() } else { missing.join(", ") }
    }
}

fn absent(service: &'static Service) -> ServiceRow {
    ServiceRow {
        service,
        name: service.name.to_owned(),
        state: State::Ended,
        pid: None,
        usage: None,
        cpu: None,
        traffic: None,
        outbox: None,
    }
}

/// The servers that the fleet needs, and whatever else was started for it.
async fn servers(records: &[Record], addresses: &Addresses) -> Vec<ServerRow> {
    let needed = join_all(Part::ALL.into_iter().map(|part| async move {
        let (url, record) = (addresses.of(part), record_of(records, part));
        let state = if record.is_some_and(|record| !record.is_alive()) {
            State::Ended
        } else if url.is_empty() || middleware::answers(part, url).await {
            State::Ready
        } else {
            State::Silent
        };
        (record.is_some() || !url.is_empty()).then(|| server(part.to_string(), record, state))
    }));
    let others = records.iter().filter(|record| is_other(record)).map(|record| {
        let state = if record.is_alive() { State::Ready } else { State::Ended };
        server(record.name.clone(), Some(record), state)
    });
    needed.await.into_iter().flatten().chain(others).collect()
}

/// The name under which the process of a private server is recorded.
fn record_of(records: &[Record], part: Part) -> Option<&Record> {
    let name = match part {
        Part::MySql => "mysql",
        Part::Redis => "redis",
        Part::RabbitMq => "rabbitmq",
        Part::Consul => "consul",
    };
    records.iter().find(|record| record.name == name)
}

fn is_other(record: &Record) -> bool {
    let is_server =
        Part::ALL.iter().any(|part| record_of(std::slice::from_ref(record), *part).is_some());
    !is_server && record.name != SUPERVISOR && Service::of_process(&record.name).is_none()
}

fn server(name: String, record: Option<&Record>, state: State) -> ServerRow {
    let alive = record.filter(|record| record.is_alive());
    ServerRow {
        name,
        state,
        pid: alive.map(|record| record.pid),
        usage: alive.and_then(|record| usage(record.pid)),
        log: record.map(|record| record.log.display().to_string()),
    }
}

async fn queues_of(addresses: &Addresses) -> Option<Result<Vec<Queue>, String>> {
    let management = addresses.amqp_management.as_ref()?;
    let queues = tokio::time::timeout(LIMIT, queues::list(management, NAMESPACE)).await;
    Some(match queues {
        Ok(Ok(queues)) => Ok(queues),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(_) => Err("the broker's management API does not answer".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(is_alive: bool, readiness: Option<&str>) -> Answers {
        let readiness = readiness.map(|text| serde_json::from_str(text).unwrap());
        Answers { is_alive, readiness, figures: None }
    }

    #[test]
    fn a_state_is_told_with_its_reason() {
        let ready = r#"{"status":"ready","phase":"serving","dependencies":[]}"#;
        let waiting = r#"{"status":"not_ready","phase":"serving","dependencies":[
            {"name":"database","status":"down","required":true,"error":"refused"},
            {"name":"redis","status":"down","required":false}]}"#;
        let draining = r#"{"status":"not_ready","phase":"draining","dependencies":[]}"#;
        assert_eq!(state(true, &answers(true, Some(ready))), State::Ready);
        let reason = |text| state(true, &answers(true, Some(text)));
        assert_eq!(reason(waiting), State::NotReady("database down".to_owned()));
        assert_eq!(reason(draining), State::NotReady("draining".to_owned()));
        assert_eq!(state(true, &answers(false, None)), State::Silent);
        assert_eq!(state(false, &answers(false, None)), State::Ended);
    }

    #[tokio::test]
    async fn a_fleet_that_is_not_there_is_seen_to_be_missing() {
        let folder = std::env::temp_dir().join(format!("ehub-status-{}", crate::random::token()));
        let layout = Layout::discover().unwrap().with_state(folder);
        let status = Observer::new(layout).unwrap().look().await.unwrap();
        assert_eq!(status.services.len(), Service::ALL.len());
        assert!(status.services.iter().all(|row| row.state == State::Ended));
        assert!(status.servers.is_empty() && status.queues.is_none());
        assert_eq!(status.problems().len(), Service::ALL.len());
    }
}
