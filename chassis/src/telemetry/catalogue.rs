//! What is exported, as a crate declares it in its `metrics.toml`.

use std::collections::BTreeMap;

use ::config::{Config, File, FileFormat};
use metrics::Label;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
use serde::Deserialize;

/// The metrics that every service has.
const CHASSIS: &str = include_str!("../../metrics.toml");

/// Why metrics cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// A `metrics.toml` cannot be read.
    #[error("the declaration of the metrics cannot be read")]
    Declaration(#[from] ::config::ConfigError),
    /// A histogram names buckets that there are none of.
    #[error("{metric} has no buckets named `{buckets}`")]
    Buckets {
        /// The histogram.
        metric: String,
        /// What it names.
        buckets: String,
    },
    /// Something in this process exports metrics already.
    #[error(transparent)]
    Exporter(#[from] BuildError),
}

/// The declared metrics of a process: those of the chassis, and its service's own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Catalogue {
    buckets: BTreeMap<String, Vec<f64>>,
    metric: Vec<Declared>,
}

/// One declared metric. Units, labels and conditions are for readers: `docs/METRICS.md`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Declared {
    pub(super) name: String,
    kind: Kind,
    pub(super) help: String,
    #[serde(default)]
    buckets: String,
    #[serde(default)]
    from_start: Vec<BTreeMap<String, String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Catalogue {
    /// Reads the chassis' declarations and those of a service.
    pub(super) fn read(service: &str) -> Result<Self, MetricsError> {
        let (mut all, own) = (parse(CHASSIS)?, parse(service)?);
        all.buckets.extend(own.buckets);
        all.metric.extend(own.metric);
        Ok(all)
    }

    /// An exporter whose histograms have the declared buckets. Without any it would render summaries,
    /// which cannot be added up over instances.
    pub(super) fn exporter(&self) -> Result<PrometheusBuilder, MetricsError> {
        let mut builder = PrometheusBuilder::new();
        for metric in self.metric.iter().filter(|metric| metric.kind == Kind::Histogram) {
            let unknown = || MetricsError::Buckets {
                metric: metric.name.clone(),
                buckets: metric.buckets.clone(),
            };
            let buckets = self.buckets.get(&metric.buckets).ok_or_else(unknown)?;
            builder =
                builder.set_buckets_for_metric(Matcher::Full(metric.name.clone()), buckets)?;
        }
        Ok(builder)
    }

    /// Tells the recorder what the metrics mean, and shows those that count from the start.
    pub(super) fn announce(&self) {
        for metric in &self.metric {
            let (name, help) = (metric.name.clone(), metric.help.clone());
            match metric.kind {
                Kind::Counter => metrics::describe_counter!(name, help),
                Kind::Gauge => metrics::describe_gauge!(name, help),
                Kind::Histogram => metrics::describe_histogram!(name, help),
            }
            for labels in &metric.from_start {
                let labels: Vec<Label> = labels
                    .iter()
                    .map(|(name, value)| Label::new(name.clone(), value.clone()))
                    .collect();
                metrics::counter!(metric.name.clone(), labels).increment(0);
            }
        }
    }

    /// Finds what is declared under a name.
    pub(super) fn find(&self, name: &str) -> Option<&Declared> {
        self.metric.iter().find(|metric| metric.name == name)
    }
}

impl Declared {
    /// The word of the text form for this kind.
    pub(super) fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

fn parse(text: &str) -> Result<Catalogue, ::config::ConfigError> {
    let file = File::from_str(text, FileFormat::Toml);
    Config::builder().add_source(file).build()?.try_deserialize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_is_explained_and_begins_at_zero_where_it_must() {
        let own = "[[metric]]\nname = \"own_total\"\nkind = \"counter\"\nfrom_start = [{ by = \"hand\" }]\n\
            help = \"Its own.\"\n[[metric]]\nname = \"own_seconds\"\nkind = \"histogram\"\n\
            buckets = \"delay\"\nhelp = \"Its time.\"\n";
        let catalogue = Catalogue::read(own).unwrap();
        let recorder = catalogue.exporter().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            catalogue.announce();
            metrics::histogram!("own_seconds").record(20.0);
            metrics::histogram!("rpc_server_duration_seconds", "rpc_method" => "Get").record(0.003);
        });
        let text = handle.render();
        assert!(text.contains(
            "# HELP own_total Its own.\n# TYPE own_total counter\nown_total{by=\"hand\"} 0\n"
        ));
        assert!(text.contains("own_seconds_bucket{le=\"30\"} 1"), "{text}");
        assert!(
            text.contains("rpc_server_duration_seconds_bucket{rpc_method=\"Get\",le=\"0.005\"} 1")
        );
        assert!(text.contains("eh_tls_handshakes_refused_total 0"));
        assert!(!text.contains("summary"), "{text}");
    }

    #[test]
    fn a_histogram_without_buckets_is_refused() {
        let own = "[[metric]]\nname = \"x_seconds\"\nkind = \"histogram\"\nbuckets = \"none\"\nhelp = \"\"";
        let refused = Catalogue::read(own).unwrap().exporter().err().unwrap().to_string();
        assert_eq!(refused, "x_seconds has no buckets named `none`");
        assert!(
            Catalogue::read("[[metric]]\nname = \"x\"\nkind = \"meter\"\nhelp = \"\"").is_err()
        );
    }
}
