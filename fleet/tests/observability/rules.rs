//! The rules of Prometheus, read as they are written: one member in a line, expressions as blocks.

use std::collections::{BTreeMap, BTreeSet};

use fleet::observability::catalogues;
use fleet::observability::promql::selectors;
use fleet::services::Service;

use crate::{faults, files, read, root};

/// Where the rules lie, and their unit tests beside them.
pub(crate) const FOLDER: &str = "deploy/observability/rules";

/// A rule: an alert or a recorded series.
#[derive(Debug, Default)]
pub(crate) struct Rule {
    /// The alert, or the name of the series.
    pub(crate) name: String,
    is_alert: bool,
    /// `expr`, `for`, `labels.severity` and so on.
    members: BTreeMap<String, String>,
}

impl Rule {
    fn member(&self, name: &str) -> &str {
        self.members.get(name).map_or("", String::as_str).trim()
    }
}

/// Reads the rules of a file.
fn parse(text: &str) -> Vec<Rule> {
    const MEMBER: usize = 8;
    let (mut rules, mut section) = (Vec::<Rule>::new(), String::new());
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        let alert = line.strip_prefix("- alert: ");
        if let Some(name) = alert.or_else(|| line.strip_prefix("- record: ")) {
            let (name, is_alert) = (name.to_owned(), alert.is_some());
            rules.push(Rule { name, is_alert, ..Rule::default() });
            continue;
        }
        let Some(rule) = rules.last_mut().filter(|_| indent >= MEMBER) else { continue };
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        if indent == MEMBER {
            key.clone_into(&mut section);
            rule.members.insert(section.clone(), value.trim().trim_matches('|').to_owned());
        } else if section == "expr" {
            let text = rule.members.entry(section.clone()).or_default();
            text.extend([" ", line]);
        } else {
            let value = value.trim().trim_matches('"').to_owned();
            rule.members.insert(format!("{section}.{key}"), value);
        }
    }
    rules
}

/// The files of rules, without their tests.
fn rule_files() -> Vec<String> {
    files(FOLDER, ".yml").into_iter().filter(|name| !name.ends_with("_test")).collect()
}

/// The rules of some files.
fn of(files: &[impl AsRef<str>]) -> Vec<Rule> {
    let texts = files.iter().map(|name| read(format!("{FOLDER}/{}.yml", name.as_ref())));
    texts.flat_map(|text| parse(&text)).collect()
}

/// The rules of all files.
pub(crate) fn all() -> Vec<Rule> {
    of(&rule_files())
}

/// The names of the series that the rules of some files ask for.
pub(crate) fn asked(files: &[&str]) -> BTreeSet<String> {
    let selectors = of(files).into_iter().flat_map(|rule| selectors(rule.member("expr")));
    selectors.map(|selector| selector.name).collect()
}

/// The names of the alerts of some files.
pub(crate) fn alerts_of(files: &[&str]) -> BTreeSet<String> {
    of(files).into_iter().filter(|rule| rule.is_alert).map(|rule| rule.name).collect()
}

/// The names of the recorded series.
pub(crate) fn recorded() -> Vec<String> {
    all().into_iter().filter(|rule| !rule.is_alert).map(|rule| rule.name).collect()
}

