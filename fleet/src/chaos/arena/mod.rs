//! The fleet under faults: performs acts, keeps the dead in mind, and heals everything.

mod heal;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::task::JoinSet;

use super::act::{Act, Broker, Database, Point, Target};
use super::broker;
use super::checks::Violation;
use super::history;
use super::links;
use super::provider::Provider;
use crate::harness::{Ended, Fleet};
use crate::services::Service;

/// A gateway that comes back needs so long until clients find it at work again.
const RECOVERY_MS: i64 = 3_000;

/// A process that ended.
#[derive(Clone, Debug, Serialize)]
pub struct Death {
    /// When, from the beginning of the faults.
    pub at_ms: u64,
    /// Which process.
    pub process: String,
    /// How.
    pub how: String,
}

/// The fleet under faults.
#[derive(Debug)]
pub struct Arena {
    /// The fleet.
    pub fleet: Fleet,
    /// The sandbox provider, if the fleet has one.
    pub provider: Option<Provider>,
    /// Everybody who died by a failpoint or an act.
    pub deaths: Vec<Death>,
    /// What the supervisor found that must not be.
    pub violations: Vec<Violation>,
    /// Acts that could not be performed, with the reason.
    pub notes: Vec<String>,
    /// When a gateway could not answer.
    pub outages: Vec<(usize, i64, i64)>,
    /// Poisonous messages that were planted.
    pub poisoned: usize,
    /// Queues that were deleted with what was in them.
    pub queues_deleted: usize,
    away: BTreeSet<Target>,
    frozen: BTreeSet<Target>,
    rolling: BTreeSet<Target>,
    background: JoinSet<Result<()>>,
    begin: Instant,
}

impl Arena {
    /// Takes a fleet over.
    pub fn new(fleet: Fleet, provider: Option<Provider>) -> Self {
        Self {
            fleet,
            provider,
            deaths: Vec::new(),
            violations: Vec::new(),
            notes: Vec::new(),
            outages: Vec::new(),
            poisoned: 0,
            queues_deleted: 0,
            away: BTreeSet::new(),
            frozen: BTreeSet::new(),
            rolling: BTreeSet::new(),
            background: JoinSet::new(),
            begin: Instant::now(),
        }
    }

    /// The faults begin here.
    pub fn begin(&mut self) {
        self.begin = Instant::now();
    }

    /// Time since the faults began.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Performs an act. What cannot be done, because another fault is in the way, is noted.
    pub async fn perform(&mut self, act: &Act) {
        if let Err(error) = self.try_perform(act).await {
            self.notes.push(format!("{} ms: {act}: {error:#}", self.elapsed_ms()));
        }
    }

    async fn try_perform(&mut self, act: &Act) -> Result<()> {
        match act {
            Act::Kill(target) => self.kill(*target)?,
            Act::Start(target) => self.start(*target)?,
            Act::Freeze(target) => {
                self.fleet.pause(target.service, target.replica)?;
                self.frozen.insert(*target);
            }
            Act::Thaw(target) => {
                self.fleet.resume(target.service, target.replica)?;
                self.frozen.remove(target);
            }
            Act::Roll(target) => {
                self.fleet.ask_to_end(target.service, target.replica)?;
                self.rolling.insert(*target);
            }
            Act::Storm => self.storm()?,
            Act::Arm(point) => self.each(*point, Fleet::arm)?,
            Act::Disarm(point) => self.each(*point, Fleet::disarm)?,
            Act::Link { link, does } => links::set(&self.fleet, *link, *does)?,
            Act::Broker(what) => self.broker(*what).await?,
            Act::Database(what) => self.database(*what).await?,
            Act::FlushCache => links::flush_redis(&self.fleet).await?,
            Act::KillProvider => self.kill_provider()?,
            Act::StartProvider => self.start_provider()?,
            Act::Script { script } => {
                let provider = self.provider.as_ref();
                provider.context("there is no sandbox provider")?.follow(script).await?;
            }
        }
        Ok(())
    }

    /// Starts again what ended by itself, and tells which end nobody had asked for.
    pub fn supervise(&mut self) -> Result<()> {
        while let Some(ended) = self.background.try_join_next() {
            if let Err(error) = ended? {
                self.notes.push(format!("{} ms: {error:#}", self.elapsed_ms()));
            }
        }
        for ended in self.fleet.ended() {
            let target = Target { service: ended.service, replica: ended.replica };
            self.judge(target, &ended);
            if !self.away.contains(&target) {
                self.fleet.launch(target.service, target.replica)?;
            }
        }
        Ok(())
    }

