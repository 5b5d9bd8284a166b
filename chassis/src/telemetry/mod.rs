//! Telemetry: log lines on stdout, traces to a collector, metrics on the internal port.

mod catalogue;
pub mod edge;
pub mod log;
pub mod metrics;
mod process;
mod queries;
pub mod trace;
pub(crate) mod traceparent;

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::{ConfigError, TelemetryConfig};

/// Why telemetry cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A value of `[telemetry]` cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something in this process has set up logging already.
    #[error("logging is set up already")]
    LogsTaken(#[from] TryInitError),
}

/// The telemetry of a process. It must be [shut down](Telemetry::shutdown), or the last spans are
/// lost.
#[derive(Debug)]
pub struct Telemetry {
    tracer: SdkTracerProvider,
}

/// Refuses values of `[telemetry]` that cannot be used, before anything is started.
pub fn check(config: &TelemetryConfig) -> Result<(), ConfigError> {
    log::filter(&config.filter)?;
    trace::check(config)
}

/// Starts logs and traces for the service `name`. Needs a Tokio runtime.
pub fn init(name: &'static str, config: &TelemetryConfig) -> Result<Telemetry, TelemetryError> {
    let filter = log::filter(&config.filter)?;
    let tracer = trace::provider(name, config)?;
    trace::install(&tracer);
    tracing_subscriber::registry()
        // First, so that what is filtered out costs the layers below nothing.
        .with(filter)
        // Before the log lines, which show the trace that this one begins.
        .with(trace::layer(&tracer))
        .with(log::layer(name, config.format))
        .try_init()?;
    Ok(Telemetry { tracer })
}

impl Telemetry {
    /// Sends what was not sent yet and stops exporting.
    pub async fn shutdown(self) {
        // The exporter's own thread is waited for, and it needs this runtime to send.
        let stopped = tokio::task::spawn_blocking(move || self.tracer.shutdown()).await;
        match stopped {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "last traces not exported"),
            Err(error) => tracing::warn!(%error, "last traces not exported"),
        }
    }
}
