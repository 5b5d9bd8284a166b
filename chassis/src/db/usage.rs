//! How much of the pool is used, who waits for it, and who waits in vain.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// The metrics of a pool; the handles are resolved once.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    used: Gauge,
    idle: Gauge,
    waits: Histogram,
    timeouts: Counter,
}

impl Usage {
    /// The metrics of a pool that may have `max` connections.
    pub(super) fn new(max: u32) -> Self {
        gauge!("db_client_connections_max").set(max);
        Self {
            used: gauge!("db_client_connections", "state" => "used"),
            idle: gauge!("db_client_connections", "state" => "idle"),
            waits: histogram!("db_client_connection_wait_seconds"),
            timeouts: counter!("db_client_connection_timeouts_total"),
        }
    }

    /// Notes how long somebody waited, and whether it was in vain.
    pub(super) fn acquired<T>(&self, waited: Duration, outcome: &Result<T, sqlx::Error>) {
        self.waits.record(waited.as_secs_f64());
        if matches!(outcome, Err(sqlx::Error::PoolTimedOut)) {
            self.timeouts.increment(1);
        }
    }

    /// Shows a pool of `size` connections.
    pub(super) fn sample(&self, size: u32, idle: usize) {
        let idle = u32::try_from(idle).unwrap_or(u32::MAX).min(size);
        self.idle.set(idle);
        self.used.set(size - idle);
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn waits_in_vain_are_counted_and_levels_add_up() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let usage = Usage::new(10);
            usage.acquired(Duration::from_millis(1), &Ok(()));
            usage.acquired(Duration::from_millis(500), &Err::<(), _>(sqlx::Error::PoolTimedOut));
            usage.acquired(Duration::ZERO, &Err::<(), _>(sqlx::Error::PoolClosed));
            usage.sample(7, 4);
        });
        let text = recorder.handle().render();
        for line in [
            "db_client_connection_timeouts_total 1",
            "db_client_connection_wait_seconds_count 3",
            "db_client_connections_max 10",
            "db_client_connections{state=\"used\"} 3",
            "db_client_connections{state=\"idle\"} 4",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
