//! `[telemetry]`: logs and traces.

use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;

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
    /// Share of new traces that is recorded, 0 to 1; a trace begun by another service keeps its
    /// decision, and one begun by a stranger has none.
    pub sample_ratio: f64,
    /// Ended spans that wait to be exported at most; more are dropped, so that a collector that is
    /// away costs memory up to this bound and nothing else.
    pub span_queue_max: usize,
    /// Spans in one export at most.
    pub span_batch_max: usize,
    /// Pause between two exports of less than a batch.
    pub export_every_ms: u64,
    /// Longest export.
    pub export_timeout_ms: u64,
}

impl TelemetryConfig {
    /// Pause between two exports.
    pub fn export_every(&self) -> Duration {
        Duration::from_millis(self.export_every_ms)
    }

    /// Longest export.
    pub fn export_timeout(&self) -> Duration {
        Duration::from_millis(self.export_timeout_ms)
    }

    /// Refuses bounds that are none.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(ConfigError::value("telemetry.sample_ratio", "must be between 0 and 1"));
        }
        if !(1..=65_536).contains(&self.span_queue_max) {
            return Err(ConfigError::value("telemetry.span_queue_max", "must be 1 to 65536"));
        }
        if !(1..=self.span_queue_max).contains(&self.span_batch_max) {
            let reason = "must be 1 to `telemetry.span_queue_max`";
            return Err(ConfigError::value("telemetry.span_batch_max", reason));
        }
        for (key, value) in [
            ("telemetry.export_every_ms", self.export_every_ms),
            ("telemetry.export_timeout_ms", self.export_timeout_ms),
        ] {
            if !(10..=60_000).contains(&value) {
                return Err(ConfigError::value(key, "must be 10 to 60000"));
            }
        }
        Ok(())
    }
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Pretty,
            filter: "info".to_owned(),
            otlp_endpoint: String::new(),
            sample_ratio: 1.0,
            span_queue_max: 2_048,
            span_batch_max: 512,
            export_every_ms: 1_000,
            export_timeout_ms: 5_000,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_are_none_are_refused_by_name() {
        TelemetryConfig::default().validate().unwrap();
        let refused = |change: fn(&mut TelemetryConfig)| {
            let mut config = TelemetryConfig::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(refused(|config| config.sample_ratio = 1.5).contains("telemetry.sample_ratio"));
        assert!(refused(|config| config.span_queue_max = 0).contains("telemetry.span_queue_max"));
        assert!(
            refused(|config| config.span_batch_max = 4_096).contains("telemetry.span_batch_max")
        );
        assert!(refused(|config| config.export_every_ms = 0).contains("telemetry.export_every_ms"));
        let endless = refused(|config| config.export_timeout_ms = 60_001);
        assert!(endless.contains("telemetry.export_timeout_ms"));
    }
}
