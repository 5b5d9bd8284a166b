//! The end of all faults.

use anyhow::{Context, Result};

use super::super::act::Does;
use super::super::links;
use super::Arena;

/// How often a fleet is told to become ready when processes end while they start.
const START_ATTEMPTS: usize = 4;

impl Arena {
    /// Ends every fault: links pass, servers run, processes are thawed and started; waits until
    /// all of them are ready.
    pub async fn heal(&mut self) -> Result<()> {
        self.background.shutdown().await;
        for link in links::all(&self.fleet) {
            links::set(&self.fleet, link, Does::Pass)?;
        }
        self.fleet.database_server()?.thaw();
        self.start_database()?;
        self.start_broker()?;
        self.fleet.database_server()?.ready().await?;
        self.fleet.broker()?.ready().await?;
        for link in links::all(&self.fleet) {
            links::settled(&self.fleet, link).await.context("a link does not pass again")?;
        }
        let calm = self.fleet.broker()?.control(&["set_vm_memory_high_watermark", "0.4"])?;
        calm.done().await.context("the alarm of the broker stays")?;
        if let Some(provider) = self.provider.clone() {
            self.start_provider()?;
            self.fleet.provider_mut()?.ready().await?;
            provider.follow(&serde_json::json!({})).await?;
        }
        self.revive().await
    }

    async fn revive(&mut self) -> Result<()> {
        for target in std::mem::take(&mut self.frozen) {
            self.fleet.resume(target.service, target.replica)?;
        }
        self.away.clear();
        for attempt in 1.. {
            self.supervise()?;
            for target in self.targets() {
                self.fleet.launch(target.service, target.replica)?;
            }
            match self.fleet.all_ready().await {
                Ok(()) => break,
                Err(error) if attempt == START_ATTEMPTS => return Err(error),
                Err(_) => {}
            }
        }
        Ok(())
    }
}
