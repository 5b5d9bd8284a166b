//! Waiting for the database and bringing its schema up to date.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Connection};

use super::error::is_unavailable;
use super::pool::{Pool, connect, connect_options};
use crate::backoff::Backoff;
use crate::config::DatabaseConfig;

/// How long an instance waits for another one that migrates the same schema.
const LOCK_WAIT_S: u32 = 600;

/// Bounds of the pause between two tries to reach the database.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The URL is wrong, or the account may not do this.
    #[error("cannot use the database {database}")]
    Refused {
        /// Host, port and schema.
        database: String,
        /// What the server or the driver said.
        source: sqlx::Error,
    },
    /// A migration failed, or differs from the one that ran.
    #[error("cannot migrate the database {database}")]
    Failed {
        /// Host, port and schema.
        database: String,
        /// What is wrong with the migration.
        source: MigrateError,
    },
}

/// Waits until the database answers, applies `migrations`, and opens the pool.
///
/// Any number of instances may start at once: one migrates, the others wait for it and find the
/// work done. Migrations of a newer version in the schema are accepted, so that the previous
/// version goes on working during a rollout. A migration that an earlier start began and did not
/// finish runs again.
pub async fn connect_and_migrate(
    config: &DatabaseConfig,
    migrations: &'static Migrator,
) -> Result<Pool, MigrationError> {
    let options = connect_options(config)
        .map_err(|source| MigrationError::Refused { database: "address".to_owned(), source })?;
    let database = describe(&options);
    let connect_timeout = config.acquire_timeout().max(PAUSES.1);
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    loop {
        let step = match tokio::time::timeout(connect_timeout, options.connect()).await {
            Ok(Ok(connection)) => migrate(connection, migrations).await,
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(sqlx::Error::PoolTimedOut.into()),
        };
        match step {
            Ok(()) => break,
            Err(error) if is_transient(&error) => {
                tracing::warn!(db.address = %database, %error, "waiting for the database");
                backoff.pause().await;
            }
            Err(MigrateError::Execute(source)) => {
                return Err(MigrationError::Refused { database, source });
            }
            Err(source) => return Err(MigrationError::Failed { database, source }),
        }
    }
    connect(config).map_err(|source| MigrationError::Refused { database, source })
}

/// Applies the migrations under a lock of our own.
///
/// The migrator's own lock asks for an unlimited wait by a negative timeout, which MariaDB refuses
/// with NULL and which nobody checks. The connection is not one of the pool's, because theirs end
/// statements after seconds and a migration may take minutes.
async fn migrate(
    mut connection: MySqlConnection,
    migrations: &'static Migrator,
) -> Result<(), MigrateError> {
    let locked: Option<bool> = sqlx::query_scalar(
        "SELECT GET_LOCK(CONCAT('eh_migrate:', LEFT(SHA2(DATABASE(), 256), 40)), ?)",
    )
    .bind(LOCK_WAIT_S)
    .fetch_one(&mut connection)
    .await?;
    if locked != Some(true) {
        return Err(sqlx::Error::PoolTimedOut.into());
    }
    let mut migrator = Migrator::with_migrations(migrations.iter().cloned().collect());
    migrator.set_locking(false).set_ignore_missing(true);
    let mut outcome = migrator.run_direct(None, &mut connection, false).await;
    if let Err(MigrateError::Dirty(version)) = outcome {
        forget(&mut connection, version).await?;
        outcome = migrator.run_direct(None, &mut connection, false).await;
    }
    outcome?;
    // The lock ends with the session.
    connection.close().await?;
    Ok(())
}

/// Forgets that a migration was begun: a process was ended in the middle of it, or it failed.
///
/// Nobody is at it any more, because the lock is ours. It runs again from its beginning, which is
/// why migrations are written so that they can: `CREATE TABLE IF NOT EXISTS`.
async fn forget(connection: &mut MySqlConnection, version: i64) -> Result<(), MigrateError> {
    tracing::warn!(
        db.migration = version,
        "migration was begun and not finished, running it again"
    );
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = ? AND NOT success")
        .bind(version)
        .execute(connection)
        .await?;
    Ok(())
}

/// Says whether waiting helps. A connection may also be lost inside a migration.
fn is_transient(error: &MigrateError) -> bool {
    match error {
        MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => {
            is_unavailable(cause)
        }
        _ => false,
    }
}

/// Names the database without its credentials.
fn describe(options: &MySqlConnectOptions) -> String {
    let schema = options.get_database().unwrap_or("");
    format!("{}:{}/{schema}", options.get_host(), options.get_port())
}
