//! The in-port for messages that the broker gave up on.

use std::sync::Arc;

use async_trait::async_trait;
use chassis::messaging::{DeadMessage, Envelope, Graveyard, HandleError};

use crate::service::{BuriedMessage, NotifyService};

/// Longest payload that is kept. No event is longer, an [`Envelope`] of more is refused; what is no
/// event would else meet the bounds of the column and of the server's packets.
const PAYLOAD_MAX_BYTES: usize = 1 << 20;

/// Room for a routing key and for a reason, as their columns have it.
const TEXT_MAX_CHARS: usize = 255;

/// Keeps dead letters for the administrators' decision.
pub struct DeadLetterKeeper {
    service: Arc<NotifyService>,
}

impl DeadLetterKeeper {
    /// Hands dead letters to this service.
    pub fn new(service: Arc<NotifyService>) -> Self {
        Self { service }
    }
}

#[async_trait]
impl Graveyard for DeadLetterKeeper {
    async fn bury(&self, message: DeadMessage) -> Result<(), HandleError> {
        let buried = read(message);
        // Nothing about a dead letter may lose it, so every failure is one that may pass.
        self.service.bury(vec![buried]).await.map_err(|error| HandleError::Retry(error.into()))
    }
}

/// Fits a message into storage: whatever its producer made of it, it must not come back for ever
/// and hold up those behind it. An id is one that [`Envelope`] accepts, or none.
fn read(message: DeadMessage) -> BuriedMessage {
    let fingerprint = message.fingerprint();
    let event_id = Envelope::from_json(&message.payload).map(|e| e.id).unwrap_or_default();
    let mut payload = message.payload;
    let note = match payload.len() {
        ..=PAYLOAD_MAX_BYTES => String::new(),
        size => format!("; kept {PAYLOAD_MAX_BYTES} of {size} bytes"),
    };
    payload.truncate(PAYLOAD_MAX_BYTES);
    let reason = cut(&message.reason, TEXT_MAX_CHARS - note.len()) + &note;
    let routing_key = cut(&message.routing_key, TEXT_MAX_CHARS);
    BuriedMessage { fingerprint, event_id, routing_key, reason, payload }
}

fn cut(text: &str, max_chars: usize) -> String {
    text.chars().take(max_chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(reason: String, payload: Vec<u8>) -> DeadMessage {
        DeadMessage { routing_key: "ключ".repeat(100), reason, deaths: 1, died_at: 0, payload }
    }

    #[test]
    fn what_storage_has_no_room_for_is_cut() {
        let buried = read(message("é".repeat(300), vec![b' '; PAYLOAD_MAX_BYTES]));
        assert_eq!(buried.reason, "é".repeat(255));
        assert_eq!(buried.routing_key.chars().count(), 255);
        assert_eq!(buried.payload.len(), PAYLOAD_MAX_BYTES);
    }

    #[test]
    fn a_cut_payload_says_so_and_keeps_the_fingerprint_of_the_whole() {
        let whole = message("é".repeat(300), vec![b' '; PAYLOAD_MAX_BYTES + 1]);
        let buried = read(whole.clone());
        assert!(buried.reason.ends_with("é; kept 1048576 of 1048577 bytes"), "{}", buried.reason);
        assert_eq!(buried.reason.chars().count(), 255);
        assert_eq!(buried.payload.len(), PAYLOAD_MAX_BYTES);
        assert_eq!(buried.fingerprint, whole.fingerprint());
    }
}
