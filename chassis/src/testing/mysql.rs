//! Throw-away MySQL schemas for tests.

#![expect(clippy::panic, reason = "a test without its middleware cannot go on")]

use sqlx::migrate::Migrator;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection};

use crate::config::{DatabaseConfig, Secret};
use crate::db::{self, Pool};
use crate::id::new_id;

/// The variable that holds an administrator's URL without a schema.
const ADMIN_URL: &str = "EH_TEST_MYSQL_URL";

/// A fresh schema with a random name, on the server that `EH_TEST_MYSQL_URL` points to.
///
/// Ends with [`finish`](Self::finish); a test that fails leaves its schema behind for a look.
#[derive(Debug)]
pub struct TestDatabase {
    admin_url: String,
    schema: String,
    config: DatabaseConfig,
    pool: Pool,
}

impl TestDatabase {
    /// Creates the schema and applies `migrations`.
    ///
    /// # Panics
    ///
    /// When the variable is not set or the server does not do it.
    pub async fn create(migrations: &'static Migrator) -> Self {
        let database = Self::empty().await;
        db::connect_and_migrate(&database.config, migrations)
            .await
            .unwrap_or_else(|error| panic!("cannot migrate {}: {error:?}", database.schema));
        database
    }

    /// Creates the schema and leaves it empty.
    ///
    /// # Panics
    ///
    /// When the variable is not set or the server does not do it.
    pub async fn empty() -> Self {
        let admin_url = super::variable(ADMIN_URL);
        let schema = format!("eh_test_{}", new_id().simple());
        let create = format!("CREATE DATABASE {schema} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
        administer(&admin_url, create).await;
        let url = Secret::new(format!("{}/{schema}", admin_url.trim_end_matches('/')));
        let config = DatabaseConfig {
            url,
            // A busy machine is no fault of the code under test.
            acquire_timeout_ms: 5_000,
            ..DatabaseConfig::default()
        };
        let pool = db::connect(&config).unwrap_or_else(|error| panic!("{ADMIN_URL}: {error}"));
        Self { admin_url, schema, config, pool }
    }

    /// The pool of the schema.
    pub fn pool(&self) -> Pool {
        self.pool.clone()
    }

    /// The URL of the schema.
    pub fn url(&self) -> &str {
        self.config.url.expose()
    }

    /// The configuration by which a service would use the schema.
    pub fn config(&self) -> DatabaseConfig {
        self.config.clone()
    }

    /// Drops the schema after a check that its ids and names are compared by their bytes: two
    /// that differ in case only are two.
    ///
    /// # Panics
    ///
    /// When a column is compared otherwise, or the server does not do it.
    pub async fn finish(self) {
        let blind = self.columns_blind_to_case().await;
        assert!(blind.is_empty(), "compared without regard to case: {blind:?}");
        self.pool.close().await;
        administer(&self.admin_url, format!("DROP DATABASE {}", self.schema)).await;
    }

    /// Over a connection of its own: a test may have closed the pool.
    async fn columns_blind_to_case(&self) -> Vec<String> {
        let look = async {
            let mut connection = MySqlConnection::connect(self.url()).await?;
            sqlx::query_scalar(
                "SELECT CONCAT(table_name, '.', column_name) FROM information_schema.columns \
                 WHERE table_schema = DATABASE() \
                 AND character_set_name = 'ascii' AND collation_name <> 'ascii_bin'",
            )
            .fetch_all(&mut connection)
            .await
        };
        look.await.unwrap_or_else(|error| panic!("cannot read the schema: {error}"))
    }

    /// Drops the schema after a check that every event in its outbox was published.
    ///
    /// # Panics
    ///
    /// When events are left, or the server does not do it.
    pub async fn finish_published(self) {
        let left: Vec<String> = sqlx::query_scalar("SELECT event_id FROM outbox ORDER BY id")
            .fetch_all(&self.pool)
            .await
            .unwrap_or_else(|error| panic!("cannot read the outbox: {error}"));
        assert!(left.is_empty(), "events were not published: {left:?}");
        self.finish().await;
    }
}

/// Runs a statement that only holds names made here.
async fn administer(admin_url: &str, statement: String) {
    let mut connection = MySqlConnection::connect(admin_url)
        .await
        .unwrap_or_else(|error| panic!("{ADMIN_URL}: {error}"));
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .unwrap_or_else(|error| panic!("{ADMIN_URL}: {error}"));
}
