//! Transactions and single statements: deadlocks, deadlines, silent servers, lost answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chassis::config::{DatabaseConfig, Secret};
use chassis::db::{self, DbError, Pool};
use chassis::error::Kind;
use chassis::grpc::context::{self, CallContext};
use chassis::testing::mysql::TestDatabase;
use sqlx::migrate::Migrator;
use sqlx::mysql::MySqlConnection;
use tokio::sync::{Barrier, Notify};

use crate::proxy::{Mode, Proxy};

pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("tests/migrations");

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

async fn balance(pool: &Pool, id: u32) -> i64 {
    sqlx::query_scalar("SELECT balance FROM accounts WHERE id = ?")
        .bind(id)
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn add(connection: &mut MySqlConnection, id: u32, amount: i64) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE accounts SET balance = balance + ? WHERE id = ?")
        .bind(amount)
        .bind(id)
        .execute(connection)
        .await
        .map(|_| ())
}

/// The way repositories use the database: behind an object-safe port, called from spawned tasks.
#[async_trait]
trait Bank: Send + Sync {
    async fn transfer(&self, from: u32, to: u32, amounts: &[i64]) -> Result<i64, DbError>;
}

struct MySqlBank {
    pool: Pool,
    rivals: Option<Barrier>,
    attempts: AtomicU32,
}

impl MySqlBank {
    fn new(pool: Pool, rivals: Option<Barrier>) -> Arc<Self> {
        Arc::new(Self { pool, rivals, attempts: AtomicU32::new(0) })
    }
}

#[async_trait]
impl Bank for MySqlBank {
    async fn transfer(&self, from: u32, to: u32, amounts: &[i64]) -> Result<i64, DbError> {
        db::transaction(&self.pool, |tx| {
            Box::pin(async move {
                let attempt = self.attempts.fetch_add(1, Ordering::SeqCst);
                let total: i64 = amounts.iter().sum();
                add(tx, from, -total).await?;
                if let Some(rivals) = self.rivals.as_ref().filter(|_| attempt < 2) {
                    rivals.wait().await;
                }
                add(tx, to, total).await?;
                Ok(total)
            })
        })
        .await
    }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_transaction_takes_place_as_a_whole_or_not_at_all() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let pool = database.pool();
    let bank = MySqlBank::new(pool.clone(), None);
    let done = tokio::spawn(async move { bank.transfer(1, 2, &[10, 20]).await });
    assert_eq!(done.await.unwrap().unwrap(), 30);
    assert_eq!((balance(&pool, 1).await, balance(&pool, 2).await), (70, 130));

    let refused: Result<(), DbError> = db::transaction(&pool, |tx| {
        Box::pin(async move {
            add(tx, 1, -70).await?;
            Err(DbError::DeadlineExceeded)
        })
    })
    .await;
    assert!(refused.is_err());
    assert_eq!(balance(&pool, 1).await, 70);
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_loser_of_a_deadlock_tries_again() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let pool = database.pool();
    let bank = MySqlBank::new(pool.clone(), Some(Barrier::new(2)));
    let first = tokio::spawn({
        let bank = Arc::clone(&bank);
        async move { bank.transfer(1, 2, &[5]).await }
    });
    let second = tokio::spawn({
        let bank = Arc::clone(&bank);
        async move { bank.transfer(2, 1, &[7]).await }
    });
    assert_eq!(first.await.unwrap().unwrap(), 5);
    assert_eq!(second.await.unwrap().unwrap(), 7);
    assert_eq!(bank.attempts.load(Ordering::SeqCst), 3);
    assert_eq!((balance(&pool, 1).await, balance(&pool, 2).await), (102, 98));
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn nothing_is_committed_after_the_deadline() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let pool = database.pool();
    let late = context::scope(CallContext::with_timeout(Duration::from_millis(300)), async {
        db::transaction(&pool, |tx| {
            Box::pin(async move {
                add(tx, 1, 1).await?;
                // Not interrupted by the transaction's own limit: the check before COMMIT decides.
                let left = context::remaining().unwrap_or_default();
                std::thread::sleep(left + Duration::from_millis(1));
                Ok::<_, DbError>(())
            })
        })
        .await
    });
    assert_eq!(late.await.unwrap_err().kind(), Kind::DeadlineExceeded);
    assert_eq!(balance(&pool, 1).await, 100);
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn nothing_is_begun_after_the_deadline() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let pool = database.pool();
    context::scope(CallContext::with_timeout(Duration::ZERO), async {
        let begun = MySqlBank::new(pool.clone(), None);
        let refused = begun.transfer(1, 2, &[1]).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::DeadlineExceeded);
        assert_eq!(begun.attempts.load(Ordering::SeqCst), 0);
        let refused = sqlx::query("UPDATE accounts SET balance = 0").execute(&pool).await;
        assert_eq!(DbError::from(refused.unwrap_err()).kind(), Kind::DeadlineExceeded);
    })
    .await;
    assert_eq!(balance(&pool, 1).await, 100);
    database.finish().await;
}

