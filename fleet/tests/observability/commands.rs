//! The commands of the runbooks, run on a fleet as whoever is on call runs them.
//!
//! The fleet looks as if `cargo ehub up` had started it, but for its ports and its name spaces, which
//! are put into the commands. Each must end well, and a search among metrics must find something.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use fleet::command::words;
use fleet::layout::Layout;
use fleet::local::{AdministratorAddresses, LocalAddresses};
use fleet::middleware::Part;
use fleet::observability::{Catalogue, catalogues};
use fleet::services::Service;
use fleet::{Fleet, FleetOptions, seed};
use serde_json::json;
use tokio::process::Command;

use crate::root;
use crate::runbooks::{COMPOSE, TOOL, commands, request_and_pattern};

/// How the commands of the tool begin that only look.
const LOOKING: [&str; 7] =
    ["audit", "config explain", "dlq list", "dlq mails", "doctor", "logs", "status"];
/// How the commands begin that are not run here, and why.
const NOT_RUN: [(&str, &str); 2] = [
    (COMPOSE, "the fleet of a test has no containers; scripts/check-compose.sh starts those"),
    ("cargo ehub dlq resend ", "it needs a mail that is dead; the end-to-end tests make one"),
];
/// How long one command may take; an audit waits a minute for a quiet fleet.
const LIMIT: Duration = Duration::from_mins(2);
/// Where those who type expect every process.
const HOST: &str = "http://127.0.0.1:";

/// Whether a command only looks, and is run.
fn is_run(line: &str) -> bool {
    match line.strip_prefix(TOOL) {
        Some(rest) => {
            let rest = words(rest).join(" ") + " ";
            LOOKING.iter().any(|start| rest.starts_with(&format!("{start} ")))
        }
        None => line.starts_with("curl ") && !line.contains(" -X "),
    }
}

/// Why a command is not run.
fn reason(line: &str) -> Option<&'static str> {
    NOT_RUN.iter().find(|(start, _)| line.starts_with(*start)).map(|(_, why)| *why)
}

/// Whether a fleet that is well need not show what is searched for.
fn may_be_absent(pattern: &str, catalogues: &[Catalogue]) -> bool {
    let metrics = catalogues.iter().flat_map(|one| &one.metric);
    let mut found = metrics.filter(|metric| metric.name.starts_with(pattern));
    found.all(|metric| !metric.only_when.is_empty())
}

/// A request to where a process really is, given the base address behind each usual port. An answer
/// that tells of a failure is one, and no proxy of this machine is asked.
fn moved(line: &str, bases: &[(u16, String)]) -> Result<String> {
    let place = line.split_once(HOST).and_then(|(before, rest)| {
        let (port, path) = rest.split_once('/')?;
        Some((before, port.parse::<u16>().ok()?, path))
    });
    let (before, port, path) = place.with_context(|| format!("{line} asks nobody"))?;
    let base = bases.iter().find(|(usual, _)| *usual == port);
    let (_, base) = base.with_context(|| format!("nobody has the port {port}"))?;
    let line = format!("{before}{base}/{path}");
    Ok(line.replacen("curl ", "curl --fail --noproxy 127.0.0.1 ", 1))
}

/// A checkout whose fleet is that of a layout; everything else in it is the layout's own.
fn checkout(layout: &Layout) -> Result<PathBuf> {
    let folder = layout.state().join("checkout");
    std::fs::create_dir(&folder)?;
    for entry in std::fs::read_dir(layout.root())? {
        let entry = entry?;
        if entry.file_name() != ".ehub" {
            symlink(entry.path(), folder.join(entry.file_name()))?;
        }
    }
    symlink(layout.state(), folder.join(".ehub"))?;
    Ok(folder)
}

/// Where somebody sits who has started a fleet, and types.
struct Desk {
    checkout: PathBuf,
    /// The base address behind each usual port.
    bases: Vec<(u16, String)>,
    /// What is in the environment.
    variables: Vec<(&'static str, String)>,
    /// Which schemas and queues are the fleet's.
    name_spaces: [String; 4],
}

impl Desk {
    async fn of(fleet: &mut Fleet) -> Result<Self> {
        let layout = fleet.layout().clone();
        let gateway = fleet.gateway_urls().into_iter().next().context("no gateway")?;
        let local = json!({"gateway": gateway, "rows": [["API", gateway, "HTTP/JSON"]]});
        serde_json::from_value::<LocalAddresses>(local)?.save(&layout)?;
        let addresses = fleet.addresses().clone();
        AdministratorAddresses::of(&addresses, None).save(&layout)?;

        let mut bases = Vec::new();
        for service in Service::ALL {
            bases.push((service.internal_port, fleet.internal_url(service.name, 0)?));
        }
        let usual = Service::find(Service::GATEWAY).context("no gateway")?.port;
        bases.push((usual, gateway));
        let admin = fleet.admin().await?;
        let token = admin.token().context("no token")?.to_owned();
        // The doctor looks for servers there first.
        let servers = Part::ALL.map(|part| (part.variable(), addresses.of(part).to_owned()));
        let variables = servers.into_iter().chain([("TOKEN", token), ("NO_COLOR", "1".to_owned())]);
        let sources = fleet.audit_sources();
        let [prefix, namespace] = ["--prefix", "--namespace"].map(str::to_owned);
        Ok(Self {
            checkout: checkout(&layout)?,
            bases,
            variables: variables.collect(),
            name_spaces: [prefix, sources.prefix, namespace, sources.namespace],
        })
    }

