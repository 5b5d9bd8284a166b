//! What the audit saw, as metrics in a file: it is over before anybody could ask it for them.
//!
//! The file is for the textfile collector of the node exporter, and in the Prometheus text form. An
//! audit that cannot look writes nothing: what the one before found stays, and grows old.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};

use super::{Invariant, Report};
use crate::observability::{Catalogue, Metric};
use crate::time;

/// What files have to end in: the collector reads no others.
const END: &str = ".prom";
/// The declarations, which help texts are taken from.
const DECLARED: &str = include_str!("../../metrics.toml");

const VIOLATIONS: &str = "eh_audit_violations";
const COMPLETED: &str = "eh_audit_completed_timestamp_seconds";
const DURATION: &str = "eh_audit_duration_seconds";

/// Reads the name of a file that the collector would read.
pub fn parse_file(text: &str) -> Result<PathBuf, String> {
    if text.ends_with(END) {
        Ok(PathBuf::from(text))
    } else {
        Err(format!("the collector reads only files whose names end in {END}"))
    }
}

/// Replaces a file by what a report says, as of now. Whoever reads it sees the old one or the new one.
pub fn write(report: &Report, file: &Path) -> Result<()> {
    let text = render(report, time::now())?;
    let mut draft = file.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    fs::write(&draft, text)
        .and_then(|()| fs::rename(&draft, file))
        .with_context(|| format!("{} cannot be written", file.display()))
}

/// A report of an audit that was over at some time, in the Prometheus text form.
pub fn render(report: &Report, completed: DateTime<Utc>) -> Result<String> {
    let declared: Catalogue =
        toml::from_str(DECLARED).context("the metrics of the audit are not declared well")?;
    let mut text = String::new();
    for Metric { name, kind, help, .. } in &declared.metric {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.as_str());
        match name.as_str() {
            VIOLATIONS => violations(report, &mut text),
            COMPLETED => {
                let _ = writeln!(text, "{name} {}", completed.timestamp());
            }
            DURATION => {
                let _ = writeln!(text, "{name} {}", report.elapsed().as_secs_f64());
            }
            other => bail!("nobody measures {other}"),
        }
    }
    Ok(text)
}

fn violations(report: &Report, text: &mut String) {
    let checked: BTreeSet<Invariant> = report.checks().map(|(invariant, _)| invariant).collect();
    for invariant in Invariant::all() {
        let found = report.totals_of(invariant);
        if found > 0 || checked.contains(&invariant) {
            let _ = writeln!(text, "{VIOLATIONS}{{invariant=\"{invariant}\"}} {found}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let (first, second) = (Invariant::new(1), Invariant::new(2));
        let mut report = Report::default();
        report.checked(first, "holds");
        report.checked(second, "is_broken");
        for order in ["a", "b"] {
            report.add((second, "is_broken"), order, "two captures");
        }
        report.elapsed_ms = 1_250;
        report
    }

    #[test]
    fn what_was_looked_at_is_told_and_nothing_else() {
        let completed = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let text = render(&report(), completed).unwrap();
        for line in [
            "# TYPE eh_audit_violations gauge",
            "eh_audit_violations{invariant=\"I1\"} 0",
            "eh_audit_violations{invariant=\"I2\"} 2",
            "eh_audit_completed_timestamp_seconds 1700000000",
            "eh_audit_duration_seconds 1.25",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(!text.contains("\"I3\""), "nobody looked at it: {text}");
        assert_eq!(text.matches("# HELP ").count(), 3);
        assert!(text.ends_with('\n'), "the last line has an end");
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let name = format!("ehub-audit-metrics-{:016x}", rand::random::<u64>());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let file = folder.join("audit.prom");
        fs::write(&file, "an older one").unwrap();
        write(&report(), &file).unwrap();
        assert!(fs::read_to_string(&file).unwrap().contains("{invariant=\"I2\"} 2"));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
        let error = write(&report(), &file).unwrap_err();
        assert!(error.to_string().contains("audit.prom cannot be written"), "{error}");
    }

    #[test]
    fn a_file_that_the_collector_passes_over_is_refused() {
        assert_eq!(parse_file("/var/lib/x/audit.prom"), Ok(PathBuf::from("/var/lib/x/audit.prom")));
        assert!(parse_file("audit.txt").is_err() && parse_file("").is_err());
    }
}
