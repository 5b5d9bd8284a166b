//! How much memory a gateway holds.

use anyhow::{Context, Result, ensure};

use crate::support::stage::Stage;

/// What an attack may cost: 50 MiB.
const GROWTH_MAX_KB: u64 = 50 * 1_024;

/// The resident memory of the first gateway, and what it was.
pub(super) struct Memory {
    process: u32,
    before_kb: u64,
}

impl Memory {
    pub(super) async fn of(stage: &Stage) -> Result<Self> {
        let process = stage.fleet.lock().await.process_id("gateway-service", 0)?;
        Ok(Self { process, before_kb: resident_kb(process)? })
    }

    /// How much more it is now.
    pub(super) fn growth_kb(&self) -> Result<u64> {
        Ok(resident_kb(self.process)?.saturating_sub(self.before_kb))
    }

    pub(super) fn check(&self, what: &str) -> Result<()> {
        let growth = self.growth_kb()?;
        ensure!(growth <= GROWTH_MAX_KB, "{what}: {growth} KiB more");
        Ok(())
    }
}

fn resident_kb(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|text| text.split_whitespace().next());
    Ok(number.context("a process without memory")?.parse()?)
}
