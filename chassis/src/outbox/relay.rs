//! The relay: takes events out of the outbox and hands them to the broker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use sqlx::mysql::MySqlConnection;
use tokio_util::sync::CancellationToken;

use super::held::Held;
use super::{Outbox, store, wait};
use crate::backoff::Backoff;
use crate::config::OutboxConfig;
use crate::db::Pool;
use crate::error::Chain;
use crate::messaging::{OutboundMessage, PublishError, Publisher};
use crate::{failpoint, mutant};

/// Bounds of the pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Idle time after which the server ends a relay's session, and with it the lock, on top of the poll
/// interval. An owner that vanished without closing its connection would keep the lock for hours.
const IDLE_LIMIT_S: u32 = 30;

/// Why a round of the relay did not publish everything.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The outbox could not be read or cleared.
    #[error("the outbox cannot be reached")]
    Database(#[from] sqlx::Error),
    /// Some messages were not confirmed; they stay, and are published again.
    #[error("{failed} of {total} messages were not published")]
    Publish {
        /// How many were not confirmed.
        failed: usize,
        /// How many were tried.
        total: usize,
        /// The first reason; [`PublishError::Unroutable`] when there is no other.
        source: PublishError,
    },
}

/// Publishes the events of one schema.
///
/// Every instance of a service runs one, and one at a time works: it holds a named lock on a
/// connection of its own, and reads and deletes through that same connection. When the connection
/// ends, the lock is free, and the former owner cannot go on, because it has lost its way to the
/// table with it. The others look once per poll interval whether the lock is free.
pub struct Relay {
    pool: Pool,
    publisher: Arc<dyn Publisher>,
    config: OutboxConfig,
    outbox: Outbox,
    session: Option<Session>,
    held: Held,
    measured: Option<Instant>,
}

/// The connection that competes for, or holds, the right to publish.
struct Session {
    connection: MySqlConnection,
    elected: bool,
}

/// What a round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// Nothing: another instance publishes.
    StandBy,
    /// Published so many events.
    Published(usize),
}

impl Relay {
    /// Creates the relay of `outbox`, whose table is in `pool`'s schema.
    pub fn new(
        pool: Pool,
        publisher: Arc<dyn Publisher>,
        config: &OutboxConfig,
        outbox: &Outbox,
    ) -> Self {
        let (config, outbox) = (config.clone(), outbox.clone());
        let held = Held::new();
        Self { pool, publisher, config, outbox, session: None, held, measured: None }
    }

    /// Publishes until `stop` is cancelled, and then what is there at that time.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        while !stop.is_cancelled() {
            match self.round().await {
                Ok(Round::Published(events)) if events >= self.batch() => backoff.reset(),
                Ok(Round::Published(_)) => {
                    backoff.reset();
                    self.rest(&stop).await;
                }
                // The bell does not matter here: it must not turn a standby into a busy one, nor
                // cut the pause that a troubled broker or database needs.
                Ok(Round::StandBy) => pause(self.config.poll(), &stop).await,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "outbox relay failed");
                    // What came back is left out of the next round, which finds what is behind it.
                    if !is_held(&error) {
                        pause(backoff.step(), &stop).await;
                    }
                }
            }
        }
        self.publish_the_rest().await;
        if let Some(session) = self.session.take() {
            // Said goodbye to, the server frees the lock at once; else when it finds out.
            let _ = self.pool.bound(session.connection.close()).await;
        }
    }

    /// Publishes what the last requests have left. What fails now is left for the next start.
    async fn publish_the_rest(&mut self) {
        loop {
            match self.round().await {
                Ok(Round::Published(events)) if events >= self.batch() => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "outbox relay failed while stopping");
                    if !is_held(&error) {
                        return;
                    }
                }
            }
        }
    }

    /// Publishes one batch and returns how many events that were; zero if another relay is active.
    pub async fn run_once(&mut self) -> Result<usize, RelayError> {
        match self.round().await? {
            Round::StandBy => Ok(0),
            Round::Published(events) => Ok(events),
        }
    }

    async fn round(&mut self) -> Result<Round, RelayError> {
        let result = self.try_round().await;
        if matches!(result, Err(RelayError::Database(_))) {
            // Its state is unknown. The lock ends with it, and the next round stands again.
            self.session = None;
        }
        let active = matches!(result, Ok(Round::Published(_)) | Err(RelayError::Publish { .. }));
        metrics::gauge!("eh_outbox_relay_active").set(if active { 1.0 } else { 0.0 });
        result
    }

    async fn try_round(&mut self) -> Result<Round, RelayError> {
        let pool = self.pool.clone();
        if !self.stand_for_election().await? {
            return Ok(Round::StandBy);
        }
        let Some(Session { connection, .. }) = &mut self.session else {
            return Ok(Round::StandBy);
        };
        let oldest = store::oldest(connection, self.config.batch, self.held.keys());
        let rows = pool.bound(oldest).await?;
        let (ids, (messages, occurred)): (Vec<u64>, (Vec<_>, Vec<_>)) =
            rows.into_iter().map(store::Row::split).unzip();
        if mutant!("outbox_cleared_before_confirm") {
            pool.bound(store::delete(connection, &ids)).await?;
        }
        let results = publish(self.publisher.as_ref(), &messages).await;
        wait::show(&messages, &occurred, &results);
        self.held.learn(&messages, &results);
        let confirmed = confirmed(&ids, &results);
        pool.bound(store::delete(connection, &confirmed)).await?;
        metrics::counter!("eh_outbox_published_total").increment(confirmed.len() as u64);
        self.measure().await?;
        outcome(&ids, &confirmed, results)
    }

    /// Makes sure that this relay is the only one of its schema that publishes; false if not.
    async fn stand_for_election(&mut self) -> Result<bool, sqlx::Error> {
        let session = match &mut self.session {
            Some(session) => session,
            empty => {
                let mut connection = self.pool.dedicated().await?;
                let idle_s = u64::from(IDLE_LIMIT_S) + self.config.poll().as_secs();
                self.pool.bound(store::limit_idle(&mut connection, idle_s)).await?;
                empty.insert(Session { connection, elected: false })
            }
        };
        if !session.elected {
            session.elected = self.pool.bound(store::try_elect(&mut session.connection)).await?;
            if session.elected {
                tracing::info!("outbox relay elected");
            }
        }
        Ok(session.elected)
    }

    /// Reports the backlog, at most once per poll interval: counting costs more than publishing.
    async fn measure(&mut self) -> Result<(), sqlx::Error> {
        let due = self.measured.is_none_or(|last| last.elapsed() >= self.config.poll());
        if let Some(session) = self.session.as_mut().filter(|_| due) {
            let backlog = self.pool.bound(store::backlog(&mut session.connection)).await?;
            self.measured = Some(Instant::now());
            metrics::gauge!("eh_outbox_pending").set(backlog.pending);
            metrics::gauge!("eh_outbox_oldest_age_seconds").set(backlog.oldest_age_s);
        }
        Ok(())
    }

    fn batch(&self) -> usize {
        usize::try_from(self.config.batch).unwrap_or(usize::MAX)
    }

    /// Waits for the bell, the poll interval, the end of what is held, or the end of all, whichever
    /// comes first.
    async fn rest(&self, stop: &CancellationToken) {
        let poll = self.config.poll();
        let longest = self.held.remaining().map_or(poll, |held| held.min(poll));
        tokio::select! {
            () = self.outbox.woken() => {}
            () = pause(longest, stop) => {}
        }
    }
}