    /// The words of a command of the tool.
    fn arguments(&self, rest: &str) -> Vec<String> {
        let mut words = words(rest);
        // The folder of the collector is of another machine.
        let file = words.iter_mut().skip_while(|word| word.as_str() != "--metrics").nth(1);
        if let Some(file) = file {
            *file = self.checkout.join("audit.prom").display().to_string();
        }
        if words.first().is_some_and(|verb| verb == "audit") {
            words.extend(self.name_spaces.iter().cloned());
        }
        words
    }

    async fn run(&self, line: &str) -> Result<Output> {
        let mut command = if let Some(rest) = line.strip_prefix(TOOL) {
            let mut tool = Command::new(env!("CARGO_BIN_EXE_ehub"));
            tool.args(self.arguments(rest));
            tool
        } else {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(moved(line, &self.bases)?);
            shell
        };
        command.current_dir(&self.checkout).stdin(Stdio::null()).kill_on_drop(true);
        command.env_remove("EHUB_ADMIN_PASSWORD");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let output = tokio::time::timeout(LIMIT, command.output()).await;
        let output = output.with_context(|| format!("{line} does not end"))?;
        output.with_context(|| format!("{line} cannot be run"))
    }

    /// What is wrong with what a command did; nothing if it did what a page promises.
    async fn fault(&self, line: &str, catalogues: &[Catalogue]) -> Result<Option<String>> {
        let (request, pattern) = request_and_pattern(line);
        let output = self.run(request).await?;
        if !output.status.success() {
            return Ok(Some(told(request, &output)));
        }
        let Some(pattern) = pattern else { return Ok(None) };
        let output = self.run(line).await?;
        let shown = String::from_utf8_lossy(&output.stdout);
        let is_found = shown.lines().any(|line| !line.starts_with('#'));
        let nothing = output.status.code() == Some(1) && may_be_absent(pattern, catalogues);
        Ok((!is_found && !nothing).then(|| told(line, &output)))
    }

    /// As [`Desk::fault`]; what is measured from time to time may come a little later.
    async fn lasting_fault(
        &self,
        line: &str,
        fleet: &Fleet,
        catalogues: &[Catalogue],
    ) -> Result<Option<String>> {
        let fault = self.fault(line, catalogues).await?;
        if fault.is_none() || request_and_pattern(line).1.is_none() {
            return Ok(fault);
        }
        let mended = fleet.eventually(line, || async {
            Ok(self.fault(line, catalogues).await?.is_none().then_some(()))
        });
        Ok(if mended.await.is_ok() { None } else { fault })
    }
}

/// How a command ended, and what it said.
fn told(line: &str, output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    format!("{line}: {}: {}", output.status, String::from_utf8_lossy(&both).trim())
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn what_pages_tell_to_type_does_what_it_is_typed_for() -> Result<()> {
    let catalogues = catalogues(&root())?;
    let mut fleet = Fleet::start(FleetOptions::default()).await?;
    fleet.seed().await?;
    // Something for the metrics to tell of.
    let customer = fleet.customer().await?;
    customer.order(seed::DEMO_SKU, 1, "pm_ok").await?.require_any(&[201, 202])?;
    let desk = Desk::of(&mut fleet).await?;
    let mut faults = Vec::new();
    for line in commands().iter().filter(|line| is_run(line)) {
        faults.extend(desk.lasting_fault(line, &fleet, &catalogues).await?);
    }
    assert_eq!(faults, [""; 0]);
    fleet.finish().await
}

#[test]
fn every_command_is_run_or_listed_with_a_reason() {
    let commands = commands();
    let run = commands.iter().filter(|line| is_run(line));
    let run: BTreeSet<&str> = run.map(String::as_str).collect();
    assert!(run.len() > NOT_RUN.len());
    for line in &commands {
        let (is_run, reason) = (run.contains(line.as_str()), reason(line));
        assert!(is_run != reason.is_some(), "{line} is run: {is_run}; why not: {reason:?}");
    }
    for (start, _) in NOT_RUN {
        assert!(commands.iter().any(|line| line.starts_with(start)), "no page tells {start}");
    }
}

#[test]
fn only_what_looks_is_run_and_only_where_the_fleet_is() {
    for line in ["cargo ehub audit", "cargo ehub audit --settle", "curl -s http://127.0.0.1:1/x"] {
        assert!(is_run(line) && reason(line).is_none(), "{line}");
    }
    for line in ["cargo ehub roll", "cargo ehub dlq replay x", "curl -s -X POST http://x", "rm x"] {
        assert!(!is_run(line) && reason(line).is_none(), "{line}");
    }
    let bases = [(9053, "http://127.0.0.1:40001".to_owned())];
    let line = moved("curl -s http://127.0.0.1:9053/metrics | grep eh_outbox", &bases).unwrap();
    let expected =
        "curl --fail --noproxy 127.0.0.1 -s http://127.0.0.1:40001/metrics | grep eh_outbox";
    assert_eq!(line, expected);
    assert!(moved("curl -s http://127.0.0.1:9054/metrics", &bases).is_err());
    assert!(moved("curl -s http://elsewhere/metrics", &bases).is_err());
}

#[test]
fn only_what_is_always_there_has_to_be_found() {
    let catalogues = catalogues(&root()).unwrap();
    assert!(may_be_absent("eh_ledger", &catalogues));
    assert!(!may_be_absent("eh_outbox", &catalogues));
}
