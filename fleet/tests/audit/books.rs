//! The stored state of a fleet that never ran: the services' own schemas, filled by SQL.
//!
//! Every tenth order has the same life, so that any number of them is a fleet's ordinary mix: six
//! are paid, one is declined, one cancelled after a decline, one refunded, one still undecided.

use std::time::Duration;

use anyhow::{Context, Result};
use fleet::audit::{self, Report, Sources};
use fleet::layout::Layout;
use fleet::schema::{self, Existing, Schema};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

/// Schemas of a fleet without a fleet.
pub(crate) struct Books {
    admin: String,
    prefix: String,
    schemas: Vec<Schema>,
    connection: MySqlConnection,
}

impl Books {
    /// Empty schemas.
    pub(crate) async fn create() -> Result<Self> {
        let admin =
            fleet::environment::find("EH_TEST_MYSQL_URL").context("cargo ehub test sets it")?;
        let prefix = format!("t{:08x}_", rand::random::<u32>());
        let owned = schema::of_services(|name| Schema::private(&prefix, name));
        schema::create(&admin, owned.iter().map(|(_, schema)| schema), Existing::Reset).await?;
        let layout = Layout::discover()?;
        for (service, schema) in &owned {
            let mut own = MySqlConnection::connect(&schema.url(&admin)?).await?;
            for sql in migrations(&layout.root().join(service.name).join("migrations"))? {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut own).await?;
            }
            own.close().await?;
        }
        let connection = MySqlConnection::connect(&admin).await?;
        let schemas = owned.into_iter().map(|(_, schema)| schema).collect();
        Ok(Self { admin, prefix: format!("{prefix}hub_"), schemas, connection })
    }

    /// Books of so many orders.
    pub(crate) async fn filled(orders: u32) -> Result<Self> {
        let mut books = Self::create().await?;
        books.fill(orders).await?;
        Ok(books)
    }

    /// Replaces whatever the books hold.
    pub(crate) async fn fill(&mut self, orders: u32) -> Result<()> {
        self.run(EMPTY).await?;
        let sql = FILL.replace("{orders}", &orders.to_string());
        self.run(&with_texts(&sql)).await
    }

    /// Runs statements; `{o}`, `{p}`, `{n}`, `{a}`, `{u}` are the schemas.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<()> {
        let sql = self.expand(sql);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await?;
        Ok(())
    }

    /// Rows of a statement.
    pub(crate) async fn rows<R>(&mut self, sql: &str) -> Result<Vec<R>>
    where
        R: for<'r> sqlx::FromRow<'r, sqlx::mysql::MySqlRow> + Send + Unpin,
    {
        let sql = self.expand(sql);
        Ok(sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await?)
    }

    /// Where the auditor finds them; it excuses nothing as under way.
    pub(crate) fn sources(&self) -> Sources {
        Sources { grace: Duration::ZERO, ..Sources::of(&self.admin, &self.prefix) }
    }

    /// What the auditor says of them.
    pub(crate) async fn audit(&self) -> Result<Report> {
        audit::run(&self.sources()).await
    }

    /// Removes them.
    pub(crate) async fn remove(self) -> Result<()> {
        self.connection.close().await?;
        schema::remove(&self.admin, &self.schemas).await
    }

    /// Address of a schema under its own account.
    pub(crate) fn url(&self, schema: &str) -> Result<String> {
        let name = self.name(schema);
        let found = self.schemas.iter().find(|known| known.name == name);
        found.context("no such schema")?.url(&self.admin)
    }

    /// The name of a schema, which is also that of its account.
    pub(crate) fn name(&self, schema: &str) -> String {
        format!("{}{schema}", self.prefix)
    }

    fn expand(&self, sql: &str) -> String {
        let names = ["order", "payment", "notify", "auth", "user"];
        names.iter().fold(sql.to_owned(), |sql, name| {
            sql.replace(&format!("{{{}}}", &name[..1]), &format!("`{}`", self.name(name)))
        })
    }
}

/// `{uuid:COLUMN}` is an id as text.
fn with_texts(sql: &str) -> String {
    let mut pieces = sql.split("{uuid:");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for (column, rest) in pieces.filter_map(|piece| piece.split_once('}')) {
        let dashed = [9, 14, 19, 24]
            .iter()
            .fold(format!("HEX({column})"), |hex, at| format!("INSERT({hex},{at},0,'-')"));
        text.extend(["LOWER(", &dashed, ")", rest]);
    }
    text
}

fn migrations(folder: &std::path::Path) -> Result<Vec<String>> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    files.iter().map(|file| Ok(std::fs::read_to_string(file)?)).collect()
}

/// The id of the n-th order, payment, user, ... as text; see `id` in the statements below.
pub(crate) fn id(kind: u8, number: u32) -> String {
    let hex = format!("{kind:02x}{number:030x}");
    uuid::Uuid::parse_str(&hex).map(|id| id.to_string()).unwrap_or_default()
}

/// An id as SQL takes it, between `x'` and `'`.
pub(crate) fn hex(id: &str) -> String {
    id.replace('-', "")
}

pub(crate) const ORDER: u8 = 1;
pub(crate) const USER: u8 = 3;

const EMPTY: &str = "
DELETE FROM {o}.orders; DELETE FROM {o}.order_items; DELETE FROM {o}.order_history;
DELETE FROM {o}.payment_attempts; DELETE FROM {o}.refunds; DELETE FROM {o}.idempotency_claims;
DELETE FROM {o}.outbox; DELETE FROM {o}.inbox; DELETE FROM {o}.products;
DELETE FROM {p}.payments; DELETE FROM {p}.payment_history; DELETE FROM {p}.refunds;
DELETE FROM {p}.ledger_entries; DELETE FROM {p}.provider_charges; DELETE FROM {p}.outbox;
DELETE FROM {n}.notifications; DELETE FROM {n}.recipients; DELETE FROM {n}.muted;
DELETE FROM {n}.muted_notices; DELETE FROM {n}.dead_letters; DELETE FROM {a}.refresh_tokens; DELETE FROM {a}.sessions;
DELETE FROM {u}.user_roles; DELETE FROM {u}.users; DELETE FROM {a}.signing_keys;
DELETE FROM {u}.audit_log; DELETE FROM {a}.audit_log; DELETE FROM {o}.audit_log;
DELETE FROM {p}.audit_log; DELETE FROM {n}.audit_log;
DROP TABLE IF EXISTS {o}.numbers; DROP TABLE IF EXISTS {o}.lives";

const FILL: &str = include_str!("books.sql");
