//! Use cases: keep events that could not be processed, and let administrators decide on each.

use chassis::failpoint;
use tracing::{info, instrument};

use super::NotifyService;
use super::inbox::Page;
use crate::model::{
    DeadLetter, DeadLetterId, DeadLetterStatus, Happening, NotifyError, UserId, Verdict,
};
use crate::repository::DeadLetterQuery;

/// A message that the broker gave up on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuriedMessage {
    /// Identifies this death: the same message dying again has another one.
    pub fingerprint: [u8; 32],
    /// Id of the event, empty if the message cannot be read.
    pub event_id: String,
    /// Routing key it was published with.
    pub routing_key: String,
    /// Why it died, in the broker's words.
    pub reason: String,
    /// The message as received, or its beginning when the reason says so.
    pub payload: Vec<u8>,
}

impl NotifyService {
    /// Keeps messages for a decision. Repeating the call has no further effect.
    #[instrument(name = "dead_letter.bury", skip_all, fields(batch.size = messages.len()))]
    pub async fn bury(&self, messages: Vec<BuriedMessage>) -> Result<(), NotifyError> {
        let now = self.clock.now();
        let letters: Vec<_> = messages
            .into_iter()
            .map(|message| {
                let letter = DeadLetter {
                    id: DeadLetterId::generate(),
                    event_id: message.event_id,
                    routing_key: message.routing_key,
                    reason: message.reason,
                    payload: message.payload,
                    status: DeadLetterStatus::Open,
                    created_at: now,
                    decided_at: None,
                    decided_by: None,
                    decision_reason: None,
                };
                (message.fingerprint, letter)
            })
            .collect();
        self.dead_letters.bury(&letters).await
    }

    /// Shows operators how many dead letters wait for a decision, no more than `max` of them. Returns
    /// that nothing is left to do, as sweeps do.
    #[instrument(name = "dead_letter.count", skip_all)]
    pub async fn show_open_dead_letters(&self, max: u32) -> Result<bool, NotifyError> {
        let open = self.dead_letters.count_open(max).await?;
        metrics::gauge!("eh_dead_letters_open").set(open);
        Ok(false)
    }

    /// Lists dead letters, newest first, without their payloads. `size` is 1 to 100.
    #[instrument(name = "dead_letter.list", skip_all)]
    pub async fn list_dead_letters(
        &self,
        status: Option<DeadLetterStatus>,
        before: Option<DeadLetterId>,
        size: u32,
    ) -> Result<Page<DeadLetter, DeadLetterId>, NotifyError> {
        let query = DeadLetterQuery { status, before, limit: size + 1 };
        let items = self.dead_letters.list(query).await?;
        Ok(Page::cut(items, size, |letter| letter.id))
    }

    /// Reads one dead letter with its payload.
    #[instrument(name = "dead_letter.get", skip_all)]
    pub async fn get_dead_letter(&self, id: DeadLetterId) -> Result<DeadLetter, NotifyError> {
        self.dead_letters.find(id).await?.ok_or(NotifyError::DeadLetterNotFound)
    }

    /// Processes an open dead letter again, as what `reading` made of its payload.
    ///
    /// The effect comes before the decision: after a crash between them the letter is still open,
    /// and replaying it again has no second effect.
    #[instrument(name = "dead_letter.replay", skip_all)]
    pub async fn replay_dead_letter(
        &self,
        letter: DeadLetter,
        reading: Result<Option<Happening>, String>,
        by: UserId,
    ) -> Result<DeadLetter, NotifyError> {
        if letter.status != DeadLetterStatus::Open {
            return Err(NotifyError::DeadLetterDecided);
        }
        let happening = reading.map_err(|reason| NotifyError::ReplayFailed { reason })?;
        self.tell_users(happening.as_slice()).await?;
        failpoint!("notify.replay.before_commit");
        self.decide(letter, DeadLetterStatus::Replayed, by, None).await
    }

