//! A private database server that a test may take away and bring back.

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::server::{START_LIMIT, STOP_LIMIT};
use super::{Part, Site, probe, server};
use crate::address;
use crate::process::Process;

/// A running server with data of its own.
#[derive(Debug)]
pub struct Database {
    /// Address with the administrator's account.
    pub address: String,
    process: Process,
}

impl Database {
    /// Starts a server from whatever program the machine has.
    pub async fn start_found(site: &Site) -> Result<Self> {
        let program = Part::MySql.find_program(&site.layout).context("MySQL is not installed")?;
        let mut started = server::start(site, Part::MySql, &program).await?;
        let process = started.processes.pop().context("the database has no process")?;
        Ok(Self { address: started.address, process })
    }

    /// Ends it as a crash would; its data stays.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        Ok(())
    }

    /// Starts it again at the same address, without waiting for it.
    pub fn launch(&mut self) -> Result<()> {
        self.process.start_again()
    }

    /// Waits until it answers.
    pub async fn ready(&mut self) -> Result<()> {
        let url = address::parse(&self.address, Part::MySql.schemes())?;
        self.process.ready(START_LIMIT, || probe::answers(Part::MySql, &url)).await
    }

    /// Freezes it: connections stay, answers do not come.
    pub fn freeze(&self) {
        self.process.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Stops it in order.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.stop(STOP_LIMIT).await?;
        Ok(())
    }
}
