//! What a process takes of the machine.

use std::fs;
use std::time::Duration;

/// Ticks in a second, in what Linux tells of processes; the same on every architecture that Rust's
/// standard library runs on with an operating system.
const TICKS: u64 = 100;

/// What a process takes, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Time on a processor so far.
    pub cpu: Duration,
    /// Time since its start.
    pub uptime: Duration,
    /// Memory that it holds.
    pub resident_bytes: u64,
}

/// What a process takes; `None` when it has ended, or where the system does not tell (macOS).
pub fn usage(pid: u32) -> Option<Usage> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let (cpu, started) = parse_stat(&read(&format!("/proc/{pid}/stat"))?)?;
    let resident_bytes = parse_resident(&read(&format!("/proc/{pid}/status"))?)?;
    let now = parse_uptime(&read("/proc/uptime")?)?;
    Some(Usage { cpu, uptime: now.saturating_sub(started), resident_bytes })
}

/// Time on a processor, and the start as time since the boot. The name in brackets may hold anything.
fn parse_stat(stat: &str) -> Option<(Duration, Duration)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some((of_ticks(ticks(11)?.saturating_add(ticks(12)?)), of_ticks(ticks(19)?)))
}

fn of_ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(1_000 / TICKS))
}

/// A process that has just ended holds none, and has no line about it.
fn parse_resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1_024)
}

fn parse_uptime(text: &str) -> Option<Duration> {
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_behind_a_name_with_brackets() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 1 0 9000 1 2";
        let expected = (Duration::from_secs(2), Duration::from_secs(90));
        assert_eq!(parse_stat(stat), Some(expected));
        assert_eq!(parse_stat("42 (short) S 1"), None);
        assert_eq!(parse_resident("Name:\tx\nVmRSS:\t  2048 kB\n"), Some(2_097_152));
        assert_eq!(parse_resident("Name:\tx\n"), None);
        assert_eq!(parse_uptime("12.50 3.00\n"), Some(Duration::from_millis(12_500)));
    }

    #[test]
    fn this_process_takes_something_and_nobody_nothing() {
        if fs::exists("/proc/self/stat").unwrap() {
            assert!(usage(std::process::id()).unwrap().resident_bytes > 0);
        }
        assert_eq!(usage(u32::MAX), None);
    }
}
