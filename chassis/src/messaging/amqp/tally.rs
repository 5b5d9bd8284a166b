//! What operators see of a consumer: what became of events, and how late they were.

use metrics::{Histogram, counter, histogram};

use crate::clock::{Clock as _, SystemClock};
use crate::messaging::Envelope;

/// What can become of an event.
const OUTCOMES: [&str; 5] = ["applied", "requeued", "poison", "undecodable", "untrusted"];

/// The figures of one queue.
pub(super) struct Tally {
    queue: String,
    delay: Histogram,
}

impl Tally {
    /// Shows every outcome from the start, so that the first of its kind is a rise that an alert sees.
    pub(super) fn new(queue: &str) -> Self {
        let delay = histogram!("eh_consumer_event_delay_seconds", "queue" => queue.to_owned());
        let tally = Self { queue: queue.to_owned(), delay };
        for outcome in OUTCOMES {
            tally.count(outcome, 0);
        }
        tally
    }

    /// Counts events with this outcome.
    pub(super) fn count(&self, outcome: &'static str, events: usize) {
        let queue = self.queue.clone();
        counter!("eh_consumer_events_total", "queue" => queue, "outcome" => outcome)
            .increment(events as u64);
    }

    /// Counts a batch that had to be divided.
    pub(super) fn split(&self) {
        counter!("eh_consumer_batches_split_total", "queue" => self.queue.clone()).increment(1);
    }

    /// Notes how long ago it was what these events tell of. Clocks differ: nothing comes before it
    /// happens.
    pub(super) fn applied(&self, events: &[Envelope]) {
        let now = SystemClock.now();
        for event in events {
            let delay = (now - event.time).to_std().unwrap_or_default();
            self.delay.record(delay.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use metrics_exporter_prometheus::PrometheusBuilder;
    use uuid::Uuid;

    use super::*;

    fn event(at: DateTime<Utc>) -> Envelope {
        let data = serde_json::json!({});
        Envelope::new("order-service", "order.paid", Uuid::nil(), 1, at, data).unwrap()
    }

    #[test]
    fn an_event_that_is_late_or_from_the_future_has_a_delay() {
        let builder = PrometheusBuilder::new().set_buckets(&[1.0, 60.0]).unwrap();
        let recorder = builder.build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let (tally, now) = (Tally::new("n.q"), SystemClock.now());
            tally.applied(&[event(now - TimeDelta::seconds(30)), event(now + TimeDelta::hours(1))]);
            tally.count("applied", 2);
        });
        let text = recorder.handle().render();
        for line in [
            "eh_consumer_event_delay_seconds_bucket{queue=\"n.q\",le=\"1\"} 1",
            "eh_consumer_event_delay_seconds_bucket{queue=\"n.q\",le=\"60\"} 2",
            "eh_consumer_events_total{queue=\"n.q\",outcome=\"applied\"} 2",
            "eh_consumer_events_total{queue=\"n.q\",outcome=\"untrusted\"} 0",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