    /// Gives an open dead letter up, for this reason if one is given.
    #[instrument(name = "dead_letter.discard", skip_all)]
    pub async fn discard_dead_letter(
        &self,
        id: DeadLetterId,
        by: UserId,
        reason: Option<String>,
    ) -> Result<DeadLetter, NotifyError> {
        let letter = self.get_dead_letter(id).await?;
        self.decide(letter, DeadLetterStatus::Discarded, by, reason).await
    }

    async fn decide(
        &self,
        letter: DeadLetter,
        status: DeadLetterStatus,
        by: UserId,
        reason: Option<String>,
    ) -> Result<DeadLetter, NotifyError> {
        let at = self.clock.now();
        let verdict = Verdict { status, by, at, reason: reason.clone() };
        if !self.dead_letters.decide(letter.id, verdict).await? {
            return Err(NotifyError::DeadLetterDecided);
        }
        info!(dead_letter.id = %letter.id, user.id = %by, status = status.as_str(), "dead letter decided");
        let (decided_at, decided_by) = (Some(at), Some(by));
        Ok(DeadLetter { status, decided_at, decided_by, decision_reason: reason, ..letter })
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::model::Topic;
    use crate::service::testing::{happening, service};

    fn message(seed: u8) -> BuriedMessage {
        BuriedMessage {
            fingerprint: [seed; 32],
            event_id: String::new(),
            routing_key: "order.paid".into(),
            reason: "rejected".into(),
            payload: b"{".to_vec(),
        }
    }

    async fn only_letter(service: &NotifyService) -> DeadLetter {
        let page = service.list_dead_letters(None, None, 20).await.unwrap();
        assert_eq!(page.items.len(), 1);
        service.get_dead_letter(page.items[0].id).await.unwrap()
    }

    #[tokio::test]
    async fn the_same_death_is_kept_once() {
        let service = service();
        service.bury(vec![message(1)]).await.unwrap();
        service.bury(vec![message(1)]).await.unwrap();
        assert_eq!(only_letter(&service).await.payload, b"{");
    }

    #[tokio::test]
    async fn letters_are_shown_as_long_as_they_wait() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let service = service();
        let shows = async |count: u32| {
            assert!(!service.show_open_dead_letters(10).await.unwrap());
            recorder.handle().render().contains(&format!("eh_dead_letters_open {count}\n"))
        };
        assert!(shows(0).await);
        service.bury(vec![message(1)]).await.unwrap();
        assert!(shows(1).await && shows(1).await, "it waits");
        let letter = only_letter(&service).await;
        service.discard_dead_letter(letter.id, UserId::generate(), None).await.unwrap();
        assert!(shows(0).await);
    }

    #[tokio::test]
    async fn a_replay_that_fails_leaves_the_letter_open() {
        let service = service();
        service.bury(vec![message(1)]).await.unwrap();
        let letter = only_letter(&service).await;
        let failed = service
            .replay_dead_letter(letter, Err("not JSON".into()), UserId::generate())
            .await
            .unwrap_err();
        assert!(matches!(failed, NotifyError::ReplayFailed { .. }));
        assert_eq!(only_letter(&service).await.status, DeadLetterStatus::Open);
    }

    #[tokio::test]
    async fn a_letter_is_decided_once() {
        let service = service();
        let (admin, user) = (UserId::generate(), UserId::generate());
        service.bury(vec![message(1)]).await.unwrap();
        let letter = only_letter(&service).await;
        let told = Ok(Some(happening(user, Topic::OrderPaid)));
        let replayed =
            service.replay_dead_letter(letter.clone(), told.clone(), admin).await.unwrap();
        assert_eq!(replayed.status, DeadLetterStatus::Replayed);
        assert_eq!(service.list_notifications(user, None, false, 9).await.unwrap().items.len(), 1);
        let again = service.replay_dead_letter(letter.clone(), told, admin).await.unwrap_err();
        assert!(matches!(again, NotifyError::DeadLetterDecided));
        let discarded = service.discard_dead_letter(letter.id, admin, None).await.unwrap_err();
        assert!(matches!(discarded, NotifyError::DeadLetterDecided));
    }
}