    fn judge(&mut self, target: Target, ended: &Ended) {
        let at_failpoint = ended
            .words
            .lines()
            .rev()
            .find(|line| line.starts_with("failpoint "))
            .map(str::to_owned);
        let asked = self.rolling.remove(&target) && ended.status.code() == Some(0);
        let how = match at_failpoint {
            Some(line) => line,
            None if asked => "SIGTERM".to_owned(),
            None => {
                let detail = format!("{}; its last words:\n{}", ended.status, ended.words);
                let check = "no process ends by itself";
                self.violations.push(Violation::new(check, target.to_string(), detail));
                ended.status.to_string()
            }
        };
        self.mourn(target, how);
    }

    fn mourn(&mut self, target: Target, how: String) {
        let (at_ms, process) = (self.elapsed_ms(), target.to_string());
        self.deaths.push(Death { at_ms, process, how });
        if target.service == Service::GATEWAY {
            let now = history::now().timestamp_millis();
            self.outages.push((target.replica, now - RECOVERY_MS, now + RECOVERY_MS));
        }
    }

    fn kill(&mut self, target: Target) -> Result<()> {
        self.away.insert(target);
        self.fleet.kill(target.service, target.replica)?;
        self.mourn(target, "SIGKILL".to_owned());
        Ok(())
    }

    fn start(&mut self, target: Target) -> Result<()> {
        self.away.remove(&target);
        self.fleet.launch(target.service, target.replica)
    }

    fn storm(&mut self) -> Result<()> {
        for target in self.targets() {
            self.fleet.kill(target.service, target.replica)?;
            self.mourn(target, "SIGKILL".to_owned());
        }
        for target in self.targets() {
            if !self.away.contains(&target) {
                self.fleet.launch(target.service, target.replica)?;
            }
        }
        Ok(())
    }

    fn targets(&self) -> Vec<Target> {
        let of = |service: &'static Service| {
            let count = self.fleet.replica_count(service.name);
            (0..count).map(move |replica| Target { service: service.name, replica })
        };
        Service::ALL.iter().flat_map(of).collect()
    }

    fn each(&self, point: Point, act: fn(&Fleet, &str, usize, &str) -> Result<()>) -> Result<()> {
        (0..self.fleet.replica_count(point.service))
            .try_for_each(|replica| act(&self.fleet, point.service, replica, point.point))
    }

    async fn broker(&mut self, what: Broker) -> Result<()> {
        match what {
            Broker::Stop => self.fleet.stop_broker().await?,
            Broker::Kill => self.fleet.broker()?.kill_node()?,
            Broker::Start => self.start_broker()?,
            Broker::Alarm => self.watermark("0")?,
            Broker::Calm => self.watermark("0.4")?,
            Broker::DeleteQueue(consumer) => {
                broker::delete_queue(&self.fleet, consumer).await?;
                self.queues_deleted += 1;
            }
            Broker::Poison(poison) => {
                broker::publish_poison(&self.fleet, poison).await?;
                self.poisoned += 1;
            }
        }
        Ok(())
    }

    fn kill_provider(&mut self) -> Result<()> {
        self.fleet.provider_mut()?.kill()?;
        let (at_ms, how) = (self.elapsed_ms(), "SIGKILL".to_owned());
        self.deaths.push(Death { at_ms, process: "provider".to_owned(), how });
        Ok(())
    }

    fn start_provider(&mut self) -> Result<()> {
        let provider = self.fleet.provider_mut()?;
        if provider.process().is_running() { Ok(()) } else { provider.launch() }
    }

    fn start_broker(&mut self) -> Result<()> {
        let broker = self.fleet.broker()?;
        if broker.is_running() { Ok(()) } else { broker.launch_node() }
    }

    fn watermark(&mut self, share: &str) -> Result<()> {
        let control = self.fleet.broker()?.control(&["set_vm_memory_high_watermark", share])?;
        self.background.spawn(control.done());
        Ok(())
    }

    async fn database(&mut self, what: Database) -> Result<()> {
        match what {
            Database::Kill => self.fleet.database_server()?.kill()?,
            Database::Start => self.start_database()?,
            Database::Freeze => self.fleet.database_server()?.freeze(),
            Database::Thaw => self.fleet.database_server()?.thaw(),
            Database::LockProducts(ms) => {
                let lock = links::lock_products(&self.fleet).await?;
                self.background.spawn(lock.hold(Duration::from_millis(ms)));
            }
        }
        Ok(())
    }

    fn start_database(&mut self) -> Result<()> {
        let database = self.fleet.database_server()?;
        if database.is_running() { Ok(()) } else { database.launch() }
    }
}
