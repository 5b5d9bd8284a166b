//! Use cases: tell what arrived, notice what did not, forget what is old.

use chassis::error::Chain;
use chrono::TimeDelta;
use tracing::instrument;
use uuid::Uuid;

use super::NotifyService;
use crate::model::{Arrival, NotifyError, Receipt, UserId, gapless, sequence};

/// Who misses events, in the metrics.
const CONSUMER: &str = "notify-service";

impl NotifyService {
    /// Lists the events about a subject that arrived, by version: those of one user, or all; the
    /// latest, at most `limit`.
    #[instrument(name = "notify.list_receipts", skip_all)]
    pub async fn list_receipts(
        &self,
        subject: Uuid,
        only_of: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<Receipt>, NotifyError> {
        self.receipts.receipts(subject, only_of, limit).await
    }

    /// Counts the events before which one is missing, and those that were missing until now.
    /// Nothing waits for a missing one and nothing fails by it: its notification is made when it
    /// comes. One that never comes is for the operator to look for, in its producer's outbox and
    /// among the dead letters.
    pub(super) async fn note_sequence(&self, arrivals: &[Arrival]) {
        let subjects = gapless(arrivals);
        if subjects.is_empty() {
            return;
        }
        let memory = match self.receipts.memory(&subjects).await {
            Ok(memory) => memory,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "missing events were not looked for");
                return;
            }
        };
        let found = sequence(arrivals, &memory);
        for gap in found.gaps {
            metrics::counter!("eh_event_gaps_total", "consumer" => CONSUMER).increment(1);
            tracing::warn!(event.id = %gap.event_id, "event came before the one it follows");
        }
        for fill in found.fills {
            metrics::counter!("eh_event_gaps_filled_total", "consumer" => CONSUMER).increment(1);
            tracing::info!(event.id = %fill.event_id, "missing event came");
        }
    }

    /// Forgets up to `at_once` events that arrived longer than `keep` ago. Returns whether there
    /// may be more.
    #[instrument(name = "notify.forget_receipts", skip_all)]
    pub async fn forget_receipts(
        &self,
        keep: TimeDelta,
        at_once: u32,
    ) -> Result<bool, NotifyError> {
        let before = self.clock.now() - keep;
        let forgotten = self.receipts.forget_receipts(before, at_once).await?;
        Ok(forgotten >= u64::from(at_once))
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::model::{Happening, Topic};
    use crate::service::testing::{happening, service};

    #[tokio::test]
    async fn deliveries_are_counted_and_effects_are_not_repeated() {
        let (service, user) = (service(), UserId::generate());
        let paid = happening(user, Topic::OrderPaid);
        for _ in 0..3 {
            service.tell_users(std::slice::from_ref(&paid)).await.unwrap();
        }
        let receipts = service.list_receipts(paid.subject, Some(user), 9).await.unwrap();
        assert_eq!((receipts.len(), receipts[0].deliveries), (1, 3));
        assert_eq!(receipts[0].notices.len(), 1);
    }

    #[tokio::test]
    async fn a_stranger_is_told_of_no_arrivals() {
        let (service, user) = (service(), UserId::generate());
        let paid = happening(user, Topic::OrderPaid);
        service.tell_users(std::slice::from_ref(&paid)).await.unwrap();
        let stranger = Some(UserId::generate());
        assert!(service.list_receipts(paid.subject, stranger, 9).await.unwrap().is_empty());
        assert_eq!(service.list_receipts(paid.subject, None, 9).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn old_arrivals_are_forgotten() {
        let (service, user) = (service(), UserId::generate());
        let paid = happening(user, Topic::OrderPaid);
        service.tell_users(std::slice::from_ref(&paid)).await.unwrap();
        service.forget_receipts(TimeDelta::days(1), 9).await.unwrap();
        assert_eq!(service.list_receipts(paid.subject, None, 9).await.unwrap().len(), 1);
        service.forget_receipts(TimeDelta::seconds(-1), 9).await.unwrap();
        assert!(service.list_receipts(paid.subject, None, 9).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn gaps_are_counted_when_they_open_and_when_they_close() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let counted = |name: &str| -> u64 {
            let text = metrics.render();
            let line = format!("{name}{{consumer=\"notify-service\"}} ");
            let found = text.lines().find_map(|text| text.strip_prefix(line.as_str()));
            found.map_or(0, |count| count.parse().unwrap())
        };
        let counts = || (counted("eh_event_gaps_total"), counted("eh_event_gaps_filled_total"));
        let (service, user) = (service(), UserId::generate());
        let created = happening(user, Topic::OrderCreated);
        let later = |topic: Topic, version: u64| Happening {
            event_id: format!("{}:{}:{version}", topic.as_str(), created.subject),
            subject: created.subject,
            version,
            ..happening(user, topic)
        };
        let (paid, shipped) = (later(Topic::OrderPaid, 2), later(Topic::OrderShipped, 3));

        service.tell_users(std::slice::from_ref(&created)).await.unwrap();
        assert_eq!(counts(), (0, 0));
        service.tell_users(std::slice::from_ref(&shipped)).await.unwrap();
        assert_eq!(counts(), (1, 0));
        service.tell_users(std::slice::from_ref(&shipped)).await.unwrap();
        assert_eq!(counts(), (1, 0), "a repetition opens nothing");
        service.tell_users(std::slice::from_ref(&paid)).await.unwrap();
        assert_eq!(counts(), (1, 1));
        service.tell_users(&[paid, shipped, created]).await.unwrap();
        assert_eq!(counts(), (1, 1));
        let told = service.list_notifications(user, None, false, 9).await.unwrap().items;
        assert_eq!(told.len(), 3, "each is told once, the late one too");
    }
}
