//! The routes of Alertmanager: every alert reaches somebody, and what they name exists.

use std::collections::BTreeSet;

use crate::{read, rules};

const FILE: &str = "deploy/observability/alertmanager.yml";

/// What a matcher compares a label with, over all matchers: `x = a` and `x =~ "a|b"`.
fn matched<'t>(text: &'t str, label: &str) -> BTreeSet<&'t str> {
    let items = text.lines().filter_map(|line| line.trim().strip_prefix("- "));
    let values = items.filter_map(|item| {
        let (name, value) = item.split_once('=')?;
        (name.trim() == label).then(|| value.trim_start_matches('~').trim().trim_matches('"'))
    });
    values.flat_map(|value| value.split('|')).collect()
}

/// What stands behind a key, wherever it stands.
fn values<'t>(text: &'t str, key: &str) -> Vec<&'t str> {
    let lines = text.lines().map(|line| line.trim().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).collect()
}

#[test]
fn routes_know_every_severity_and_inhibitions_alerts_that_exist() {
    let text = read(FILE);
    assert_eq!(matched(&text, "severity"), BTreeSet::from(["page", "ticket"]));
    let alerts = rules::alerts();
    let inhibited = matched(&text, "alertname");
    assert!(!inhibited.is_empty());
    let gone: Vec<_> = inhibited.iter().filter(|name| !alerts.contains(**name)).collect();
    assert!(gone.is_empty(), "there is no alert {gone:?}");
}

#[test]
fn who_is_told_exists_and_everything_reaches_somebody() {
    let text = read(FILE);
    let (routes, receivers) = text.split_once("\nreceivers:\n").unwrap();
    let known: BTreeSet<&str> = values(receivers, "name").into_iter().collect();
    let told: BTreeSet<&str> = values(routes, "receiver").into_iter().collect();
    assert_eq!(told, known);
    assert_eq!(values(receivers, "to").len(), known.len(), "a receiver that tells nobody");
}

#[test]
fn prometheus_tells_alertmanager_and_that_tells_the_mail_catcher() {
    let prometheus = read("deploy/observability/prometheus.yml");
    assert!(prometheus.contains("- static_configs: [{ targets: [\"alertmanager:9093\"] }]\n"));
    assert_eq!(values(&read(FILE), "smtp_smarthost"), ["mailpit:1025"]);
    let compose = read("deploy/docker-compose.yml");
    for part in [
        "\n  alertmanager:\n",
        "\n  mailpit:\n",
        "./observability/alertmanager.yml:/etc/alertmanager/alertmanager.yml:ro",
        "EH_NOTIFY__MAIL__SMTP__HOST: mailpit\n",
        "EH_NOTIFY__MAIL__SMTP__PORT: \"1025\"\n",
    ] {
        assert!(compose.contains(part), "{part}");
    }
}

#[test]
fn matchers_are_read_as_they_are_written() {
    let text = "  - source_matchers:\n      - a = X\n      - b=~\"Y|Z\"\n    equal: [a]\n";
    assert_eq!(matched(text, "a"), BTreeSet::from(["X"]));
    assert_eq!(matched(text, "b"), BTreeSet::from(["Y", "Z"]));
    assert_eq!(values("- name: x\n  to: y\n", "name"), ["x"]);
}
