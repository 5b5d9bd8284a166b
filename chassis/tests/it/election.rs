//! One of many: named locks of a real server.

use std::time::Duration;

use chassis::db::Election;
use chassis::testing::mysql::TestDatabase;

use crate::support::eventually;
use crate::transactions::MIGRATIONS;

const PACE: Duration = Duration::from_secs(1);

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn one_is_elected_and_another_one_after_it() {
    let (database, elsewhere) =
        (TestDatabase::create(&MIGRATIONS).await, TestDatabase::create(&MIGRATIONS).await);
    let mut first = Election::new(database.pool(), "test", PACE);
    let second = tokio::sync::Mutex::new(Election::new(database.pool(), "test", PACE));
    assert!(first.stand().await.unwrap());
    assert!(!second.lock().await.stand().await.unwrap());
    assert!(first.stand().await.unwrap(), "who is elected stays so");
    let mut other_work = Election::new(database.pool(), "other", PACE);
    let mut other_schema = Election::new(elsewhere.pool(), "test", PACE);
    assert!(other_work.stand().await.unwrap() && other_schema.stand().await.unwrap());
    first.resign().await;
    // The server frees the lock when it has read the goodbye.
    eventually("the second being elected", || async { second.lock().await.stand().await.unwrap() })
        .await;
    second.into_inner().resign().await;
    other_work.resign().await;
    other_schema.resign().await;
    database.finish().await;
    elsewhere.finish().await;
}
