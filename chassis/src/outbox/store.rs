//! The outbox table: what the relay and the services read and write in it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::mysql::{MySql, MySqlConnection};
use sqlx::{FromRow, QueryBuilder};

use crate::db::{self, DbError};
use crate::messaging::{Envelope, OutboundMessage};

/// An event that waits.
#[derive(Debug, FromRow)]
pub(super) struct Row {
    id: u64,
    event_id: String,
    routing_key: String,
    payload: String,
}

/// How much waits, and how long the oldest has.
#[derive(Debug, Clone, Copy, FromRow, PartialEq)]
pub(super) struct Backlog {
    pub(super) pending: f64,
    pub(super) oldest_age_s: f64,
}

impl Row {
    /// Splits the row into its key, and the message with the time of what it tells; time and trace
    /// context come out of the envelope, where the transaction left them.
    pub(super) fn split(self) -> (u64, (OutboundMessage, Option<DateTime<Utc>>)) {
        let envelope = Envelope::from_json(self.payload.as_bytes()).ok();
        let occurred = envelope.as_ref().map(|envelope| envelope.time);
        let message = OutboundMessage {
            id: self.event_id,
            routing_key: self.routing_key,
            payload: self.payload,
            traceparent: envelope.and_then(|envelope| envelope.traceparent),
        };
        (self.id, (message, occurred))
    }
}

/// Appends events. The time is the database's, because the age is measured there too.
pub(super) async fn append(
    connection: &mut MySqlConnection,
    events: &[Envelope],
) -> Result<(), DbError> {
    let messages = events
        .iter()
        .map(Envelope::to_message)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    for chunk in db::chunks(&messages) {
        let mut insert = QueryBuilder::<MySql>::new(
            "INSERT INTO outbox (event_id, routing_key, payload, created_at) ",
        );
        insert.push_values(chunk, |mut row, message| {
            row.push_bind(&message.id)
                .push_bind(&message.routing_key)
                .push_bind(&message.payload)
                .push("UTC_TIMESTAMP(6)");
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Reads the oldest `limit` events whose routing key is not in `without`.
pub(super) async fn oldest(
    connection: &mut MySqlConnection,
    limit: u32,
    without: &BTreeSet<String>,
) -> Result<Vec<Row>, sqlx::Error> {
    let mut select =
        QueryBuilder::<MySql>::new("SELECT id, event_id, routing_key, payload FROM outbox ");
    if !without.is_empty() {
        select.push("WHERE routing_key NOT IN (");
        let mut list = select.separated(", ");
        for key in without {
            list.push_bind(key);
        }
        select.push(") ");
    }
    select.push("ORDER BY id LIMIT ").push_bind(limit);
    select.build_query_as().fetch_all(connection).await
}

/// Deletes the events whose publication was confirmed.
pub(super) async fn delete(
    connection: &mut MySqlConnection,
    ids: &[u64],
) -> Result<(), sqlx::Error> {
    for chunk in db::chunks(ids) {
        let mut delete = QueryBuilder::<MySql>::new("DELETE FROM outbox WHERE id IN (");
        let mut list = delete.separated(", ");
        for id in chunk {
            list.push_bind(*id);
        }
        delete.push(")");
        delete.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Measures the backlog; counts no further than is worth knowing.
pub(super) async fn backlog(connection: &mut MySqlConnection) -> Result<Backlog, sqlx::Error> {
    sqlx::query_as(
        "SELECT CAST((SELECT COUNT(*) FROM (SELECT id FROM outbox LIMIT 100000) AS waiting) \
                AS DOUBLE) AS pending, \
                CAST(COALESCE((SELECT TIMESTAMPDIFF(MICROSECOND, created_at, UTC_TIMESTAMP(6)) \
                FROM outbox ORDER BY id LIMIT 1), 0) AS DOUBLE) / 1000000 AS oldest_age_s",
    )
    .fetch_one(connection)
    .await
}

/// Lets the server end the session when nothing came for `idle_s` seconds.
pub(super) async fn limit_idle(
    connection: &mut MySqlConnection,
    idle_s: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query("SET SESSION wait_timeout = ?").bind(idle_s).execute(connection).await.map(|_| ())
}

/// Asks for the right to publish out of this schema; it lasts as long as the session.
///
/// Named locks are server-wide, hence the schema in the name, hashed because names are limited to
/// 64 characters. MySQL 9 has no MD5 any more.
pub(super) async fn try_elect(connection: &mut MySqlConnection) -> Result<bool, sqlx::Error> {
    let locked: Option<bool> = sqlx::query_scalar(
        "SELECT GET_LOCK(CONCAT('eh_outbox:', LEFT(SHA2(DATABASE(), 256), 40)), 0)",
    )
    .fetch_one(connection)
    .await?;
    Ok(locked == Some(true))
}
