//! Figures of the process, as Linux tells them under `/proc/self`; elsewhere there are none.

use std::fmt::Write as _;
use std::fs;

use super::catalogue::Catalogue;

/// Units of time in `/proc/self/stat` per second: part of the interface of the kernel to programs, the
/// same on every machine that Rust runs Linux on.
const TICKS_PER_SECOND: f64 = 100.0;
const BYTES_PER_KIB: f64 = 1024.0;

/// A figure by the name of its metric.
type Figure = (&'static str, f64);

/// Reads the figures and renders them in the text form: reading takes some microseconds, and the facade
/// has no counters with fractions, which seconds of processor time need.
pub(super) fn render(catalogue: &Catalogue) -> String {
    let mut text = String::new();
    for (name, value) in read() {
        if let Some(declared) = catalogue.find(name) {
            let kind = declared.kind();
            let _ = writeln!(
                text,
                "# HELP {name} {}\n# TYPE {name} {kind}\n{name} {value}\n",
                declared.help
            );
        }
    }
    text
}

fn read() -> Vec<Figure> {
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut figures = of_stat(&file("/proc/self/stat"), boot_time(&file("/proc/stat")));
    figures.extend(of_status(&file("/proc/self/status")));
    figures.extend(of_limits(&file("/proc/self/limits")));
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // Without the one that reads them.
        let count = u32::try_from(open.count().saturating_sub(1)).unwrap_or(u32::MAX);
        figures.push(("process_open_fds", count.into()));
    }
    figures
}

/// Times out of `/proc/self/stat`. The name of the program may hold blanks and parentheses, so fields
/// are counted behind the last of these.
fn of_stat(stat: &str, booted: Option<f64>) -> Vec<Figure> {
    let Some((_, rest)) = stat.rsplit_once(')') else { return Vec::new() };
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    let mut figures = Vec::new();
    if let (Some(user), Some(system)) = (ticks(11), ticks(12)) {
        figures.push(("process_cpu_seconds_total", (user + system) / TICKS_PER_SECOND));
    }
    if let (Some(booted), Some(started)) = (booted, ticks(19)) {
        figures.push(("process_start_time_seconds", booted + started / TICKS_PER_SECOND));
    }
    figures
}

/// When the machine started, in seconds since the epoch, out of `/proc/stat`.
fn boot_time(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

fn of_status(status: &str) -> Vec<Figure> {
    let number = |name: &str| -> Option<f64> {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.split_whitespace().next()?.parse().ok()
    };
    let memory = number("VmRSS:").map(|kib| ("process_resident_memory_bytes", kib * BYTES_PER_KIB));
    let threads = number("Threads:").map(|count| ("process_threads", count));
    memory.into_iter().chain(threads).collect()
}

/// The soft limit, which is the one that counts; an unlimited one is no figure.
fn of_limits(limits: &str) -> Option<Figure> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    Some(("process_max_fds", line.split_whitespace().next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_behind_a_name_with_blanks_and_parentheses() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 12345 1 2";
        let figures = of_stat(stat, boot_time("cpu 1 2\nbtime 1700000000\n"));
        assert_eq!(
            figures,
            [("process_cpu_seconds_total", 3.0), ("process_start_time_seconds", 1_700_000_123.45)]
        );
        let status = of_status("Name:\tx\nVmRSS:\t    2 kB\nThreads:\t3\n");
        assert_eq!(status, [("process_resident_memory_bytes", 2048.0), ("process_threads", 3.0)]);
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files  1024  4096  files\n";
        assert_eq!(of_limits(limits), Some(("process_max_fds", 1024.0)));
        assert_eq!(of_limits("Max open files  unlimited  unlimited  files\n"), None);
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        assert!(of_stat("", None).is_empty() && of_status("").is_empty());
        assert_eq!(boot_time("cpu 1\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_every_figure_and_each_is_declared() {
        let catalogue = Catalogue::read("").unwrap();
        let text = render(&catalogue);
        for name in ["cpu_seconds_total", "start_time_seconds", "resident_memory_bytes", "open_fds"]
        {
            assert!(text.contains(&format!("\nprocess_{name} ")), "{name}: {text}");
        }
        assert!(read().iter().all(|(name, _)| catalogue.find(name).is_some()));
    }
}
