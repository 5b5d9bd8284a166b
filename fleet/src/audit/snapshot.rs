//! One consistent look at all schemas of a fleet, and the language in which checks are written.
//!
//! Checks are SQL with a few placeholders: `{order}`, `{payment}`, `{notify}`, `{auth}`, `{user}`
//! are schemas; `{uuid:COLUMN}` is a binary identity as text; `{old:COLUMN}` is true when a time is
//! older than the grace that what is under way gets.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use super::seals::Keys;
use super::{Invariant, Report, SHOWN, Sources};
use crate::services::Service;
use crate::{address, schema};

/// A question whose answers are violations: SQL that yields a subject and a detail per violation.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Name, unique among all checks.
    pub name: &'static str,
    /// The invariant it speaks for.
    pub invariant: Invariant,
    /// The question.
    pub sql: &'static str,
}

impl Check {
    /// Declares a check of invariant `I{number}`.
    pub const fn new(number: u8, name: &'static str, sql: &'static str) -> Self {
        Self { name, invariant: Invariant::new(number), sql }
    }
}

/// A read-only transaction in which nothing moves.
///
/// All schemas lie on one server, so one snapshot spans them: what two services wrote is compared
/// as of the same moment.
#[derive(Debug)]
pub struct Snapshot {
    connection: MySqlConnection,
    language: Language,
    supply: BTreeMap<String, u64>,
    audit: (Keys, Option<DateTime<Utc>>),
}

impl Snapshot {
    /// Connects and freezes the view.
    pub(super) async fn open(sources: &Sources) -> Result<Self> {
        let mut snapshot = Self::connect(sources).await?;
        let freeze = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
                      START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
        sqlx::raw_sql(freeze).execute(&mut snapshot.connection).await?;
        Ok(snapshot)
    }

    /// Connects without freezing: every question sees the present.
    pub(super) async fn connect(sources: &Sources) -> Result<Self> {
        address::parse(&sources.mysql, &["mysql", "mariadb"])?;
        let connected = MySqlConnection::connect(&sources.mysql).await;
        let mut connection = connected
            .with_context(|| format!("no connection to {}", address::redact(&sources.mysql)))?;
        let language = Language::new(sources)?;
        for name in language.schemas() {
            let known: Option<String> = sqlx::query_scalar(
                "SELECT CONVERT(SCHEMA_NAME USING utf8mb4) FROM information_schema.SCHEMATA \
                 WHERE SCHEMA_NAME = ?",
            )
            .bind(name)
            .fetch_optional(&mut connection)
            .await?;
            if known.is_none() {
                bail!("there is no schema {name}, or the account may not see it");
            }
        }
        let audit = (sources.audit_keys.clone(), sources.audit_since);
        Ok(Self { connection, language, supply: sources.stock.clone(), audit })
    }

    /// Ends the look.
    pub(super) async fn close(self) -> Result<()> {
        Ok(self.connection.close().await?)
    }

    /// Asks a check and adds what it finds.
    pub(super) async fn ask(&mut self, check: &Check, report: &mut Report) -> Result<()> {
        self.ask_dynamic((check.invariant, check.name), check.sql, report).await
    }