/// The names of the alerts.
pub(crate) fn alerts() -> BTreeSet<String> {
    let files = rule_files();
    alerts_of(&files.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Alerts that a file of tests makes fire, and those that it sees silent.
fn tested(text: &str) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let (mut fires, mut is_silent, mut alert) = (BTreeSet::new(), BTreeSet::new(), "");
    for line in text.lines().map(str::trim) {
        alert = line.strip_prefix("alertname: ").unwrap_or(alert);
        match line {
            "exp_alerts:" => fires.insert(alert),
            "exp_alerts: []" => is_silent.insert(alert),
            _ => continue,
        };
    }
    (fires, is_silent)
}

#[test]
fn rules_ask_only_for_what_is_exported_or_recorded() {
    let (catalogues, recorded) = (catalogues(&root()).unwrap(), recorded());
    let rules = all();
    assert!(rules.len() > recorded.len() && !recorded.is_empty());
    for rule in &rules {
        let faults = faults(rule.member("expr"), &catalogues, &recorded);
        assert_eq!(faults, [""; 0], "{}", rule.name);
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_where_to_read_on() {
    for alert in all().iter().filter(|rule| rule.is_alert) {
        let name = &alert.name;
        let severity = alert.member("labels.severity");
        assert!(["page", "ticket"].contains(&severity), "{name}: {severity}");
        assert!(alert.member("annotations.summary").ends_with('.'), "{name} has no summary");
        let runbook = alert.member("annotations.runbook_url");
        assert_eq!(runbook, format!("docs/runbooks/{name}.md"));
    }
}

#[test]
fn every_alert_is_seen_firing_and_seen_silent() {
    let texts: Vec<String> =
        rule_files().iter().map(|name| read(format!("{FOLDER}/{name}_test.yml"))).collect();
    let (mut fires, mut is_silent) = (BTreeSet::new(), BTreeSet::new());
    for text in &texts {
        let (firing, silent) = tested(text);
        fires.extend(firing.into_iter().map(str::to_owned));
        is_silent.extend(silent.into_iter().map(str::to_owned));
    }
    assert_eq!(fires, alerts());
    assert_eq!(is_silent, alerts());
}

#[test]
fn prometheus_reads_every_file_of_rules_and_asks_every_service() {
    let config = read("deploy/observability/prometheus.yml");
    let listed: Vec<String> = config
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- /etc/prometheus/rules/"))
        .map(|file| file.trim_end_matches(".yml").to_owned())
        .collect();
    assert_eq!(listed.iter().collect::<BTreeSet<_>>(), rule_files().iter().collect());
    for Service { name, internal_port, .. } in Service::ALL {
        let job = format!(
            "- job_name: {name}\n    static_configs: [{{ targets: [\"{name}:{internal_port}\"] }}]"
        );
        assert!(config.contains(&job), "{job}");
    }
}

#[test]
fn rules_and_tests_are_read_as_they_are_written() {
    let text = "groups:\n  - name: x\n    rules:\n      - record: a:b\n        expr: sum(up)\n\
        \x20     # why\n      - alert: Down\n        expr: |\n          up == 0\n          and a:b\n\
        \x20       for: 1m\n        labels:\n          severity: page\n        annotations:\n\
        \x20         summary: \"It: is down.\"\n";
    let rules = parse(text);
    assert_eq!(rules.len(), 2);
    assert_eq!((rules[0].name.as_str(), rules[0].member("expr")), ("a:b", "sum(up)"));
    assert!(rules[1].is_alert && !rules[0].is_alert);
    assert_eq!(rules[1].member("expr"), "up == 0 and a:b");
    assert_eq!((rules[1].member("for"), rules[1].member("labels.severity")), ("1m", "page"));
    assert_eq!(rules[1].member("annotations.summary"), "It: is down.");
    let (fires, is_silent) = tested("alertname: A\nexp_alerts:\nalertname: B\nexp_alerts: []\n");
    assert_eq!((fires, is_silent), (BTreeSet::from(["A"]), BTreeSet::from(["B"])));
}

#[test]
fn the_page_lists_every_alert_as_it_is_and_a_fault_for_each() {
    let page = read("docs/OBSERVABILITY.md");
    let (alerts, faults) = page.split_once("## Which fault shows where").unwrap();
    for alert in all().iter().filter(|rule| rule.is_alert) {
        let link = format!("[{0}](runbooks/{0}.md)", alert.name);
        let row = format!("| {link} | {} | ", alert.member("labels.severity"));
        assert!(alerts.contains(&row), "{} is not listed as it is", alert.name);
        assert!(faults.contains(&link), "no fault shows as {}", alert.name);
    }
    let rows = alerts.lines().filter(|line| line.starts_with("| [")).count();
    assert_eq!(rows, all().iter().filter(|rule| rule.is_alert).count(), "a row too many");
}
