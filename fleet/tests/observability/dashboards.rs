//! The dashboards of Grafana: every panel shows something that is exported, with its unit.

use std::collections::BTreeSet;

use fleet::observability::catalogues;
use serde_json::Value;

use crate::{faults, files, read, root, rules};

const FOLDER: &str = "deploy/observability/grafana/dashboards";
/// The identity of Prometheus in Grafana, as it is provisioned.
const SOURCE: &str = "prometheus";

fn dashboards() -> Vec<(String, Value)> {
    let names = files(FOLDER, ".json");
    let parsed = names.into_iter().map(|name| {
        let text = read(format!("{FOLDER}/{name}.json"));
        (name, serde_json::from_str(&text).unwrap())
    });
    parsed.collect()
}

fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().collect()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// What is wrong with the form of a panel.
fn odd(panel: &Value) -> Option<&'static str> {
    let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rules = [
        (!text(panel, "/title").is_empty(), "has no title"),
        (!text(panel, "/description").is_empty(), "does not say what it shows"),
        (!text(panel, "/fieldConfig/defaults/unit").is_empty(), "has no unit"),
        (text(panel, "/datasource/uid") == SOURCE, "asks nobody"),
        (!targets.is_empty(), "shows nothing"),
        (targets.iter().all(|one| !text(one, "/legendFormat").is_empty()), "has no legend"),
        (panel["gridPos"]["w"].as_u64().is_some_and(|width| width <= 24), "has no place"),
    ];
    rules.into_iter().find(|(holds, _)| !holds).map(|(_, fault)| fault)
}

/// Whether two panels lie on each other.
fn overlap(one: &Value, other: &Value) -> bool {
    let side = |panel: &Value, at: &str, size: &str| {
        let number = |key: &str| panel["gridPos"][key].as_u64().unwrap_or_default();
        (number(at), number(at) + number(size))
    };
    let meet = |at: &str, size: &str| {
        let ((from, to), (start, end)) = (side(one, at, size), side(other, at, size));
        from < end && start < to
    };
    meet("x", "w") && meet("y", "h")
}

#[test]
fn panels_show_what_is_exported_or_recorded() {
    let (catalogues, recorded) = (catalogues(&root()).unwrap(), rules::recorded());
    let dashboards = dashboards();
    assert_eq!(dashboards.len(), 5);
    for (name, dashboard) in &dashboards {
        for panel in panels(dashboard) {
            for target in panel["targets"].as_array().unwrap() {
                let faults = faults(text(target, "/expr"), &catalogues, &recorded);
                assert_eq!(faults, [""; 0], "{name}: {}", text(panel, "/title"));
            }
        }
    }
}

#[test]
fn panels_have_titles_units_legends_and_a_place_of_their_own() {
    for (name, dashboard) in &dashboards() {
        let panels = panels(dashboard);
        for (at, panel) in panels.iter().enumerate() {
            assert_eq!(odd(panel), None, "{name}: {}", text(panel, "/title"));
            let covered = panels[at + 1..].iter().find(|other| overlap(panel, other));
            assert!(covered.is_none(), "{name}: {} covers another", text(panel, "/title"));
        }
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
        assert_eq!(ids.len(), panels.len(), "{name}: an id twice");
    }
}

#[test]
fn dashboards_are_told_apart_and_found() {
    let dashboards = dashboards();
    let uids: BTreeSet<&str> = dashboards.iter().map(|(_, one)| text(one, "/uid")).collect();
    assert_eq!(uids.len(), dashboards.len());
    for (name, dashboard) in &dashboards {
        assert_eq!(text(dashboard, "/uid"), format!("eh-{name}"));
        assert!(text(dashboard, "/title").starts_with("EnterpriseHub: "), "{name}");
    }
    let provisioning = "deploy/observability/grafana/provisioning";
    let sources = read(format!("{provisioning}/datasources/sources.yml"));
    assert!(sources.contains(&format!("uid: {SOURCE}\n")), "{sources}");
    let providers = read(format!("{provisioning}/dashboards/dashboards.yml"));
    let compose = read("deploy/docker-compose.yml");
    for folder in ["/etc/grafana/provisioning", "/var/lib/grafana/dashboards"] {
        assert!(compose.contains(&format!("{folder}:ro")), "{folder} is not mounted");
    }
    assert!(providers.contains("path: /var/lib/grafana/dashboards\n"), "{providers}");
}

#[test]
fn a_dead_panel_is_seen() {
    let panel = |targets: Value| {
        serde_json::json!({
            "title": "t", "description": "d", "datasource": {"uid": SOURCE}, "targets": targets,
            "fieldConfig": {"defaults": {"unit": "s"}}, "gridPos": {"x": 0, "y": 0, "w": 12, "h": 8},
        })
    };
    let good = panel(serde_json::json!([{"expr": "up", "legendFormat": "{{job}}"}]));
    assert_eq!(odd(&good), None);
    assert_eq!(odd(&panel(serde_json::json!([]))), Some("shows nothing"));
    assert_eq!(odd(&panel(serde_json::json!([{"expr": "up"}]))), Some("has no legend"));
    assert!(overlap(&good, &good));
    let beside = serde_json::json!({"gridPos": {"x": 12, "y": 0, "w": 12, "h": 8}});
    assert!(!overlap(&good, &beside));
}
