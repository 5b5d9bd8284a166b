//! What the services export, out of the `metrics.toml` of each crate, and the page about it.

mod page;
pub mod promql;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

pub use self::page::page;
use crate::services::Service;

/// The file in which a crate declares what it exports.
pub const FILE: &str = "metrics.toml";
/// The crate whose metrics every service has.
pub const CHASSIS: &str = "chassis";
/// The crate whose metrics are those of the audit, which no service has.
pub const TOOL: &str = "fleet";
/// The page, below the root of the checkout.
pub const PAGE: &str = "docs/METRICS.md";

/// Everything that one crate declares.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// The crate.
    #[serde(skip)]
    pub package: String,
    /// Bounds of buckets by their name.
    #[serde(default)]
    pub buckets: BTreeMap<String, Vec<f64>>,
    /// The metrics, in the order of the file.
    #[serde(default)]
    pub metric: Vec<Metric>,
}

/// One declared metric.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What kind of series it is.
    pub kind: Kind,
    /// What the number counts or measures.
    pub unit: String,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// What it tells.
    pub help: String,
    /// The buckets of a histogram, by name.
    #[serde(default)]
    pub buckets: String,
    /// The label sets that are exported as 0 before anything happened.
    #[serde(default)]
    pub from_start: Vec<BTreeMap<String, String>>,
    /// Why a fleet that is well may not export it; empty: it does.
    #[serde(default)]
    pub only_when: String,
}

/// Kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Only grows, from 0 at each start.
    Counter,
    /// A level.
    Gauge,
    /// Measurements counted in buckets.
    Histogram,
}

impl Kind {
    /// The word of the text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Reads what every crate of a checkout declares, the chassis first and the tool last.
pub fn catalogues(root: &Path) -> Result<Vec<Catalogue>> {
    let services = Service::ALL.iter().map(|service| service.name);
    let packages = std::iter::once(CHASSIS).chain(services).chain([TOOL]);
    packages
        .filter(|package| root.join(package).join(FILE).is_file())
        .map(|package| catalogue(root, package))
        .collect()
}

fn catalogue(root: &Path, package: &str) -> Result<Catalogue> {
    let path = root.join(package).join(FILE);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let found: Catalogue = toml::from_str(&text)
        .with_context(|| format!("{} is not as it has to be", path.display()))?;
    Ok(Catalogue { package: package.to_owned(), ..found })
}

/// Finds the metric to which a series belongs: `x_bucket`, `x_sum` and `x_count` belong to the
/// histogram `x`.
pub fn find<'c>(catalogues: &'c [Catalogue], series: &str) -> Option<&'c Metric> {
    let all = || catalogues.iter().flat_map(|catalogue| &catalogue.metric);
    let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| series.strip_suffix(end));
    all().find(|metric| metric.name == series && metric.kind != Kind::Histogram).or_else(|| {
        let name = histogram?;
        all().find(|metric| metric.name == name && metric.kind == Kind::Histogram)
    })
}
