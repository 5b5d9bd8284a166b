//! MySQL, Redis, RabbitMQ and Consul: found, started as private instances, installed or run in
//! containers, in that order.
//!
//! A private instance listens on 127.0.0.1 only, keeps its data under the layout's state folder
//! and shares nothing with a server that the system runs.

mod database;
mod docker;
mod install;
mod mariadb;
mod probe;
mod rabbitmq;
mod server;

pub mod consul;
pub mod plan;
pub mod queues;
pub mod redis;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

pub use self::database::Database;
pub use self::docker::stop_containers;
pub use self::plan::{Part, Plan, Source};
pub use self::rabbitmq::RabbitMq;
use crate::layout::Layout;
use crate::process::Process;
use crate::ui::Progress;
use crate::{address, port};

/// How long a server that somebody else runs may take to answer.
const EXTERNAL_LIMIT: Duration = Duration::from_secs(15);

/// Where the four servers answer.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// An account that may create schemas and accounts.
    pub mysql: String,
    /// Redis.
    pub redis: String,
    /// RabbitMQ, AMQP.
    pub amqp: String,
    /// RabbitMQ, management API; absent when the broker has none or it is not known.
    pub amqp_management: Option<String>,
    /// Consul, HTTP API.
    pub consul: String,
}

impl Addresses {
    /// That of one server; empty where it is not known.
    pub fn of(&self, part: Part) -> &str {
        match part {
            Part::MySql => &self.mysql,
            Part::Redis => &self.redis,
            Part::RabbitMq => &self.amqp,
            Part::Consul => &self.consul,
        }
    }
}

/// Where private instances live and how their ports are chosen.
#[derive(Clone, Debug)]
pub struct Site {
    /// Folders.
    pub layout: Layout,
    /// Whether to try the usual port of the instance first, so that addresses stay the same from
    /// one start to the next; test runs take any.
    pub usual_ports: bool,
}

impl Site {
    fn port(&self, usual: u16) -> Result<u16> {
        if self.usual_ports { port::preferred(usual) } else { port::free() }
    }
}

/// One private server.
#[derive(Debug)]
pub struct Server {
    /// Its address.
    pub address: String,
    /// Address of its management API, if it has one.
    pub management: Option<String>,
    /// Its processes in the order in which they were started.
    pub processes: Vec<Process>,
}

/// The four servers; private ones end with this value unless detached.
#[derive(Debug)]
pub struct Middleware {
    /// Where they answer.
    pub addresses: Addresses,
    processes: Vec<Process>,
}

impl Middleware {
    /// Provides all four, telling what is done.
    pub async fn provide(site: &Site, plan: &Plan, progress: &Progress) -> Result<Self> {
        let mut middleware = Self { addresses: Addresses::default(), processes: Vec::new() };
        let containers = plan.parts_from_containers();
        if !containers.is_empty() {
            let step = progress.step("Starting containers");
            middleware.addresses = docker::start(site, &containers).await?;
            step.done("docker compose");
        }
        let started = futures::future::join_all(
            plan.sources().map(|(part, source)| provide_part(site, part, source, progress)),
        );
        for (part, server) in started.await.into_iter().collect::<Result<Vec<_>>>()? {
            middleware.adopt(part, server);
        }
        Ok(middleware)
    }

    /// Stops the private instances, the last started first.
    pub async fn stop(&mut self) -> Result<()> {
        while let Some(mut process) = self.processes.pop() {
            process.stop(server::STOP_LIMIT).await?;
        }
        Ok(())
    }

    /// Lets the private instances run on.
    pub fn detach(&mut self) {
        self.processes.drain(..).for_each(Process::detach);
    }

    /// The private processes, to watch over them.
    pub fn processes_mut(&mut self) -> &mut [Process] {
        &mut self.processes
    }

    fn adopt(&mut self, part: Part, server: Option<Server>) {
        let Some(server) = server else { return };
        match part {
            Part::MySql => self.addresses.mysql = server.address,
            Part::Redis => self.addresses.redis = server.address,
            Part::RabbitMq => {
                self.addresses.amqp = server.address;
                self.addresses.amqp_management = server.management;
            }
            Part::Consul => self.addresses.consul = server.address,
        }
        self.processes.extend(server.processes);
    }
}

async fn provide_part(
    site: &Site,
    part: Part,
    source: &Source,
    progress: &Progress,
) -> Result<(Part, Option<Server>)> {
    let start = Instant::now();
    let server = match source {
        Source::Environment(url) => Some(external(part, url).await?),
        Source::Program(program) => Some(server::start(site, part, program).await?),
        Source::Container => return Ok((part, None)),
        Source::Missing => bail!("{part} is missing"),
    };
    if let Some(server) = &server {
        progress.note(&part.to_string(), &address::redact(&server.address), start.elapsed());
    }
    Ok((part, server))
}

/// A server that was named in the environment: used as it is, never stopped.
async fn external(part: Part, url: &str) -> Result<Server> {
    let parsed = address::parse(url, part.schemes())
        .with_context(|| format!("{} cannot be used", part.variable()))?;
    probe::until_answering(part, &parsed, EXTERNAL_LIMIT).await.with_context(|| {
        format!("{part} at {} ({}) does not answer", address::redact(url), part.variable())
    })?;
    Ok(Server { address: url.to_owned(), management: None, processes: Vec::new() })
}

/// Whether a server answers now, in its own protocol; never takes longer than two seconds.
pub async fn answers(part: Part, url: &str) -> bool {
    match address::parse(url, part.schemes()) {
        Ok(url) => probe::answers(part, &url).await,
        Err(_) => false,
    }
}
