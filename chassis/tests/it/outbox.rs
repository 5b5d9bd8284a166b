//! From the transaction to the publisher: nothing lost, one relay at a time.

use std::sync::Arc;

use chassis::config::OutboxConfig;
use chassis::db::{self, DbError, Pool};
use chassis::messaging::memory::MemoryPublisher;
use chassis::messaging::{Envelope, PublishError};
use chassis::outbox::{Outbox, Relay, RelayError};
use chassis::testing::mysql::TestDatabase;
use chrono::DateTime;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::eventually;
use crate::transactions::MIGRATIONS;

/// The lock that the active relay of a schema holds.
const LOCK: &str = "CONCAT('eh_outbox:', LEFT(SHA2(DATABASE(), 256), 40))";

pub(crate) fn event(version: u64) -> Envelope {
    let data = json!({ "version": version });
    Envelope::new("order-service", "order.paid", Uuid::nil(), version, DateTime::UNIX_EPOCH, data)
        .unwrap()
}

async fn append(pool: &Pool, outbox: &Outbox, events: &[Envelope]) -> Result<(), DbError> {
    db::transaction(pool, |tx| Box::pin(outbox.append(tx, events))).await?;
    outbox.wake();
    Ok(())
}

struct Fixture {
    database: TestDatabase,
    outbox: Outbox,
    publisher: Arc<MemoryPublisher>,
}

impl Fixture {
    async fn new() -> Self {
        Self {
            database: TestDatabase::create(&MIGRATIONS).await,
            outbox: Outbox::new(),
            publisher: Arc::new(MemoryPublisher::new()),
        }
    }

    fn relay(&self, config: &OutboxConfig) -> Relay {
        Relay::new(self.database.pool(), self.publisher.clone(), config, &self.outbox)
    }

    async fn append(&self, versions: std::ops::Range<u64>) {
        let events: Vec<_> = versions.map(event).collect();
        append(&self.database.pool(), &self.outbox, &events).await.unwrap();
    }

    fn published(&self) -> Vec<String> {
        self.publisher.published().into_iter().map(|message| message.id).collect()
    }
}

