//! Writing the table `audit_log`.

use std::collections::HashMap;
use std::fmt;
use std::slice;
use std::sync::Arc;

use chrono::SubsecRound;
use http::HeaderValue;
use sqlx::QueryBuilder;
use sqlx::mysql::{MySql, MySqlConnection};
use uuid::Uuid;

use super::entry::{Actor, Entry};
use super::seal::{Seal, SealKey, Sealed};
use crate::clock::Clock;
use crate::config::AuditConfig;
use crate::db::{self, DbError};
use crate::grpc::context;
use crate::id::new_id;
use crate::telemetry::trace::current_trace_id;

/// Longest request id that is kept; longer ones, which the edge gives to nobody, are cut.
const REQUEST_ID_MAX: usize = 128;

/// Writes the audit log of a service.
#[derive(Clone)]
pub struct AuditLog {
    service: &'static str,
    key: SealKey,
    clock: Arc<dyn Clock>,
}

impl AuditLog {
    /// Writes for the service of that name.
    pub fn new(config: &AuditConfig, service: &'static str, clock: Arc<dyn Clock>) -> Self {
        Self { service, key: SealKey::new(&config.key), clock }
    }

    /// Appends an entry to the chain of its object; see [`Self::append_all`].
    pub async fn append(
        &self,
        connection: &mut MySqlConnection,
        entry: &Entry,
    ) -> Result<(), DbError> {
        self.append_all(connection, slice::from_ref(entry)).await
    }

    /// Appends entries, each to the chain of its object, as a part of the transaction of the changes
    /// and behind them: by then the transaction holds the lock of each object, so that whoever
    /// appends to the same chain comes before it or behind it. Rows of the log are locked by nobody
    /// but their writer, so they can be in no circle of waiting transactions.
    ///
    /// One statement for up to 64 entries, and one more if one of them is not its object's first. If
    /// another transaction appended to the same chain all the same, the answer is
    /// [`DbError::Conflict`], upon which [`db::transaction`] starts over.
    pub async fn append_all(
        &self,
        connection: &mut MySqlConnection,
        entries: &[Entry],
    ) -> Result<(), DbError> {
        let mut ends = ends(connection, entries).await?;
        let call = Call::current();
        let rows: Vec<_> = entries
            .iter()
            .map(|entry| {
                let row = self.row(&call, entry, ends.get(entry.object.as_str()));
                ends.insert(&entry.object, (row.seq, row.seal));
                row
            })
            .collect();
        for chunk in db::chunks(&rows) {
            match insert(connection, chunk).await {
                Err(error) if db::violated_key(&error).is_some() => {
                    return Err(DbError::Conflict(error));
                }
                other => other?,
            }
        }
        Ok(())
    }

    fn row<'e>(&self, call: &Call, entry: &'e Entry, end: Option<&End>) -> Row<'e> {
        let actor = entry.actor.clone().or_else(|| call.actor.clone());
        let actor = actor.unwrap_or_else(|| Actor::system(self.service));
        let mut row = Row {
            entry,
            id: new_id(),
            seq: end.map_or(1, |(seq, _)| seq + 1),
            service: self.service,
            actor: actor.to_string(),
            actor_id: actor.user_id(),
            request_id: call.request_id.clone(),
            trace_id: call.trace_id.clone(),
            // The column keeps microseconds; what is sealed has to be what is stored.
            occurred_at: self.clock.now().trunc_subsecs(6).naive_utc(),
            key_id: self.key.id().to_vec(),
            previous: end.map(|(_, seal)| *seal),
            seal: Seal::default(),
        };
        row.seal = self.key.seal(&row.sealed());
        row
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("service", &self.service).finish_non_exhaustive()
    }
}

/// What the call that is being served says of itself.
struct Call {
    actor: Option<Actor>,
    request_id: Option<String>,
    trace_id: Option<String>,
}

impl Call {
    fn current() -> Self {
        Self {
            actor: Actor::current(),
            request_id: context::current().request_id.as_ref().and_then(text),
            trace_id: current_trace_id(),
        }
    }
}

/// A header's text, cut to what the column holds; headers are ASCII where they are text.
fn text(value: &HeaderValue) -> Option<String> {
    Some(value.to_str().ok()?.chars().take(REQUEST_ID_MAX).collect())
}

/// A row of the log.
struct Row<'e> {
    entry: &'e Entry,
    id: Uuid,
    seq: u32,
    service: &'static str,
    actor: String,
    actor_id: Option<Uuid>,
    request_id: Option<String>,
    trace_id: Option<String>,
    occurred_at: chrono::NaiveDateTime,
    key_id: Vec<u8>,
    previous: Option<Seal>,
    seal: Seal,
}

