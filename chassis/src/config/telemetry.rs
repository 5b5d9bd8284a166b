//! `[telemetry]`: logs and traces.

use serde::Deserialize;

/// What is logged, how it looks, and where traces go.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Form of a log line.
    pub format: LogFormat,
    /// Directives in the syntax of `tracing_subscriber::EnvFilter`, such as `info,sqlx=debug`.
    pub filter: String,
    /// gRPC address of an OTLP collector; empty means that traces are not exported.
    pub otlp_endpoint: String,
    /// Share of new traces that is recorded, 0 to 1; a trace begun elsewhere keeps its decision.
    pub sample_ratio: f64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Pretty,
            filter: "info".to_owned(),
            otlp_endpoint: String::new(),
            sample_ratio: 1.0,
        }
    }
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line, for machines.
    Json,
}
