//! Inbox: remembers which events a consumer has already applied.
//!
//! The row is written in the transaction of the event's effect, so both exist or neither does.
//! Rows are kept as long as the broker might repeat an event, then [`purge`]d.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::QueryBuilder;
use sqlx::mysql::{MySql, MySqlConnection};

use crate::db::{self, DbError, Pool};
use crate::mutant;

/// Records that `consumer` applies the events `event_ids`, and answers for each, in order, whether
/// this is the first time. Of repetitions within `event_ids` only the first is.
///
/// Normally one insert for the whole batch. If another delivery of the same event commits at the
/// same moment the answer is [`DbError::Conflict`], upon which [`db::transaction`] starts over.
pub async fn record(
    connection: &mut MySqlConnection,
    consumer: &str,
    event_ids: &[&str],
    now: DateTime<Utc>,
) -> Result<Vec<bool>, DbError> {
    if mutant!("inbox_ignored") {
        return Ok(vec![true; event_ids.len()]);
    }
    let mut seen = HashSet::with_capacity(event_ids.len());
    let mut firsts: Vec<bool> = event_ids.iter().map(|id| seen.insert(*id)).collect();
    let distinct = selected(event_ids, &firsts);
    let mut applied = HashSet::new();
    for chunk in db::chunks(&distinct) {
        match insert(connection, consumer, chunk, now).await {
            Ok(()) => {}
            // A failed insert leaves none of its rows behind, and the transaction goes on.
            Err(error) if db::violated_key(&error).is_some() => {
                let known = insert_unknown(connection, consumer, chunk, now).await?;
                applied.extend(known);
            }
            Err(error) => return Err(error.into()),
        }
    }
    for (first, id) in firsts.iter_mut().zip(event_ids) {
        *first = *first && !applied.contains(*id);
    }
    Ok(firsts)
}

/// Forgets up to `limit` events that were received before `before`; returns how many.
///
/// To be called by a service's housekeeping until it returns less than `limit`. An event that
/// comes again afterwards would be applied again, so `before` lies further back than the longest
/// time that a broker or a dead letter queue may hold an event.
pub async fn purge(pool: &Pool, before: DateTime<Utc>, limit: u32) -> Result<u64, DbError> {
    let done = sqlx::query("DELETE FROM inbox WHERE received_at < ? ORDER BY received_at LIMIT ?")
        .bind(before.naive_utc())
        .bind(limit)
        .execute(pool)
        .await?;
    Ok(done.rows_affected())
}

/// Inserts those of `ids` that are not there yet, and returns the others.
async fn insert_unknown(
    connection: &mut MySqlConnection,
    consumer: &str,
    ids: &[&str],
    now: DateTime<Utc>,
) -> Result<Vec<String>, DbError> {
    let known = find(connection, consumer, ids).await?;
    let unknown: Vec<&str> =
        ids.iter().copied().filter(|id| !known.iter().any(|known| known == id)).collect();
    for chunk in db::chunks(&unknown) {
        insert(connection, consumer, chunk, now).await.map_err(lost_race)?;
    }
    Ok(known)
}

async fn insert(
    connection: &mut MySqlConnection,
    consumer: &str,
    ids: &[&str],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let mut insert =
        QueryBuilder::<MySql>::new("INSERT INTO inbox (consumer, event_id, received_at) ");
    insert.push_values(ids, |mut row, id| {
        row.push_bind(consumer).push_bind(*id).push_bind(now.naive_utc());
    });
    insert.build().execute(connection).await?;
    Ok(())
}

async fn find(
    connection: &mut MySqlConnection,
    consumer: &str,
    ids: &[&str],
) -> Result<Vec<String>, sqlx::Error> {
    let mut select = QueryBuilder::<MySql>::new("SELECT event_id FROM inbox WHERE consumer = ");
    select.push_bind(consumer).push(" AND event_id IN (");
    let mut list = select.separated(", ");
    for id in ids {
        list.push_bind(*id);
    }
    select.push(")");
    select.build_query_scalar().fetch_all(connection).await
}

/// Somebody else recorded the event between our look and our insert.
fn lost_race(error: sqlx::Error) -> DbError {
    if db::violated_key(&error).is_some() { DbError::Conflict(error) } else { error.into() }
}

fn selected<'i>(ids: &[&'i str], choice: &[bool]) -> Vec<&'i str> {
    ids.iter().zip(choice).filter(|(_, chosen)| **chosen).map(|(id, _)| *id).collect()
}
