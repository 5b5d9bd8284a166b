//! Recognising events that come again.

use chassis::db::{self, DbError, Pool};
use chassis::inbox;
use chassis::testing::mysql::TestDatabase;
use chrono::{DateTime, TimeDelta, Utc};

use crate::transactions::MIGRATIONS;

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_355_200, 0).unwrap()
}

async fn record(pool: &Pool, ids: &[&str]) -> Result<Vec<bool>, DbError> {
    db::transaction(pool, |tx| {
        Box::pin(async move { inbox::record(tx, "order-service", ids, noon()).await })
    })
    .await
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_event_is_new_once() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let pool = database.pool();
    assert_eq!(record(&pool, &["a", "b", "a"]).await.unwrap(), [true, true, false]);
    assert_eq!(record(&pool, &["c", "b", "d"]).await.unwrap(), [true, false, true]);
    assert_eq!(record(&pool, &[]).await.unwrap(), [false; 0]);
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn repetitions_are_found_anywhere_in_a_large_batch() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let pool = database.pool();
    let ids: Vec<String> = (0..107).map(|id| format!("order.paid:{id}:1")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let known = [3, 65, 80, 106];
    for index in known {
        record(&pool, &[ids[index]]).await.unwrap();
    }
    let firsts = record(&pool, &ids).await.unwrap();
    let repeated: Vec<usize> = (0..ids.len()).filter(|index| !firsts[*index]).collect();
    assert_eq!(repeated, known);
    assert!(record(&pool, &ids).await.unwrap().iter().all(|first| !first));
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn of_simultaneous_deliveries_one_is_the_first() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    for round in 0..10 {
        let deliveries: Vec<_> = (0..8)
            .map(|_| {
                let (pool, id) = (database.pool(), format!("order.paid:{round}:1"));
                tokio::spawn(async move { record(&pool, &[&id, "shared"]).await })
            })
            .collect();
        let mut firsts = 0;
        for delivery in deliveries {
            firsts += usize::from(delivery.await.unwrap().unwrap()[0]);
        }
        assert_eq!(firsts, 1);
    }
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn consumers_do_not_see_each_others_events() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let pool = database.pool();
    record(&pool, &["a"]).await.unwrap();
    let other: Vec<bool> = db::session(&pool, |tx| {
        Box::pin(async move { inbox::record(tx, "notify-service", &["a"], noon()).await })
    })
    .await
    .unwrap();
    assert_eq!(other, [true]);
    database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn old_events_are_forgotten_in_bounded_steps() {
    let database = TestDatabase::create(&MIGRATIONS).await;
    let pool = database.pool();
    record(&pool, &["a", "b", "c"]).await.unwrap();
    assert_eq!(inbox::purge(&pool, noon(), 10).await.unwrap(), 0);
    let later = noon() + TimeDelta::seconds(1);
    assert_eq!(inbox::purge(&pool, later, 2).await.unwrap(), 2);
    assert_eq!(inbox::purge(&pool, later, 2).await.unwrap(), 1);
    database.finish().await;
}