/// Waiting for a connection takes time too: whoever gets one late must not use it.
#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn nothing_is_sent_on_a_connection_that_came_after_the_deadline() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let config = DatabaseConfig {
        max_connections: 1,
        acquire_timeout_ms: 30_000,
        statement_timeout_ms: 30_000,
        ..database.config()
    };
    let pool = db::connect(&config).unwrap();
    let (entered, release) = (Notify::new(), Notify::new());
    let holding = db::transaction(&pool, |_| {
        Box::pin(async {
            entered.notify_one();
            release.notified().await;
            Ok::<_, DbError>(())
        })
    });
    let late = async {
        entered.notified().await;
        let context = CallContext::with_timeout(Duration::from_millis(50));
        context::scope(context, async {
            let write = sqlx::query("UPDATE accounts SET balance = 0").execute(&pool);
            let transfer = MySqlBank::new(pool.clone(), None);
            let outlasts = async {
                while context::check_deadline().is_ok() {
                    tokio::task::yield_now().await;
                }
                release.notify_one();
            };
            let (write, transfer, ()) =
                tokio::join!(write, transfer.transfer(1, 2, &[1]), outlasts);
            (DbError::from(write.unwrap_err()).kind(), transfer.unwrap_err().kind())
        })
        .await
    };
    let (held, refused) = tokio::join!(holding, late);
    held.unwrap();
    assert_eq!(refused, (Kind::DeadlineExceeded, Kind::DeadlineExceeded));
    assert_eq!((balance(&pool, 1).await, balance(&pool, 2).await), (100, 100));
    database.finish().await;
}

/// A pool through a proxy, with one connection and short limits.
async fn proxied(database: &TestDatabase) -> (Proxy, Pool) {
    proxied_within(database, Duration::from_millis(400)).await
}

async fn proxied_within(database: &TestDatabase, timeout: Duration) -> (Proxy, Pool) {
    let (proxy, url) = Proxy::before(database.url(), Mode::Pass).await;
    let config = DatabaseConfig {
        url: Secret::new(url),
        max_connections: 1,
        acquire_timeout_ms: 500,
        statement_timeout_ms: u64::try_from(timeout.as_millis()).unwrap(),
        ..DatabaseConfig::default()
    };
    (proxy, db::connect(&config).unwrap())
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_silent_server_holds_nobody_and_the_pool_recovers() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let (proxy, pool) = proxied(&database).await;
    assert_eq!(balance(&pool, 1).await, 100);
    proxy.set(Mode::Silent);
    for _ in 0..3 {
        let answer = tokio::time::timeout(PATIENCE, pool.ping()).await;
        let error = answer.expect("nobody waits for a silent server").unwrap_err();
        assert_eq!(DbError::from(error).kind(), Kind::Unavailable);
    }
    proxy.set(Mode::Pass);
    assert_eq!(balance(&pool, 1).await, 100);
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_lost_answer_to_commit_is_an_unknown_outcome() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let (proxy, pool) = proxied(&database).await;
    let through = &proxy;
    let unknown = db::transaction(&pool, |tx| {
        Box::pin(async move {
            add(tx, 1, 1).await?;
            through.set(Mode::LoseReplies);
            Ok::<_, DbError>(())
        })
    })
    .await;
    assert_eq!(unknown.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(balance(&database.pool(), 1).await, 101);
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_deadline_that_passes_during_commit_is_an_unknown_outcome() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let (proxy, pool) = proxied_within(&database, Duration::from_mins(1)).await;
    assert_eq!(balance(&pool, 1).await, 100);
    let through = &proxy;
    let unknown = context::scope(CallContext::with_timeout(Duration::from_secs(1)), async {
        db::transaction(&pool, |tx| {
            Box::pin(async move {
                add(tx, 1, 1).await?;
                through.set(Mode::LoseReplies);
                Ok::<_, DbError>(())
            })
        })
        .await
    });
    assert_eq!(unknown.await.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(balance(&database.pool(), 1).await, 101);
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_violated_key_is_named() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let error = sqlx::query("INSERT INTO accounts (id, name, balance) VALUES (3, 'ada', 0)")
        .execute(&database.pool())
        .await
        .unwrap_err();
    assert_eq!(db::violated_key(&error), Some("accounts_name"));
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_connection_to_a_server_that_became_read_only_is_closed() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let (_proxy, pool) = proxied(&database).await;
    let id = || async {
        let id: u64 = sqlx::query_scalar("SELECT CAST(CONNECTION_ID() AS UNSIGNED)")
            .fetch_one(&pool)
            .await
            .unwrap();
        id
    };
    let before = id().await;
    let signal = "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'read-only'";
    let error = sqlx::raw_sql(signal).execute(&pool).await.unwrap_err();
    assert_eq!(DbError::from(error).kind(), Kind::Unavailable);
    assert_ne!(id().await, before);
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_server_that_serves_this_account_no_more_is_unavailable() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let pool = database.pool();
    for number in [1044, 1045, 1047, 1129, 1130, 1142, 1143, 1227, 1370, 1698, 1820, 1862] {
        let signal = format!("SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}");
        let error = sqlx::raw_sql(sqlx::AssertSqlSafe(signal)).execute(&pool).await.unwrap_err();
        assert_eq!(DbError::from(error).kind(), Kind::Unavailable, "{number}");
    }
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_session_reads_on_one_connection() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let pool = database.pool();
    let (first, second) = db::session(&pool, |tx| {
        Box::pin(async move {
            let id = "SELECT CAST(CONNECTION_ID() AS UNSIGNED)";
            let first: u64 = sqlx::query_scalar(id).fetch_one(&mut **tx).await?;
            let second: u64 = sqlx::query_scalar(id).fetch_one(&mut **tx).await?;
            Ok::<_, DbError>((first, second))
        })
    })
    .await
    .unwrap();
    assert_eq!(first, second);
    database.finish().await;
}
