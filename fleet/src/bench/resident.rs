//! How much memory a process holds.

use anyhow::{Context, Result};

/// The resident memory of a process, and what it was.
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    process: u32,
    before_kb: u64,
}

impl Resident {
    /// Looks at a process for the first time.
    pub fn of(process: u32) -> Result<Self> {
        Ok(Self { process, before_kb: resident_kb(process)? })
    }

    /// What it was then, in KiB.
    pub fn before_kb(&self) -> u64 {
        self.before_kb
    }

    /// How much more it is now, in KiB.
    pub fn growth_kb(&self) -> Result<u64> {
        Ok(resident_kb(self.process)?.saturating_sub(self.before_kb))
    }
}

fn resident_kb(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|text| text.split_whitespace().next());
    Ok(number.context("a process without memory")?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_takes_memory_grows_and_one_that_is_gone_has_none() {
        let own = Resident::of(std::process::id()).unwrap();
        assert!(own.before_kb() > 0);
        let taken = vec![1_u8; 32 * 1_024 * 1_024];
        assert!(own.growth_kb().unwrap() > 16 * 1_024, "{} bytes", taken.len());
        assert!(Resident::of(u32::MAX).is_err());
    }
}
