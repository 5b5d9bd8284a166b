//! `ehub doctor`: what this machine has, what it lacks, and what to do about it.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::layout::Layout;
use crate::local;
use crate::middleware::{Part, Plan, Source};
use crate::process::{Record, Records};
use crate::services::Service;
use crate::{address, port, ui};

/// A first build with tests and the servers' data.
const DISK_WANTED_GB: u64 = 8;
/// What its absence means.
const PROMTOOL_ABSENT: &str =
    "absent: cargo ehub test fetches it by apt, or else leaves out the tests of alerts on a fleet";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Note,
    Bad,
}

/// One line of the report.
#[derive(Clone, Debug)]
struct Finding {
    verdict: Verdict,
    subject: String,
    detail: String,
}

impl Finding {
    fn new(verdict: Verdict, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { verdict, subject: subject.into(), detail: detail.into() }
    }

    fn row(&self) -> Vec<String> {
        let mark = match self.verdict {
            Verdict::Good => "✓",
            Verdict::Note => "!",
            Verdict::Bad => "✗",
        };
        vec![mark.to_owned(), self.subject.clone(), self.detail.clone()]
    }
}

pub(super) fn run() -> Result<ExitCode> {
    let layout = Layout::discover()?;
    let plan = Plan::detect(&layout).with_containers_if_available(&layout);
    let mut findings = tools(&layout);
    findings.extend(plan.sources().map(|(part, source)| server(part, source)));
    findings.extend(helpers(&layout));
    findings.push(disk(&layout));
    findings.extend(ports(&layout)?);
    let rows: Vec<Vec<String>> = findings.iter().map(Finding::row).collect();
    ui::line(&ui::table(&rows));
    let bad = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
    ui::line(&verdict(bad, &layout, &plan));
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verdict(bad: usize, layout: &Layout, plan: &Plan) -> String {
    let can_install = layout.find_program("apt-get").is_some();
    match (bad, can_install) {
        (0, _) => "Everything is here. Start the fleet: cargo ehub up".to_owned(),
        (_, true) => "cargo ehub up installs what is missing with scripts/install-middleware.sh \
                      (as root or with sudo), after saying so."
            .to_owned(),
        (_, false) if plan.missing().is_empty() => {
            "Install the build tools marked ✗ with the system's package manager.".to_owned()
        }
        (_, false) => plan.advice(),
    }
}

/// What building needs.
fn tools(layout: &Layout) -> Vec<Finding> {
    let wanted = [
        ("rustc", "Rust compiler", "install Rust by rustup"),
        ("cargo", "Cargo", "install Rust by rustup"),
        ("cc", "C compiler", "apt-get install gcc libc6-dev"),
        ("make", "make, to build OpenSSL", "apt-get install make"),
        ("perl", "perl, to build OpenSSL", "apt-get install perl"),
    ];
    wanted
        .into_iter()
        .map(|(program, subject, advice)| match layout.find_program(program) {
            Some(path) => Finding::new(Verdict::Good, subject, version(&path)),
            None => Finding::new(Verdict::Bad, subject, advice),
        })
        .collect()
}

fn server(part: Part, source: &Source) -> Finding {
    let subject = part.to_string();
    match source {
        Source::Environment(url) => {
            let detail = format!("{} (from {})", address::redact(url), part.variable());
            match address::parse(url, part.schemes()) {
                Ok(_) => Finding::new(Verdict::Good, subject, detail),
                Err(error) => Finding::new(Verdict::Bad, subject, format!("{error:#}")),
            }
        }
        Source::Program(path) => {
            let detail = format!("{} ({})", version(path), path.display());
            Finding::new(Verdict::Good, subject, detail)
        }
        Source::Container => Finding::new(Verdict::Note, subject, "a container, by docker compose"),
        Source::Missing => {
            let detail = format!("not found; install it or set {}", part.variable());
            Finding::new(Verdict::Bad, subject, detail)
        }
    }
}

/// Ways to get what is missing, and what only tests use.
fn helpers(layout: &Layout) -> Vec<Finding> {
    let describe = |program: &str, subject: &str, missing: &str| {
        let detail = layout.find_program(program);
        let detail = detail.map_or_else(|| missing.to_owned(), |path| path.display().to_string());
        Finding::new(Verdict::Note, subject, detail)
    };
    vec![
        describe("apt-get", "apt", "absent: servers cannot be installed automatically"),
        describe("docker", "Docker", "absent: no containers; not needed when servers are here"),
        describe("promtool", "promtool", PROMTOOL_ABSENT),
    ]
}

fn disk(layout: &Layout) -> Finding {
    let output = Command::new("df").args(["-Pk"]).arg(layout.root()).output();
    let free = output.ok().and_then(|out| parse_free_gb(&String::from_utf8_lossy(&out.stdout)));
    match free {
        Some(free) if free >= DISK_WANTED_GB => {
            Finding::new(Verdict::Good, "Disk", format!("{free} GB free"))
        }
        Some(free) => {
            let detail = format!("{free} GB free; a full build takes {DISK_WANTED_GB} GB");
            Finding::new(Verdict::Note, "Disk", detail)
        }
        None => Finding::new(Verdict::Note, "Disk", "free space is unknown"),
    }
}

fn ports(layout: &Layout) -> Result<Vec<Finding>> {
    if local::is_running(layout)? {
        return Ok(vec![Finding::new(Verdict::Good, "Fleet", "running; see cargo ehub status")]);
    }
    if Records::new(layout.records()).list()?.iter().any(Record::is_alive) {
        let detail = "running in part; see cargo ehub status. cargo ehub up starts it anew";
        return Ok(vec![Finding::new(Verdict::Note, "Fleet", detail)]);
    }
    let taken: Vec<String> = Service::ALL
        .iter()
        .flat_map(|service| [service.port, service.internal_port])
        .filter(|port| port::is_listening(*port))
        .map(|port| port.to_string())
        .collect();
    let finding = if taken.is_empty() {
        Finding::new(Verdict::Good, "Ports", "all default ports are free")
    } else {
        let detail = format!("taken: {}; up chooses others", taken.join(", "));
        Finding::new(Verdict::Note, "Ports", detail)
    };
    Ok(vec![finding])
}

/// The first line in which a program names a version. RabbitMQ starts a node when asked that way,
/// so its packages' folder name has to do.
fn version(program: &Path) -> String {
    if program.ends_with("rabbitmq-server") {
        return rabbitmq_version(program).unwrap_or_else(|| "version unknown".to_owned());
    }
    let option = if program.ends_with("consul") { "version" } else { "--version" };
    let output = Command::new(program).arg(option).output();
    let text = output.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or("version unknown").to_owned()
}

fn rabbitmq_version(program: &Path) -> Option<String> {
    let real = program.canonicalize().ok()?;
    real.ancestors().filter_map(|part| part.file_name()?.to_str()).find_map(|name| {
        name.strip_prefix("rabbitmq_server-").map(|version| format!("RabbitMQ {version}"))
    })
}

/// The fourth column of the second line of `df -Pk`.
fn parse_free_gb(text: &str) -> Option<u64> {
    let kilobytes: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kilobytes / 1024 / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_read_from_df() {
        let text =
            "Filesystem 1024-blocks Used Available Capacity Mounted\n/dev/x 9 9 8388608 1% /";
        assert_eq!(parse_free_gb(text), Some(8));
        assert_eq!(parse_free_gb(""), None);
    }

    #[test]
    fn a_missing_server_is_reported_with_the_way_out() {
        let finding = server(Part::Consul, &Source::Missing);
        assert_eq!(finding.verdict, Verdict::Bad);
        assert!(finding.detail.contains("EH_CONSUL_URL"));
    }

    #[test]
    fn a_bad_address_is_reported_without_its_password() {
        let source = Source::Environment("mysql:/root:s3cret@h".to_owned());
        let finding = server(Part::MySql, &source);
        assert_eq!(finding.verdict, Verdict::Bad);
        assert!(!finding.detail.contains("s3cret"), "{}", finding.detail);
    }
}
