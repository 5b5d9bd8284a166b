//! What a fleet exports, against what its crates declare.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use fleet::layout::Layout;
use fleet::observability::{CHASSIS, Catalogue, Kind, Metric, catalogues, find};
use fleet::services::Service;
use fleet::{Fleet, FleetOptions};

use crate::support::{order, text, until_told};

/// What a process shows: the labels of each series, and the names that have a help text.
#[derive(Default)]
struct Shown {
    series: BTreeMap<String, BTreeSet<Vec<String>>>,
    explained: BTreeSet<String>,
}

impl Shown {
    fn parse(text: &str) -> Self {
        let mut shown = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                shown.explained.extend(rest.split_once(' ').map(|(name, _)| name.to_owned()));
            } else if !line.starts_with('#') {
                let (name, labels) = series(line);
                shown.series.entry(name).or_default().insert(labels);
            }
        }
        shown
    }

    /// Whether a declared metric is there.
    fn has(&self, metric: &Metric) -> bool {
        let end = if metric.kind == Kind::Histogram { "_count" } else { "" };
        self.series.contains_key(&format!("{}{end}", metric.name))
    }
}

/// The name and the labels of a line. Values of labels hold no quotes here.
fn series(line: &str) -> (String, Vec<String>) {
    let Some((name, rest)) = line.split_once('{') else {
        return (line.split(' ').next().unwrap_or_default().to_owned(), Vec::new());
    };
    let names = rest.split('"').step_by(2).filter_map(|part| part.strip_suffix('='));
    let mut labels: Vec<String> =
        names.map(|name| name.trim_start_matches(',').to_owned()).collect();
    labels.sort();
    (name.to_owned(), labels)
}

/// What a service shows and nobody has declared, shows otherwise, or does not explain.
fn faults(shown: &Shown, own: &[Catalogue]) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, sets) in &shown.series {
        let Some(metric) = find(own, name) else {
            faults.push(format!("{name} is not declared"));
            continue;
        };
        let bound = name.ends_with("_bucket").then(|| "le".to_owned());
        let mut labels: Vec<String> = metric.labels.iter().cloned().chain(bound).collect();
        labels.sort();
        let others = sets.iter().filter(|set| **set != labels);
        faults.extend(others.map(|set| format!("{name} has the labels {set:?}")));
        if !shown.explained.contains(&metric.name) {
            faults.push(format!("{name} has no help text"));
        }
    }
    faults
}

/// What is declared for a fleet that is well and not shown by it.
fn missing(all: &BTreeMap<&str, Shown>, declared: &[Catalogue]) -> Vec<String> {
    let mut missing = Vec::new();
    for catalogue in declared {
        let expected = catalogue.metric.iter().filter(|metric| metric.only_when.is_empty());
        let is_shown = |metric: &Metric| match catalogue.package.as_str() {
            CHASSIS => all.values().any(|shown| shown.has(metric)),
            package => all.get(package).is_some_and(|shown| shown.has(metric)),
        };
        let unseen = expected.filter(|metric| !is_shown(metric));
        missing.extend(unseen.map(|metric| format!("{}: {}", catalogue.package, metric.name)));
    }
    missing
}

/// Where each service shows its metrics.
fn addresses(fleet: &mut Fleet) -> Result<Vec<(&'static str, String)>> {
    let address = |service: &Service| {
        let url = fleet.internal_url(service.name, 0)?;
        Ok((service.name, format!("{url}/metrics")))
    };
    Service::ALL.iter().map(address).collect()
}

async fn scrape(addresses: &[(&'static str, String)]) -> Result<BTreeMap<&'static str, Shown>> {
    let client = fleet::http::client().build()?;
    let mut all = BTreeMap::new();
    for (service, url) in addresses {
        let text = client.get(url).send().await?.error_for_status()?.text().await?;
        all.insert(*service, Shown::parse(&text));
    }
    Ok(all)
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn a_fleet_exports_what_is_declared_and_nothing_else() -> Result<()> {
    let declared = catalogues(Layout::discover()?.root())?;
    let mut fleet = Fleet::start(FleetOptions::default()).await?;
    fleet.seed().await?;
    let customer = fleet.customer().await?;
    let placed = order(&customer, "pm_ok").await?;
    until_told(&fleet, &customer, "order.paid", &text(&placed, "id")?).await?;

    // What is measured from time to time may come a little later.
    let addresses = addresses(&mut fleet)?;
    let complete = fleet.eventually("every declared metric being there", || async {
        let all = scrape(&addresses).await?;
        Ok(missing(&all, &declared).is_empty().then_some(all))
    });
    let Ok(all) = complete.await else {
        bail!("missing: {:?}", missing(&scrape(&addresses).await?, &declared));
    };
    for (service, shown) in &all {
        let of_service = |one: &&Catalogue| one.package == CHASSIS || one.package == *service;
        let own: Vec<Catalogue> = declared.iter().filter(of_service).cloned().collect();
        assert_eq!(faults(shown, &own), [""; 0], "{service}");
    }
    fleet.finish().await
}

#[test]
fn lines_are_read_with_their_labels() {
    assert_eq!(series("up 1"), ("up".to_owned(), Vec::new()));
    let (name, labels) = series("x_bucket{queue=\"a.b\",le=\"0.5\"} 3");
    assert_eq!((name.as_str(), labels), ("x_bucket", vec!["le".to_owned(), "queue".to_owned()]));
    let shown = Shown::parse("# HELP up Whether.\n# TYPE up gauge\nup{a=\"1\"} 1\n\n");
    assert!(shown.explained.contains("up") && shown.series.contains_key("up"));
    assert_eq!(faults(&shown, &[]), ["up is not declared"]);
}
