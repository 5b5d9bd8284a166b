//! What operators are shown: metrics in the code, on their page, in rules, dashboards and runbooks.
//!
//! A rule over a metric that nobody exports never fires, and a page that names what is gone misleads.
//! Most tests read files only. Whether rules fire when they should is tested by promtool on made-up
//! series (`scripts/ci.sh observability`) and, for the main faults, on those of a real fleet
//! (`outages`), on which the commands of the runbooks are run too (`commands`); whether a fleet exports
//! what is declared, end to end.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a checkout that cannot be read is a failed test"
)]

mod alertmanager;
mod code;
mod commands;
mod dashboards;
mod outages;
mod record;
mod replay;
mod rules;
mod runbooks;

use std::path::{Path, PathBuf};

use fleet::observability::promql::{Selector, grouping, selectors};
use fleet::observability::{Catalogue, catalogues, find};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of the files of a folder that end in `end`, without it, in order.
fn files(folder: &str, end: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(end)?.to_owned())).collect();
    names.sort();
    names
}

/// What Prometheus knows of every target itself.
const ITS_OWN: &str = "up";
/// The labels that Prometheus gives to every series of a target.
const OF_TARGETS: [&str; 2] = ["job", "instance"];

/// What is wrong with an expression: series that nobody exports or records, labels that they lack.
fn faults(expression: &str, catalogues: &[Catalogue], recorded: &[String]) -> Vec<String> {
    let selected = selectors(expression);
    let mut faults: Vec<String> =
        selected.iter().flat_map(|selector| faults_of(selector, catalogues, recorded)).collect();
    let is_label = |label: &String| {
        selected.iter().any(|selector| labels_of(&selector.name, catalogues).contains(label))
    };
    let groups = grouping(expression);
    faults.extend(
        groups
            .iter()
            .filter(|group| !is_label(group))
            .map(|group| format!("nothing in `{expression}` has the label {group}")),
    );
    if selected.is_empty() {
        faults.push(format!("`{expression}` asks for nothing"));
    }
    faults
}

fn faults_of(selector: &Selector, catalogues: &[Catalogue], recorded: &[String]) -> Vec<String> {
    let Selector { name, labels } = selector;
    if name == ITS_OWN || recorded.contains(name) {
        return Vec::new();
    }
    if find(catalogues, name).is_none() {
        return vec![format!("nobody exports {name}")];
    }
    let known = labels_of(name, catalogues);
    let unknown = labels.iter().filter(|label| !known.contains(label));
    unknown.map(|label| format!("{name} has no label {label}")).collect()
}

fn labels_of(series: &str, catalogues: &[Catalogue]) -> Vec<String> {
    let own = find(catalogues, series).map(|metric| metric.labels.clone()).unwrap_or_default();
    let bound = series.ends_with("_bucket").then(|| "le".to_owned());
    own.into_iter().chain(bound).chain(OF_TARGETS.map(str::to_owned)).collect()
}

#[test]
fn a_fault_of_an_expression_is_seen() {
    let catalogues = catalogues(&root()).unwrap();
    let recorded = ["slo:x:bad_ratio_5m".to_owned()];
    let of = |expression: &str| faults(expression, &catalogues, &recorded);
    assert_eq!(of("sum by (job) (rate(eh_outbox_published_total[5m]))"), [""; 0]);
    assert_eq!(of("up == 0 and slo:x:bad_ratio_5m > 1"), [""; 0]);
    assert_eq!(of("rate(eh_ghost_total[5m])"), ["nobody exports eh_ghost_total"]);
    assert_eq!(
        of("rpc_server_duration_seconds > 1"),
        ["nobody exports rpc_server_duration_seconds"]
    );
    assert_eq!(of("eh_broker_connected{queue=\"x\"}"), ["eh_broker_connected has no label queue"]);
    assert_eq!(of("sum by (queue) (up)"), ["nothing in `sum by (queue) (up)` has the label queue"]);
    assert_eq!(of("1 + 1"), ["`1 + 1` asks for nothing"]);
}
