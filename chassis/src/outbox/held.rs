//! Routing keys whose events came back, because no queue is bound for them yet.
//!
//! Their rows stay in the outbox and are left out for a while, so that they neither hold up the
//! rows behind them nor make the relay try them over and over.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::messaging::{OutboundMessage, PublishError};

/// Bounds of the pause before events without a queue are tried again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// What a relay leaves out, and until when.
pub(super) struct Held {
    keys: BTreeSet<String>,
    until: Instant,
    backoff: Backoff,
}

impl Held {
    pub(super) fn new() -> Self {
        let backoff = Backoff::new(PAUSES.0, PAUSES.1);
        Self { keys: BTreeSet::new(), until: Instant::now(), backoff }
    }

    /// The routing keys to leave out now: none when their pause is over, because then all are due.
    pub(super) fn keys(&mut self) -> &BTreeSet<String> {
        if self.until <= Instant::now() {
            self.keys.clear();
        }
        &self.keys
    }

    /// How long the pause still lasts; `None` while nothing is held.
    pub(super) fn remaining(&self) -> Option<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        (!self.keys.is_empty()).then_some(left)
    }

    /// Learns which messages came back.
    pub(super) fn learn(
        &mut self,
        messages: &[OutboundMessage],
        results: &[Result<(), PublishError>],
    ) {
        let was_empty = self.keys.is_empty();
        let answers = messages.iter().zip(results);
        self.keys.extend(
            answers
                .filter(|(_, result)| matches!(result, Err(PublishError::Unroutable(_))))
                .map(|(message, _)| message.routing_key.clone()),
        );
        match (was_empty, self.keys.is_empty()) {
            (true, false) => self.until = Instant::now() + self.backoff.step(),
            (true, true) => self.backoff.reset(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(key: &str) -> OutboundMessage {
        OutboundMessage {
            id: format!("{key}:1:1"),
            routing_key: key.to_owned(),
            payload: "{}".to_owned(),
            traceparent: None,
        }
    }

    fn came_back() -> Result<(), PublishError> {
        Err(PublishError::Unroutable("order.paid".to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_back_is_left_out_until_its_pause_is_over() {
        let mut held = Held::new();
        let messages = [message("order.paid"), message("order.shipped"), message("order.paid")];
        held.learn(&messages, &[came_back(), Ok(()), came_back()]);
        assert_eq!(held.keys().iter().collect::<Vec<_>>(), ["order.paid"]);
        let pause = held.remaining().unwrap();
        assert!(pause >= PAUSES.0 / 2 && pause <= PAUSES.0, "{pause:?}");
        tokio::time::advance(pause).await;
        assert!(held.keys().is_empty());
        assert_eq!(held.remaining(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_while_a_queue_is_missing_and_start_anew_when_it_is_there() {
        let mut held = Held::new();
        let messages = [message("order.paid")];
        for _ in 0..8 {
            held.learn(&messages, &[came_back()]);
            // A key that joins does not put off those that wait.
            let pause = held.remaining().unwrap();
            held.learn(&[message("order.shipped")], &[came_back()]);
            assert_eq!(held.remaining(), Some(pause));
            tokio::time::advance(pause).await;
            assert!(held.keys().is_empty());
        }
        held.learn(&messages, &[came_back()]);
        assert!(held.remaining().unwrap() >= PAUSES.1 / 2);
        tokio::time::advance(PAUSES.1).await;
        assert!(held.keys().is_empty());
        held.learn(&messages, &[Ok(())]);
        held.learn(&messages, &[came_back()]);
        assert!(held.remaining().unwrap() <= PAUSES.0);
    }

    #[tokio::test]
    async fn other_failures_hold_nothing() {
        let mut held = Held::new();
        held.learn(&[message("order.paid")], &[Err(PublishError::Disconnected)]);
        assert!(held.keys().is_empty());
    }
}