impl Row<'_> {
    fn sealed(&self) -> Sealed<'_> {
        Sealed {
            previous: self.previous.as_ref(),
            id: self.id.as_bytes(),
            object: &self.entry.object,
            seq: self.seq,
            action: self.entry.action,
            service: self.service,
            actor: &self.actor,
            user_id: self.entry.user_id.as_ref().map(Uuid::as_bytes),
            before: self.entry.before.as_deref(),
            after: self.entry.after.as_deref(),
            request_id: self.request_id.as_deref(),
            trace_id: self.trace_id.as_deref(),
            occurred_at: self.occurred_at.and_utc().timestamp_micros(),
        }
    }
}

async fn insert(connection: &mut MySqlConnection, rows: &[Row<'_>]) -> Result<(), sqlx::Error> {
    let mut insert = QueryBuilder::<MySql>::new(
        "INSERT INTO audit_log (id, object, seq, action, service, actor, actor_id, user_id, \
         before_state, after_state, request_id, trace_id, occurred_at, key_id, prev_seal, seal) ",
    );
    insert.push_values(rows, |mut values, row| {
        values
            .push_bind(row.id)
            .push_bind(&row.entry.object)
            .push_bind(row.seq)
            .push_bind(row.entry.action)
            .push_bind(row.service)
            .push_bind(&row.actor)
            .push_bind(row.actor_id)
            .push_bind(row.entry.user_id)
            .push_bind(&row.entry.before)
            .push_bind(&row.entry.after)
            .push_bind(&row.request_id)
            .push_bind(&row.trace_id)
            .push_bind(row.occurred_at)
            .push_bind(&row.key_id)
            .push_bind(row.previous.as_ref().map(|seal| &seal[..]))
            .push_bind(&row.seal[..]);
    });
    insert.build().execute(connection).await?;
    Ok(())
}

/// Number and seal of the last row of a chain.
type End = (u32, Seal);

/// Where the chains end that the entries continue.
async fn ends<'e>(
    connection: &mut MySqlConnection,
    entries: &'e [Entry],
) -> Result<HashMap<&'e str, End>, DbError> {
    let known: Vec<&Entry> = entries.iter().filter(|entry| !entry.is_first).collect();
    let mut ends = HashMap::with_capacity(entries.len());
    for chunk in db::chunks(&known) {
        // One look-up in the index per chain, however long the chains are.
        let mut select = QueryBuilder::<MySql>::new("");
        let mut looks = select.separated(" UNION ALL ");
        for entry in chunk {
            looks.push(
                "(SELECT CONVERT(object USING utf8mb4) AS object, seq, seal FROM audit_log \
                 WHERE object = ",
            );
            looks.push_bind_unseparated(&entry.object);
            looks.push_unseparated(" ORDER BY seq DESC LIMIT 1)");
        }
        let rows: Vec<(String, u32, Vec<u8>)> =
            select.build_query_as().fetch_all(&mut *connection).await?;
        for (object, seq, seal) in rows {
            let seal = Seal::try_from(seal)
                .map_err(|_| sqlx::Error::Decode("a seal of another length".into()))?;
            if let Some(entry) = chunk.iter().find(|entry| entry.object == object) {
                ends.insert(entry.object.as_str(), (seq, seal));
            }
        }
    }
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::context::CallContext;

    fn log() -> AuditLog {
        crate::testing::audit::log("user-service")
    }

    #[test]
    fn a_row_continues_its_chain() {
        let (log, call) = (log(), Call::current());
        let entry = Entry::new("user.disabled", "user", 1);
        let first = log.row(&call, &entry, None);
        assert_eq!((first.seq, first.previous), (1, None));
        let second = log.row(&call, &entry, Some(&(first.seq, first.seal)));
        assert_eq!((second.seq, second.previous), (2, Some(first.seal)));
        assert_ne!(second.seal, first.seal);
        assert_eq!(second.seal, log.key.seal(&second.sealed()));
        assert_eq!(second.actor, "system:user-service", "nobody called");
    }

    #[tokio::test]
    async fn a_row_names_the_request_that_it_was_written_for() {
        let long = "r".repeat(500);
        let request_id = Some(HeaderValue::from_str(&long).unwrap());
        let context = CallContext { request_id, ..CallContext::default() };
        let call = context::scope(context, async { Call::current() }).await;
        assert_eq!(call.request_id.as_deref(), Some(&long[..REQUEST_ID_MAX]));
        assert_eq!(text(&HeaderValue::from_bytes(b"\xff").unwrap()), None);
    }

    #[test]
    fn a_log_does_not_print_its_key() {
        assert!(!format!("{:?}", log()).contains("development"));
    }
}
