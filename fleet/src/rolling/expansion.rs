//! Changes a table of each schema as a release does: expanded before the first process is replaced,
//! contracted after the last one.
//!
//! The statements are those that keep nobody off the table for as long as they run, on MySQL and on
//! MariaDB. What they do need is a moment alone with it. Whoever comes while they wait for that moment
//! waits behind them, so they soon give up and try again.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use sqlx::mysql::MySqlDatabaseError;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};
use tokio::time::sleep;

use crate::harness::Fleet;
use crate::random;

/// Of each schema the table that most of what its service does goes through.
const TABLES: [(&str, &str); 5] = [
    ("user-service", "users"),
    ("auth-service", "sessions"),
    ("order-service", "orders"),
    ("payment-service", "payments"),
    ("notify-service", "notifications"),
];
/// How long a statement waits until it has its table alone, in seconds; MySQL takes no less.
const LOCK_WAIT_S: u32 = 1;
/// How often a statement is tried.
const ATTEMPTS: u32 = 30;
/// Pause between two attempts, in which those who waited behind the first one have their turn.
const PAUSE: Duration = Duration::from_millis(200);
/// Numbers of the errors after which nothing has changed, and another attempt may succeed: a deadlock,
/// and a lock that was not had in time.
const IN_THE_WAY: [u16; 2] = [1213, 1205];

/// A column and an index over it, of the same name, in a table of each schema.
#[derive(Debug)]
pub(super) struct Expansion {
    name: String,
}

impl Expansion {
    /// One whose name nothing else has, also if an earlier one was left behind.
    pub(super) fn of_round(round: usize) -> Self {
        Self { name: format!("roll{round}_{}", random::token()) }
    }

    /// Adds them to every schema.
    pub(super) async fn expand(&self, fleet: &Fleet) -> Result<()> {
        for (service, table) in TABLES {
            let mut connection = connect(fleet, service).await?;
            for statement in self.additions(table) {
                alter(&mut connection, &statement).await?;
            }
            connection.close().await?;
        }
        Ok(())
    }

    /// Takes away what is there of them, from every schema that lets it.
    pub(super) async fn contract(&self, fleet: &Fleet) -> Result<()> {
        let mut outcome = Ok(());
        for (service, table) in TABLES {
            outcome = outcome.and(self.remove(fleet, service, table).await);
        }
        outcome
    }

    async fn remove(&self, fleet: &Fleet, service: &str, table: &str) -> Result<()> {
        let mut connection = connect(fleet, service).await?;
        for (question, statement) in self.removals(table) {
            let known = sqlx::query_scalar(question).bind(table).bind(self.name.as_str());
            let count: i64 = known.fetch_one(&mut connection).await?;
            if count > 0 {
                alter(&mut connection, &statement).await?;
            }
        }
        Ok(connection.close().await?)
    }

    fn additions(&self, table: &str) -> [String; 2] {
        let Self { name } = self;
        [
            // MySQL takes no LOCK beside INSTANT.
            format!("ALTER TABLE `{table}` ADD COLUMN `{name}` INT NULL, ALGORITHM=INSTANT"),
            format!(
                "ALTER TABLE `{table}` ADD INDEX `{name}` (`{name}`), ALGORITHM=INPLACE, LOCK=NONE"
            ),
        ]
    }

    /// What has to be taken away, after the question whether it is there. The index goes first, as the
    /// servers would otherwise do that themselves.
    fn removals(&self, table: &str) -> [(&'static str, String); 2] {
        let Self { name } = self;
        [
            (
                "SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() \
                 AND TABLE_NAME = ? AND INDEX_NAME = ?",
                format!("ALTER TABLE `{table}` DROP INDEX `{name}`, ALGORITHM=INPLACE, LOCK=NONE"),
            ),
            (
                "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() \
                 AND TABLE_NAME = ? AND COLUMN_NAME = ?",
                // Not INSTANT: MySQL before 8.0.29 cannot, and later ones bear a limited number of
                // instant changes until the table is built anew, which this does.
                format!("ALTER TABLE `{table}` DROP COLUMN `{name}`, ALGORITHM=INPLACE, LOCK=NONE"),
            ),
        ]
    }
}

async fn connect(fleet: &Fleet, service: &str) -> Result<MySqlConnection> {
    let mut connection = fleet.database_as_admin(service).await?;
    let patience = format!("SET SESSION lock_wait_timeout = {LOCK_WAIT_S}");
    sqlx::raw_sql(AssertSqlSafe(patience)).execute(&mut connection).await?;
    Ok(connection)
}

async fn alter(connection: &mut MySqlConnection, statement: &str) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let altered = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await;
        match altered {
            Err(error) if is_in_the_way(&error) => sleep(PAUSE).await,
            outcome => return outcome.map(|_| ()).with_context(|| statement.to_owned()),
        }
    }
    bail!("{statement}: others were in the way {ATTEMPTS} times")
}

fn is_in_the_way(error: &sqlx::Error) -> bool {
    let server = error.as_database_error();
    let known = server.and_then(|it| it.try_downcast_ref::<MySqlDatabaseError>());
    known.is_some_and(|it| IN_THE_WAY.contains(&it.number()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::Service;

    #[test]
    fn every_schema_has_its_table() {
        let with_schema = Service::ALL.iter().filter(|service| service.schema.is_some());
        assert!(with_schema.map(|service| service.name).eq(TABLES.map(|(service, _)| service)));
    }

    #[test]
    fn names_differ_and_fit_the_limit_of_names() {
        let [one, other] = [1, 1_000_000].map(|round| Expansion::of_round(round).name);
        assert_ne!(one, Expansion::of_round(1).name);
        assert!(one.starts_with("roll1_") && other.len() <= 64, "{other}");
    }

    #[test]
    fn no_statement_keeps_others_off_a_table() {
        let expansion = Expansion::of_round(1);
        let removals = expansion.removals("orders").map(|(_, statement)| statement);
        for statement in expansion.additions("orders").iter().chain(&removals) {
            let is_instant = statement.ends_with(", ALGORITHM=INSTANT");
            let is_online = statement.ends_with(", ALGORITHM=INPLACE, LOCK=NONE");
            assert!(is_instant || is_online, "{statement}");
            assert!(statement.starts_with("ALTER TABLE `orders` "), "{statement}");
        }
    }

    #[test]
    fn what_no_other_attempt_mends_is_not_tried_again() {
        assert!(!is_in_the_way(&sqlx::Error::PoolTimedOut));
    }
}
