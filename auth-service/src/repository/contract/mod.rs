//! The suites that every adapter of the ports passes.

mod devices;
mod keys;
mod revocations;
mod sessions;

use std::sync::Arc;

use chassis::doorbell::Doorbell;
use chassis::outbox::Outbox;
use chassis::testing::mysql::TestDatabase;
use chrono::{DateTime, Utc};

use self::devices::device_suite;
use self::keys::key_suite;
use self::revocations::revocation_suite;
use self::sessions::session_suite;
use super::{
    MIGRATOR, MemoryDeviceRepository, MemoryKeyRepository, MemorySessionRepository,
    MySqlDeviceRepository, MySqlKeyRepository, MySqlRevocationRepository, MySqlSessionRepository,
};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_767_323_045_006).unwrap()
}

#[tokio::test]
async fn the_memory_adapters_keep_the_contract() {
    let memory = Arc::new(MemorySessionRepository::default());
    revocation_suite(memory.clone(), memory.clone()).await;
    session_suite(memory).await;
    key_suite(Arc::new(MemoryKeyRepository::default())).await;
    device_suite(Arc::new(MemoryDeviceRepository::default())).await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_mysql_adapters_keep_the_contract() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let sessions = MySqlSessionRepository::new(database.pool(), Outbox::new(), Doorbell::new());
    let revocations = Arc::new(MySqlRevocationRepository::new(database.pool()));
    let sessions = Arc::new(sessions);
    session_suite(sessions.clone()).await;
    revocation_suite(sessions, revocations).await;
    key_suite(Arc::new(MySqlKeyRepository::new(database.pool()))).await;
    device_suite(Arc::new(MySqlDeviceRepository::new(database.pool()))).await;
    for (event, count) in [
        ("auth.session_started", 44),
        ("auth.token_reuse_detected", 1),
        ("auth.sessions_revoked", 33),
    ] {
        let stored: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM outbox WHERE routing_key = ?")
            .bind(event)
            .fetch_one(&database.pool())
            .await
            .unwrap();
        assert_eq!(stored, count, "{event}");
    }
    database.finish().await;
}
