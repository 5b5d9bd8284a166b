//! Metrics in the Prometheus text form.
//!
//! Code records through the `metrics` facade. Each metric is declared in the `metrics.toml` of its
//! crate, which the exporter takes help texts and buckets from; a test compares them with the code.
//! Names of durations end in `_seconds`. Labels have few values: methods and routes, never ids.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use super::catalogue::Catalogue;
pub use super::catalogue::MetricsError;
use super::process;

/// Pause between two rounds of upkeep.
const UPKEEP: Duration = Duration::from_secs(5);

type Sampler = Box<dyn Fn() + Send + Sync>;

/// What is measured when somebody asks: levels of which nobody tells when they change. Clones share
/// their samplers.
#[derive(Clone, Default)]
pub struct Samplers {
    all: Arc<Mutex<Vec<Sampler>>>,
}

impl Samplers {
    /// Runs `sampler`, which must not wait for anything, before each rendering.
    pub fn add(&self, sampler: impl Fn() + Send + Sync + 'static) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(sampler));
    }

    fn run(&self) {
        self.all
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .for_each(|sampler| sampler());
    }
}

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    catalogue: Arc<Catalogue>,
    samplers: Samplers,
}

impl Metrics {
    /// Makes this process record what the facade is given; `declared` is the service's own
    /// `metrics.toml`. Fails when something else records already.
    pub fn install(
        service: &'static str,
        version: &'static str,
        declared: &str,
    ) -> Result<Self, MetricsError> {
        let catalogue = Catalogue::read(declared)?;
        let handle = catalogue.exporter()?.install_recorder()?;
        catalogue.announce();
        metrics::gauge!("build_info", "service" => service, "version" => version).set(1.0);
        Ok(Self { handle, catalogue: Arc::new(catalogue), samplers: Samplers::default() })
    }

    /// The same metrics, for which `samplers` measure before each rendering.
    #[must_use]
    pub fn sampling(self, samplers: Samplers) -> Self {
        Self { samplers, ..self }
    }

    /// The metrics in the Prometheus text form.
    pub fn render(&self) -> String {
        self.samplers.run();
        let mut text = self.handle.render();
        text.push_str(&process::render(&self.catalogue));
        text
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
        let catalogue = Catalogue::read("").unwrap();
        let handle = catalogue.exporter().unwrap().build_recorder().handle();
        Self { handle, catalogue: Arc::new(catalogue), samplers: Samplers::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn levels_are_measured_when_somebody_asks() {
        let (samplers, asked) = (Samplers::default(), Arc::new(AtomicU32::new(0)));
        let metrics = Metrics::detached().sampling(samplers.clone());
        let count = Arc::clone(&asked);
        samplers.add(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        metrics.render();
        metrics.render();
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
