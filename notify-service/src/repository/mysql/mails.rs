//! Messages by e-mail.

use async_trait::async_trait;
use chassis::db;
use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::mysql::MySqlConnection;
use sqlx::{MySql, QueryBuilder};
use tracing::instrument;
use uuid::Uuid;

use super::MySqlRepository;
use crate::model::{
    Locale, Mail, MailId, MailKind, MailOrder, MailOutcome, NotifyError, TakenMail, UserId,
};
use crate::repository::MailRepository;

#[derive(sqlx::FromRow)]
struct MailRow {
    id: Uuid,
    event_id: String,
    event: String,
    user_id: Uuid,
    locale: String,
    sealed: Vec<u8>,
    expires_at: NaiveDateTime,
    attempts: u32,
    earlier_attempts: u32,
    created_at: NaiveDateTime,
}

impl MailRow {
    /// The message as whoever takes it now has it. `None` for one that a later version asked for: it
    /// comes up again when the lease is over, for whoever knows it.
    fn into_taken(self) -> Option<TakenMail> {
        let kind = MailKind::find(&self.event)?;
        let order = MailOrder {
            kind,
            locale: Locale::from_tag(&self.locale),
            sealed: self.sealed,
            expires_at: self.expires_at.and_utc(),
        };
        let mail = Mail {
            id: MailId::from_uuid(self.id),
            event_id: self.event_id,
            user_id: UserId::from_uuid(self.user_id),
            order,
            created_at: self.created_at.and_utc(),
        };
        let (attempt, earlier) = (self.attempts.saturating_add(1), self.earlier_attempts);
        Some(TakenMail { mail, attempt, earlier })
    }
}

/// Stores messages in the transaction of their events; one that was stored before is skipped.
pub(super) async fn insert(conn: &mut MySqlConnection, mails: &[Mail]) -> Result<(), NotifyError> {
    for chunk in db::chunks(mails) {
        let mut sql = QueryBuilder::<MySql>::new(
            "INSERT INTO mails (id, event_id, event, user_id, locale, sealed, expires_at, status, \
             attempts, next_attempt_at, created_at) ",
        );
        sql.push_values(chunk, |mut row, mail| {
            row.push_bind(mail.id.as_uuid())
                .push_bind(&mail.event_id)
                .push_bind(mail.order.kind.as_str())
                .push_bind(mail.user_id.as_uuid())
                .push_bind(mail.order.locale.as_str())
                .push_bind(&mail.order.sealed)
                .push_bind(mail.order.expires_at.naive_utc())
                .push("'WAITING'")
                .push("0")
                .push_bind(mail.created_at.naive_utc())
                .push_bind(mail.created_at.naive_utc());
        });
        sql.push(" ON DUPLICATE KEY UPDATE event_id = VALUES(event_id)");
        sql.build().execute(&mut *conn).await?;
    }
    Ok(())
}

async fn due(
    conn: &mut MySqlConnection,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<MailRow>, NotifyError> {
    // What another replica is taking at this moment is skipped, not waited for.
    let rows = sqlx::query_as(
        "SELECT id, event_id, event, user_id, locale, sealed, expires_at, attempts, \
         earlier_attempts, created_at FROM mails WHERE status = 'WAITING' AND next_attempt_at <= ? \
         ORDER BY next_attempt_at LIMIT ? FOR UPDATE SKIP LOCKED",
    )
    .bind(now.naive_utc())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

#[async_trait]
impl MailRepository for MySqlRepository {
    #[instrument(name = "db.mails.take", skip_all)]
    async fn take(
        &self,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<TakenMail>, NotifyError> {
        let rows = db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                let rows = due(tx, now, limit).await?;
                for row in &rows {
                    sqlx::query(
                        "UPDATE mails SET attempts = attempts + 1, next_attempt_at = ? WHERE id = ?",
                    )
                    .bind(until.naive_utc())
                    .bind(row.id)
                    .execute(&mut **tx)
                    .await?;
                }
                Ok::<_, NotifyError>(rows)
            })
        })
        .await?;
        Ok(rows.into_iter().filter_map(MailRow::into_taken).collect())
    }

    #[instrument(name = "db.mails.settle", skip_all)]
    async fn settle(&self, taken: &TakenMail, outcome: MailOutcome) -> Result<(), NotifyError> {
        // Of one that is dead the link is to go, which is what is next: `forget_links` finds it by that.
        let over = taken.mail.order.expires_at;
        let (status, next, death) = match outcome {
            MailOutcome::Sent => ("SENT", None, None),
            MailOutcome::Dead(death) => ("DEAD", Some(over.naive_utc()), Some(death)),
            MailOutcome::Waits(at) => ("WAITING", Some(at.naive_utc()), None),
        };
        let died_at = death.as_ref().map(|death| death.at.naive_utc());
        sqlx::query(
            "UPDATE mails SET sealed = IF(? = 'WAITING' OR expires_at > ?, sealed, ''), \
             next_attempt_at = COALESCE(?, next_attempt_at), died_at = ?, failure = ?, status = ? \
             WHERE id = ? AND status = 'WAITING' AND attempts = ?",
        )
        .bind(status)
        .bind(died_at)
        .bind(next)
        .bind(died_at)
        .bind(death.map(|death| death.reason))
        .bind(status)
        .bind(taken.mail.id.as_uuid())
        .bind(taken.attempt)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    #[instrument(name = "db.mails.forget_links", skip_all)]
    async fn forget_links(&self, now: DateTime<Utc>, limit: u32) -> Result<u64, NotifyError> {
        // Found by the key `mails_due`, and moved out of the way for good, or every sweep would read again
        // what is done. Where a version before gave a message up, `next_attempt_at` is the end of its lease.
        let done = sqlx::query(
            "UPDATE mails SET sealed = '', next_attempt_at = '9999-12-31 00:00:00' \
             WHERE status = 'DEAD' AND next_attempt_at <= ? AND expires_at <= ? LIMIT ?",
        )
        .bind(now.naive_utc())
        .bind(now.naive_utc())
        .bind(limit)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }

    #[instrument(name = "db.mails.forget", skip_all)]
    async fn forget_mails(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, NotifyError> {
        let done = sqlx::query("DELETE FROM mails WHERE created_at < ? LIMIT ?")
            .bind(before.naive_utc())
            .bind(limit)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected())
    }
}
