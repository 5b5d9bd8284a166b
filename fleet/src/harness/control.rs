//! Handles for whoever breaks a fleet on purpose and has to know what became of it.
//!
//! The everyday handles of [`Fleet`] wait until what they asked for has happened. These do not:
//! while a database is away, nobody who is started becomes ready.

use std::path::PathBuf;
use std::process::ExitStatus;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::{Fleet, SERVER_STOP_LIMIT, own_binaries};
use crate::layout::Layout;
use crate::middleware::{Database, Part, RabbitMq, consul};
use crate::process::Process;
use crate::services::{Instance, Service};

/// A process that ended without being asked for it.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its service.
    pub service: &'static str,
    /// Which of the service's processes.
    pub replica: usize,
    /// How it ended.
    pub status: ExitStatus,
    /// Its last words.
    pub words: String,
}

impl Fleet {
    /// The folders of this fleet: its logs, and the records of its processes.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Base addresses of all gateways.
    pub fn gateway_urls(&self) -> Vec<String> {
        let gateways =
            self.stack.instances().iter().filter(|one| one.service.name == Service::GATEWAY);
        gateways.map(|one| format!("http://127.0.0.1:{}", one.port)).collect()
    }

    /// How many processes a service has.
    pub fn replica_count(&self, service: &str) -> usize {
        self.stack.instances().iter().filter(|one| one.service.name == service).count()
    }

    /// Starts a process again without waiting for it; one that runs is left alone.
    pub fn launch(&mut self, service: &str, replica: usize) -> Result<()> {
        let process = self.stack.instance(service, replica)?.process();
        if process.is_running() { Ok(()) } else { process.start_again() }
    }

    /// Has a process be of this build from its next start on, whatever build it is of now.
    pub fn renew(&mut self, service: &str, replica: usize) -> Result<()> {
        let program = own_binaries()?.join(service);
        ensure!(program.is_file(), "{} is not built", program.display());
        self.stack.instance(service, replica)?.process().set_program(program);
        Ok(())
    }

    /// Asks a process to end in order, without waiting for it.
    pub fn ask_to_end(&mut self, service: &str, replica: usize) -> Result<()> {
        self.stack.instance(service, replica)?.process().signal(Signal::SIGTERM);
        Ok(())
    }

    /// The processes that ended since the last look, other than by [`Fleet::kill`].
    pub fn ended(&mut self) -> Vec<Ended> {
        let mut counts = std::collections::BTreeMap::new();
        let mut ended = Vec::new();
        for instance in self.stack.instances_mut() {
            let service = instance.service.name;
            let count = counts.entry(service).or_insert(0);
            let replica = *count;
            *count += 1;
            let process = instance.process();
            if !process.is_running() {
                continue;
            }
            if let Some(status) = process.exit_status() {
                let words = process.log_tail(12);
                ended.push(Ended { service, replica, status, words });
            }
        }
        ended
    }

    /// The number of a process in the system.
    pub fn process_id(&mut self, service: &str, replica: usize) -> Result<u32> {
        Ok(self.stack.instance(service, replica)?.process().pid())
    }

    /// Waits until every process is ready.
    pub async fn all_ready(&mut self) -> Result<()> {
        self.stack.all_ready().await
    }

    /// Waits until every process knows every instance of the services that it calls.
    pub async fn all_acquainted(&self) -> Result<()> {
        self.stack.wait_acquainted().await
    }

    /// Waits until the registry has every process, in health.
    pub async fn all_registered(&self) -> Result<()> {
        let client = crate::http::client().build()?;
        for service in Service::ALL {
            let base = &self.settings.addresses.consul;
            let url = format!("{base}/v1/health/service/{}?passing=true", service.name);
            let count = self.replica_count(service.name);
            let (client, url) = (&client, &url);
            self.eventually(&format!("{} in the registry", service.name), || async move {
                let Ok(reply) = client.get(url).send().await else { return Ok(None) };
                let passing: Vec<serde_json::Value> = reply.json().await.unwrap_or_default();
                Ok((passing.len() == count).then_some(()))
            })
            .await?;
        }
        self.all_acquainted().await
    }

    /// Ends the fleet's own Redis or Consul and starts it again where it was; what it kept in memory
    /// is gone.
    pub async fn restart_server(&mut self, part: Part) -> Result<()> {
        let server = self.own_server(part)?;
        server.stop(SERVER_STOP_LIMIT).await?;
        server.start_again()
    }

    /// Kills the fleet's own Redis or Consul, and with it all that it keeps in memory.
    pub fn kill_server(&mut self, part: Part) -> Result<()> {
        self.own_server(part)?.kill()?;
        Ok(())
    }

    /// Starts the fleet's own Redis or Consul again where it was, without waiting for it.
    pub fn launch_server(&mut self, part: Part) -> Result<()> {
        self.own_server(part)?.start_again()
    }

    fn own_server(&mut self, part: Part) -> Result<&mut Process> {
        let name = part.to_string().to_lowercase();
        let found = self.servers.iter_mut().find(|server| server.name() == name);
        found.with_context(|| format!("the fleet has no {part} of its own"))
    }

    /// Waits until one process is ready.
    pub async fn process_ready(&mut self, service: &str, replica: usize) -> Result<()> {
        self.stack.ready(service, replica).await
    }

    /// The fleet's own broker.
    pub fn broker(&mut self) -> Result<&mut RabbitMq> {
        self.own_broker()
    }

    /// The fleet's own database server.
    pub fn database_server(&mut self) -> Result<&mut Database> {
        self.database.as_mut().context("ask for FleetOptions::own_database to control the database")
    }

    /// Freezes the fleet's own Redis or Consul: it accepts connections and answers nothing.
    pub fn pause_server(&mut self, part: Part) -> Result<()> {
        self.own_server(part)?.signal(Signal::SIGSTOP);
        Ok(())
    }

    /// Lets a frozen Redis or Consul go on.
    pub fn resume_server(&mut self, part: Part) -> Result<()> {
        self.own_server(part)?.signal(Signal::SIGCONT);
        Ok(())
    }

    /// Kills the fleet's own Consul, and with it all that it knows.
    pub fn kill_consul(&mut self) -> Result<()> {
        self.own_server(Part::Consul)?.kill()?;
        Ok(())
    }

    /// Starts the fleet's own Consul again, at the same address and empty.
    pub async fn start_consul(&mut self) -> Result<()> {
        let address = self.addresses().consul.clone();
        let process = self.own_server(Part::Consul)?;
        process.start_again()?;
        consul::ready(process, &address).await
    }

    /// The folder with the logs of all processes.
    pub fn log_folder(&self) -> PathBuf {
        self.layout.state().join("log")
    }

    /// Ends everything at once and removes what it has written; for a fleet that nobody trusts any
    /// more.
    pub fn abandon(mut self) -> Result<()> {
        let folder = self.layout.state().to_path_buf();
        self.stack.instances_mut().iter_mut().map(Instance::process).for_each(|process| {
            let _ = process.kill();
        });
        drop(self);
        std::fs::remove_dir_all(folder).context("the fleet's folder remains")
    }
}
