//! Bringing a schema up to date while others do the same.

use chassis::config::{DatabaseConfig, Secret};
use chassis::db::{self, MigrationError};
use chassis::testing::mysql::TestDatabase;
use sqlx::migrate::Migrator;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::proxy::{Mode, Proxy};
use crate::support::eventually;
use crate::transactions::MIGRATIONS;

async fn applied(database: &TestDatabase) -> i64 {
    sqlx::query_scalar("SELECT COUNT(*) FROM _sqlx_migrations WHERE success")
        .fetch_one(&database.pool())
        .await
        .unwrap()
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn instances_that_start_together_migrate_once() {
    let database = TestDatabase::empty().await;
    let starts = (0..4).map(|_| {
        let config = database.config();
        tokio::spawn(async move { db::connect_and_migrate(&config, &MIGRATIONS).await.map(|_| ()) })
    });
    for start in starts.collect::<Vec<_>>() {
        start.await.unwrap().unwrap();
    }
    assert_eq!(applied(&database).await, 4);
    database.finish().await;
}

/// The first of the migrations, as an earlier version of the service has them.
fn older(count: usize) -> &'static Migrator {
    let older = MIGRATIONS.iter().take(count).cloned().collect();
    Box::leak(Box::new(Migrator::with_migrations(older)))
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_previous_version_accepts_a_newer_schema() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    db::connect_and_migrate(&database.config(), older(2)).await.unwrap();
    assert_eq!(applied(&database).await, 4);
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_start_waits_for_the_database() {
    let database = TestDatabase::empty().await;
    let (proxy, url) = Proxy::before(database.url(), Mode::Break).await;
    let config = DatabaseConfig { url: Secret::new(url), ..database.config() };
    let start = tokio::spawn(async move { db::connect_and_migrate(&config, &MIGRATIONS).await });
    eventually("two tries to connect", || async { proxy.accepted() >= 2 }).await;
    proxy.set(Mode::Pass);
    start.await.unwrap().unwrap().ping().await.unwrap();
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_refused_account_is_not_waited_for() {
    let database = TestDatabase::empty().await;
    let (_, place) = database.url().rsplit_once('@').unwrap();
    for url in [format!("{}_absent", database.url()), format!("mysql://nobody:wrong@{place}")] {
        let config = DatabaseConfig { url: Secret::new(url), ..database.config() };
        let error = db::connect_and_migrate(&config, &MIGRATIONS).await.unwrap_err();
        assert!(matches!(error, MigrationError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains(place), "{error}");
    }
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_migration_that_was_ended_midway_runs_again() {
    let database = TestDatabase::create(older(2)).await;
    // What a process leaves that was killed behind its CREATE TABLE.
    sqlx::query("UPDATE _sqlx_migrations SET success = FALSE WHERE version = 2")
        .execute(&database.pool())
        .await
        .unwrap();
    db::connect_and_migrate(&database.config(), &MIGRATIONS).await.unwrap();
    assert_eq!(applied(&database).await, 4);
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_connection_that_is_lost_inside_a_migration_is_made_again() {
    let database = TestDatabase::create(older(3)).await;
    // Holds up the fourth one, which fills the table.
    let mut holder = MySqlConnection::connect(database.url()).await.unwrap();
    sqlx::raw_sql("LOCK TABLES accounts WRITE").execute(&mut holder).await.unwrap();
    let config = database.config();
    let start = tokio::spawn(async move { db::connect_and_migrate(&config, &MIGRATIONS).await });
    let pool = database.pool();
    eventually("the loss of the connection", || async {
        let migrating: Option<u64> = sqlx::query_scalar(
            "SELECT CAST(id AS UNSIGNED) FROM information_schema.processlist \
             WHERE db = DATABASE() AND id <> CONNECTION_ID() AND info LIKE '%INSERT INTO accounts%'",
        )
        .fetch_optional(&pool)
        .await
        .unwrap();
        let Some(id) = migrating else {
            return false;
        };
        sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}"))).execute(&pool).await.is_ok()
    })
    .await;
    sqlx::raw_sql("UNLOCK TABLES").execute(&mut holder).await.unwrap();
    start.await.unwrap().unwrap();
    assert_eq!(applied(&database).await, 4);
    database.finish().await;
}
