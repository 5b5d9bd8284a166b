//! Transactional outbox: events are written with the state they tell of, and published afterwards.
//!
//! A service appends envelopes inside its transaction and rings the bell after the commit. The
//! [`Relay`] publishes what is there and deletes what the broker confirmed. A crash between the
//! two publishes again: delivery is at least once, and consumers deduplicate by the event's id.
//! An event that no queue takes yet waits for its consumer without holding up the others.

mod held;
mod relay;
mod store;
mod wait;

use std::sync::Arc;

use sqlx::mysql::MySqlConnection;
use tokio::sync::Notify;

use crate::db::DbError;
use crate::messaging::Envelope;

pub use relay::{Relay, RelayError};

/// Where a service leaves its events; clones ring the same bell.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    bell: Arc<Notify>,
}

impl Outbox {
    /// Creates the service's outbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes `events` in the transaction of `connection`.
    ///
    /// A second event with the same id is an error: the same transition cannot be told twice.
    pub async fn append(
        &self,
        connection: &mut MySqlConnection,
        events: &[Envelope],
    ) -> Result<(), DbError> {
        store::append(connection, events).await
    }

    /// Tells the relay, after the commit, that there is something to publish.
    pub fn wake(&self) {
        self.bell.notify_one();
    }

    /// Waits until somebody rang; remembers one ring.
    async fn woken(&self) {
        self.bell.notified().await;
    }
}
