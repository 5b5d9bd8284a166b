//! How much memory a gateway holds.

use anyhow::{Result, ensure};
use fleet::bench::resident::Resident;

use crate::support::stage::Stage;

/// What an attack may cost: 50 MiB.
const GROWTH_MAX_KB: u64 = 50 * 1_024;

/// The resident memory of the first gateway, and what it was.
pub(super) struct Memory(Resident);

impl Memory {
    pub(super) async fn of(stage: &Stage) -> Result<Self> {
        let process = stage.fleet.lock().await.process_id("gateway-service", 0)?;
        Ok(Self(Resident::of(process)?))
    }

    /// How much more it is now.
    pub(super) fn growth_kb(&self) -> Result<u64> {
        self.0.growth_kb()
    }

    pub(super) fn check(&self, what: &str) -> Result<()> {
        let growth = self.growth_kb()?;
        ensure!(growth <= GROWTH_MAX_KB, "{what}: {growth} KiB more");
        Ok(())
    }
}
