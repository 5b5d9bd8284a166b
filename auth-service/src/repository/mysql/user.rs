//! Ending many sessions of one user, a bounded number in one transaction.

use chassis::db::{self, Tx};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{MySqlSessionRepository, lock};
use crate::model::{EndOfUser, SessionError, SessionId};

/// Sessions ended in one transaction; it has to be done within the time of one statement.
const BATCH: usize = 20;

impl MySqlSessionRepository {
    /// Ends them batch by batch; an end that is cut off leaves a rest that the next call ends.
    pub(super) async fn end_all(
        &self,
        end: &EndOfUser,
        now: DateTime<Utc>,
    ) -> Result<u32, SessionError> {
        let mut count = 0;
        for batch in self.concerned(end).await?.chunks(BATCH) {
            count += db::transaction(&self.pool, |tx| {
                Box::pin(async move { self.end_batch(tx, batch, (end, now)).await })
            })
            .await?;
            self.wake(true);
        }
        Ok(count)
    }

    /// In one order, so that two who end the same sessions wait for each other and no more.
    async fn concerned(&self, end: &EndOfUser) -> Result<Vec<Uuid>, SessionError> {
        let found = sqlx::query_scalar(
            "SELECT id FROM sessions WHERE user_id = ? AND status = 'ACTIVE' \
             AND session_epoch < ? AND id <> ? ORDER BY id",
        )
        .bind(end.user_id.as_uuid())
        .bind(end.below_epoch.unwrap_or(u64::MAX))
        .bind(end.kept.map_or(Uuid::nil(), |kept| kept.as_uuid()))
        .fetch_all(&self.pool)
        .await?;
        Ok(found)
    }

    async fn end_batch(
        &self,
        tx: &mut Tx<'_>,
        batch: &[Uuid],
        (end, now): (&EndOfUser, DateTime<Utc>),
    ) -> Result<u32, SessionError> {
        let mut count = 0;
        for id in batch {
            let locked = lock(tx, SessionId::from_uuid(*id)).await?;
            if let Some(ended) = locked.and_then(|session| session.end(end.reason, now)) {
                self.store(tx, &ended).await?;
                count += 1;
            }
        }
        Ok(count)
    }
}