/// Says whether everything that failed is [`Held`].
fn is_held(error: &RelayError) -> bool {
    matches!(error, RelayError::Publish { source: PublishError::Unroutable(_), .. })
}

async fn pause(pause: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = stop.cancelled() => {}
    }
}

async fn publish(
    publisher: &dyn Publisher,
    messages: &[OutboundMessage],
) -> Vec<Result<(), PublishError>> {
    if messages.is_empty() {
        return Vec::new();
    }
    failpoint!("outbox.claimed");
    let results = publisher.publish(messages).await;
    failpoint!("outbox.confirmed");
    results
}

/// Picks the rows whose publication the broker confirmed.
fn confirmed(ids: &[u64], results: &[Result<(), PublishError>]) -> Vec<u64> {
    ids.iter().zip(results).filter(|(_, result)| result.is_ok()).map(|(id, _)| *id).collect()
}

fn outcome(
    ids: &[u64],
    confirmed: &[u64],
    results: Vec<Result<(), PublishError>>,
) -> Result<Round, RelayError> {
    let failed = ids.len() - confirmed.len();
    metrics::counter!("eh_outbox_publish_failures_total").increment(failed as u64);
    let mut reasons: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    // What concerns the whole broker says more than what concerns one kind of event.
    reasons.sort_by_key(|reason| matches!(reason, PublishError::Unroutable(_)));
    match reasons.into_iter().next() {
        Some(source) => Err(RelayError::Publish { failed, total: ids.len(), source }),
        None => Ok(Round::Published(ids.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_confirmed_rows_are_deleted() {
        let results = [Ok(()), Err(PublishError::Timeout), Ok(())];
        assert_eq!(confirmed(&[7, 8, 9], &results), [7, 9]);
    }

    #[test]
    fn a_partly_published_batch_is_a_failure_with_its_first_reason() {
        let results = vec![Ok(()), Err(PublishError::Refused), Err(PublishError::Timeout)];
        let error = outcome(&[7, 8, 9], &[7], results).unwrap_err();
        assert_eq!(error.to_string(), "2 of 3 messages were not published");
        assert!(matches!(error, RelayError::Publish { source: PublishError::Refused, .. }));
    }

    #[test]
    fn a_failure_is_only_held_when_all_of_it_came_back() {
        let came_back = || Err(PublishError::Unroutable("order.paid".to_owned()));
        assert!(is_held(&outcome(&[7, 8], &[8], vec![came_back(), Ok(())]).unwrap_err()));
        let mixed = vec![came_back(), Err(PublishError::Refused)];
        assert!(!is_held(&outcome(&[7, 8], &[], mixed).unwrap_err()));
    }

    #[test]
    fn an_empty_outbox_is_no_failure() {
        assert_eq!(outcome(&[], &[], Vec::new()).unwrap(), Round::Published(0));
    }
}