    /// Asks a question that was put together for a check.
    pub(super) async fn ask_dynamic(
        &mut self,
        (invariant, name): (Invariant, &'static str),
        question: &str,
        report: &mut Report,
    ) -> Result<()> {
        report.checked(invariant, name);
        let start = Instant::now();
        // The window counts all of them, however few are shown.
        let sql = format!(
            "SELECT CONVERT(v.subject USING utf8mb4), CONVERT(v.detail USING utf8mb4), \
             COUNT(*) OVER () FROM ({question}) v LIMIT {SHOWN}"
        );
        let rows: Vec<(String, String, i64)> =
            self.rows(&sql).await.with_context(|| format!("check {name} failed"))?;
        let total = rows.first().map_or(0, |(_, _, total)| u64::try_from(*total).unwrap_or(0));
        for (subject, detail, _) in rows {
            report.add((invariant, name), subject, detail);
        }
        if total > 0 {
            report.totals.insert(name, total);
        }
        report.timings.push((name, start.elapsed()));
        Ok(())
    }

    /// Pieces of each product that were put on sale, as far as told.
    pub(super) fn supply(&self) -> &BTreeMap<String, u64> {
        &self.supply
    }

    /// What the rows of the audit log are sealed with, as far as told.
    pub(super) fn audit_keys(&self) -> &Keys {
        &self.audit.0
    }

    /// From when on a change must have its row in the audit log, if that was told.
    pub(super) fn audit_since(&self) -> Option<DateTime<Utc>> {
        self.audit.1
    }

    /// Looks at each row of a question, without holding all of them; returns how many there are.
    pub(super) async fn each<R>(&mut self, sql: &str, mut look: impl FnMut(R)) -> Result<u64>
    where
        R: for<'r> sqlx::FromRow<'r, sqlx::mysql::MySqlRow> + Send + Unpin,
    {
        let sql = self.language.expand(sql)?;
        let mut rows = sqlx::query_as(AssertSqlSafe(sql)).fetch(&mut self.connection);
        let mut count = 0;
        while let Some(row) = rows.try_next().await? {
            look(row);
            count += 1;
        }
        Ok(count)
    }

    /// Runs a question and returns its rows.
    pub(super) async fn rows<R>(&mut self, sql: &str) -> Result<Vec<R>>
    where
        R: for<'r> sqlx::FromRow<'r, sqlx::mysql::MySqlRow> + Send + Unpin,
    {
        let sql = self.language.expand(sql)?;
        Ok(sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await?)
    }

    /// Runs a question whose answer is one number.
    pub(super) async fn count(&mut self, sql: &str) -> Result<u64> {
        let rows: Vec<(i64,)> = self.rows(sql).await?;
        Ok(rows.first().map_or(0, |(count,)| u64::try_from(*count).unwrap_or(0)))
    }

    /// The names of the schemas, which are also those of their accounts.
    pub(super) fn schemas(&self) -> Vec<String> {
        self.language.schemas().map(str::to_owned).collect()
    }

    /// Whether a table has a column: schemas of an earlier version lack some.
    pub(super) async fn has_column(
        &mut self,
        schema: &str,
        table: &str,
        column: &str,
    ) -> Result<bool> {
        let schema = self.language.schema(schema)?;
        let sql = format!(
            "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '{schema}' \
             AND TABLE_NAME = '{table}' AND COLUMN_NAME = '{column}'"
        );
        Ok(self.count(&sql).await? > 0)
    }
}

/// Translates the placeholders.
#[derive(Clone, Debug)]
struct Language {
    schemas: Vec<(String, String)>,
    grace_us: u128,
}

impl Language {
    fn new(sources: &Sources) -> Result<Self> {
        let names = Service::ALL.iter().filter_map(|service| service.schema);
        let schemas = names.map(|name| {
            let key = name.trim_start_matches("hub_").to_owned();
            let name = format!("{}{key}", sources.prefix);
            schema::ensure_plain(&name).map(|()| (key, name))
        });
        Ok(Self { schemas: schemas.collect::<Result<_>>()?, grace_us: sources.grace.as_micros() })
    }

    fn schemas(&self) -> impl Iterator<Item = &str> {
        self.schemas.iter().map(|(_, name)| name.as_str())
    }

    fn schema(&self, key: &str) -> Result<&str> {
        let found = self.schemas.iter().find(|(known, _)| known == key);
        Ok(&found.with_context(|| format!("no schema {key}"))?.1)
    }

    fn expand(&self, sql: &str) -> Result<String> {
        let mut text = String::with_capacity(sql.len() * 2);
        let mut rest = sql;
        while let Some((before, tail)) = rest.split_once('{') {
            let (placeholder, after) = tail.split_once('}').context("an open placeholder")?;
            text.push_str(before);
            text.push_str(&self.translate(placeholder)?);
            rest = after;
        }
        text.push_str(rest);
        Ok(text)
    }

    fn translate(&self, placeholder: &str) -> Result<String> {
        Ok(match placeholder.split_once(':') {
            // BIN_TO_UUID is MySQL's alone.
            Some(("uuid", column)) => format!(
                "LOWER(INSERT(INSERT(INSERT(INSERT(HEX({column}),9,0,'-'),14,0,'-'),19,0,'-'),\
                 24,0,'-'))"
            ),
            Some(("old", column)) => {
                format!("({column} <= UTC_TIMESTAMP(6) - INTERVAL {} MICROSECOND)", self.grace_us)
            }
            Some(_) => bail!("unknown placeholder {placeholder}"),
            None => format!("`{}`", self.schema(placeholder)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn language() -> Language {
        let mut sources = Sources::of("mysql://root@127.0.0.1", "t1_hub_");
        sources.grace = Duration::from_millis(1_500);
        Language::new(&sources).unwrap()
    }

    #[test]
    fn placeholders_become_names_identities_and_times() {
        let sql = language().expand("SELECT {uuid:o.id} FROM {order}.orders o WHERE {old:o.at}");
        let sql = sql.unwrap();
        assert!(sql.contains("FROM `t1_hub_order`.orders o"), "{sql}");
        assert!(sql.contains("HEX(o.id)"), "{sql}");
        assert!(sql.contains("o.at <= UTC_TIMESTAMP(6) - INTERVAL 1500000 MICROSECOND"), "{sql}");
    }

    #[test]
    fn what_is_no_placeholder_is_refused() {
        for sql in ["{orders}", "{nothing:x}", "{order"] {
            assert!(language().expand(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn a_prefix_cannot_leave_its_quotes() {
        assert!(Language::new(&Sources::of("mysql://root@127.0.0.1", "x`.y")).is_err());
    }
}
