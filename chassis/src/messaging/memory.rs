//! A publisher that keeps what it is given; for tests and for services without a broker.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{OutboundMessage, PublishError, Publisher};

/// A [`Publisher`] that remembers the messages it accepted.
#[derive(Debug, Default)]
pub struct MemoryPublisher {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    published: Vec<OutboundMessage>,
    refusal: Option<PublishError>,
    unbound: Option<String>,
}

impl MemoryPublisher {
    /// Creates a publisher that accepts everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the accepted messages in order; a repetition is there twice.
    pub fn published(&self) -> Vec<OutboundMessage> {
        self.state().published.clone()
    }

    /// Refuses everything with `error` from now on; accepts again after `None`.
    pub fn refuse(&self, error: Option<PublishError>) {
        self.state().refusal = error;
    }

    /// Sends messages with this routing key back from now on; no more after `None`.
    pub fn unbind(&self, routing_key: Option<&str>) {
        self.state().unbound = routing_key.map(str::to_owned);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Publisher for MemoryPublisher {
    async fn publish(&self, batch: &[OutboundMessage]) -> Vec<Result<(), PublishError>> {
        let mut state = self.state();
        if let Some(error) = state.refusal.clone() {
            return vec![Err(error); batch.len()];
        }
        let mut results = Vec::with_capacity(batch.len());
        for message in batch {
            let key = &message.routing_key;
            results.push(if state.unbound.as_ref() == Some(key) {
                Err(PublishError::Unroutable(key.clone()))
            } else {
                state.published.push(message.clone());
                Ok(())
            });
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_refused_is_not_published() {
        let publisher = MemoryPublisher::new();
        let message = OutboundMessage {
            id: "order.paid:1:1".to_owned(),
            routing_key: "order.paid".to_owned(),
            payload: "{}".to_owned(),
            traceparent: None,
        };
        publisher.refuse(Some(PublishError::Blocked));
        let refused = publisher.publish(std::slice::from_ref(&message)).await;
        assert_eq!(refused, [Err(PublishError::Blocked)]);
        publisher.refuse(None);
        assert_eq!(publisher.publish(std::slice::from_ref(&message)).await, [Ok(())]);
        assert_eq!(publisher.published(), [message]);
    }
}
