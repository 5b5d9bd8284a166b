//! Metrics in the Prometheus text form.
//!
//! Code records through the `metrics` facade; names of durations end in `_seconds`, names of sizes
//! in `_bytes`, names of counts in `_items`, and get buckets accordingly. Labels have few values:
//! methods and routes, never ids.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// From a cache hit to the longest deadline.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// From an empty message to the largest one accepted.
const BYTES: [f64; 7] = [64.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 131_072.0, 1_048_576.0];
/// From a single item to a full batch.
const ITEMS: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];

/// Pause between two rounds of upkeep.
const UPKEEP: Duration = Duration::from_secs(5);

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    // Without buckets the exporter would render summaries, which cannot be added up over instances.
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES)?
        .set_buckets_for_metric(Matcher::Suffix("_items".to_owned()), &ITEMS)
}

impl Metrics {
    /// Makes this process record what the facade is given. Fails when something else does already.
    pub fn install(service: &'static str, version: &'static str) -> Result<Self, BuildError> {
        let handle = builder()?.install_recorder()?;
        metrics::gauge!("build_info", "service" => service, "version" => version).set(1.0);
        Ok(Self { handle })
    }

    /// The metrics in the Prometheus text form.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Empties the buffers of histograms until `stop`; they grow without end otherwise.
    pub async fn upkeep(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.handle.run_upkeep(),
            }
        }
    }

    /// Metrics that nothing is recorded in, for tests of what renders them.
    #[cfg(test)]
    pub(crate) fn detached() -> Self {
        Self { handle: builder().unwrap().build_recorder().handle() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_have_buckets_by_their_unit() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("rpc_server_duration_seconds", "method" => "Get").record(0.003);
            metrics::histogram!("relay_batch_items").record(120.0);
            metrics::counter!("events_published_total").increment(2);
        });
        let text = handle.render();
        assert!(text.contains("rpc_server_duration_seconds_bucket{method=\"Get\",le=\"0.005\"} 1"));
        assert!(text.contains("relay_batch_items_bucket{le=\"100\"} 0"));
        assert!(text.contains("events_published_total 2"));
    }
}