fn ids(versions: std::ops::Range<u64>) -> Vec<String> {
    versions.map(|version| event(version).id).collect()
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn committed_events_are_published_in_order_and_deleted() {
    let fixture = Fixture::new().await;
    fixture.append(0..90).await;
    let mut relay = fixture.relay(&OutboxConfig { batch: 50, ..OutboxConfig::default() });
    assert_eq!(relay.run_once().await.unwrap(), 50);
    assert_eq!(relay.run_once().await.unwrap(), 40);
    assert_eq!(relay.run_once().await.unwrap(), 0);
    assert_eq!(fixture.published(), ids(0..90));
    let message = &fixture.publisher.published()[7];
    assert_eq!(message.routing_key, "order.paid");
    assert_eq!(message.payload, event(7).to_json().unwrap());
    fixture.database.finish_published().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_event_goes_with_its_transaction() {
    let fixture = Fixture::new().await;
    let (outbox, events) = (&fixture.outbox, &[event(1)]);
    let refused: Result<(), DbError> = db::transaction(&fixture.database.pool(), |tx| {
        Box::pin(async move {
            outbox.append(tx, events).await?;
            Err(DbError::DeadlineExceeded)
        })
    })
    .await;
    assert!(refused.is_err());
    assert_eq!(fixture.relay(&OutboxConfig::default()).run_once().await.unwrap(), 0);
    fixture.database.finish_published().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_same_transition_cannot_be_told_twice() {
    let fixture = Fixture::new().await;
    fixture.append(1..2).await;
    let again = append(&fixture.database.pool(), &fixture.outbox, &[event(1)]).await;
    assert!(matches!(again, Err(DbError::Internal(_))));
    fixture.database.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_is_not_confirmed_is_published_again() {
    let fixture = Fixture::new().await;
    fixture.append(0..3).await;
    let mut relay = fixture.relay(&OutboxConfig::default());
    fixture.publisher.refuse(Some(PublishError::Timeout));
    let error = relay.run_once().await.unwrap_err();
    assert!(matches!(error, RelayError::Publish { failed: 3, total: 3, .. }));
    fixture.publisher.refuse(None);
    assert_eq!(relay.run_once().await.unwrap(), 3);
    assert_eq!(fixture.published(), ids(0..3));
    fixture.database.finish_published().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn of_two_relays_one_is_active_until_it_goes() {
    let fixture = Fixture::new().await;
    let mut active = fixture.relay(&OutboxConfig::default());
    let mut standby = fixture.relay(&OutboxConfig::default());
    fixture.append(0..1).await;
    assert_eq!(active.run_once().await.unwrap(), 1);
    fixture.append(1..2).await;
    assert_eq!(standby.run_once().await.unwrap(), 0);
    drop(active);
    let mut published = 0;
    while published == 0 {
        published = standby.run_once().await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.published(), ids(0..2));
    fixture.database.finish_published().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_relay_that_loses_its_session_is_elected_anew() {
    let fixture = Fixture::new().await;
    let pool = fixture.database.pool();
    let mut relay = fixture.relay(&OutboxConfig::default());
    assert_eq!(relay.run_once().await.unwrap(), 0);
    let holder = format!("SELECT CAST(IS_USED_LOCK({LOCK}) AS UNSIGNED)");
    let holder: u64 =
        sqlx::query_scalar(sqlx::AssertSqlSafe(holder)).fetch_one(&pool).await.unwrap();
    let kill = sqlx::AssertSqlSafe(format!("KILL {holder}"));
    sqlx::raw_sql(kill).execute(&pool).await.unwrap();
    fixture.append(0..1).await;
    assert!(matches!(relay.run_once().await, Err(RelayError::Database(_))));
    let mut published = 0;
    while published == 0 {
        published = relay.run_once().await.unwrap();
    }
    fixture.database.finish_published().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_bell_wakes_the_relay() {
    let fixture = Fixture::new().await;
    let stop = CancellationToken::new();
    let config = OutboxConfig { poll_ms: 600_000, ..OutboxConfig::default() };
    let relay = tokio::spawn(fixture.relay(&config).run(stop.clone()));
    for version in 0..3 {
        fixture.append(version..version + 1).await;
        let published = || async { fixture.published() == ids(0..version + 1) };
        eventually("the publication", published).await;
    }
    stop.cancel();
    relay.await.unwrap();
    fixture.database.finish_published().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn events_that_no_queue_takes_hold_up_no_others_and_wait_for_their_queue() {
    let fixture = Fixture::new().await;
    fixture.publisher.unbind(Some("order.paid"));
    fixture.append(0..25).await;
    let data = json!({ "version": 1 });
    let behind =
        Envelope::new("order-service", "order.shipped", Uuid::nil(), 1, DateTime::UNIX_EPOCH, data)
            .unwrap();
    append(&fixture.database.pool(), &fixture.outbox, std::slice::from_ref(&behind)).await.unwrap();
    let stop = CancellationToken::new();
    let config = OutboxConfig { batch: 10, poll_ms: 600_000 };
    let relay = tokio::spawn(fixture.relay(&config).run(stop.clone()));
    eventually("the event behind them", || async { fixture.published() == [behind.id.as_str()] })
        .await;
    fixture.publisher.unbind(None);
    eventually("the others", || async { fixture.published().len() == 26 }).await;
    assert_eq!(fixture.published()[1..], ids(0..25));
    stop.cancel();
    relay.await.unwrap();
    fixture.database.finish_published().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_relay_that_is_told_to_stop_publishes_what_is_there_first() {
    let fixture = Fixture::new().await;
    fixture.append(0..25).await;
    let stop = CancellationToken::new();
    stop.cancel();
    fixture.relay(&OutboxConfig { batch: 10, ..OutboxConfig::default() }).run(stop).await;
    assert_eq!(fixture.published(), ids(0..25));
    fixture.database.finish_published().await;
}
