//! Dead letters: messages that a consumer could not apply, and the port that keeps them.

use async_trait::async_trait;
use aws_lc_rs::digest;

use super::HandleError;

/// A message that the broker gave up on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadMessage {
    /// Routing key it was published with.
    pub routing_key: String,
    /// Why it died, in the broker's words: `rejected`, `delivery_limit`, `maxlen`. Followed by a
    /// colon and what is wrong with its signature, if no producer vouches for it.
    pub reason: String,
    /// How often it died in the same queue for the same reason.
    pub deaths: u64,
    /// When it died first, in seconds since 1970-01-01.
    pub died_at: u64,
    /// The message as published.
    pub payload: Vec<u8>,
}

impl DeadMessage {
    /// Identifies this death: equal when the broker delivers the same dead letter again, different
    /// when an equal message died at another time.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [self.routing_key.as_bytes(), self.reason.as_bytes()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.update(&self.deaths.to_be_bytes());
        context.update(&self.died_at.to_be_bytes());
        context.update(&self.payload);
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.finish().as_ref());
        fingerprint
    }
}

/// Keeps dead letters; the in-port of a service that lets people decide on them.
#[async_trait]
pub trait Graveyard: Send + Sync {
    /// Keeps `message`. It may come again, so keeping it is idempotent by its fingerprint. After
    /// an error it comes again after a pause; a dead letter is never given up.
    async fn bury(&self, message: DeadMessage) -> Result<(), HandleError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_tells_deaths_apart() {
        let death = DeadMessage {
            routing_key: "thing.made".into(),
            reason: "rejected".into(),
            deaths: 1,
            died_at: 7,
            payload: b"{}".to_vec(),
        };
        assert_eq!(death.fingerprint(), death.clone().fingerprint());
        for other in [
            DeadMessage { died_at: 8, ..death.clone() },
            DeadMessage { deaths: 2, ..death.clone() },
            DeadMessage { payload: b"{ }".to_vec(), ..death.clone() },
            DeadMessage { routing_key: "thing.mad".into(), ..death.clone() },
        ] {
            assert_ne!(death.fingerprint(), other.fingerprint());
        }
    }
}
