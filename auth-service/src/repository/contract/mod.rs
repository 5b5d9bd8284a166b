//! The suites that every adapter of the ports passes.

mod devices;
mod keys;
mod revocations;
mod sessions;

use std::collections::BTreeMap;
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

/// What the suites do, as the audit log tells it: one row each, whatever was tried in vain.
const ENDS: [(&str, i64); 2] = [("session.ended", 32), ("session.reuse_detected", 1)];
/// What becomes of keys, before several are withdrawn at once.
const KEYS: [&str; 6] = [
    "key.signs",
    "key.resealed",
    "key.published",
    "key.signs",
    "key.published",
    "key.replaced_all",
];

fn counted(actions: Vec<&'static str>) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for action in actions {
        *counts.entry(action.to_owned()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn the_memory_adapters_keep_the_contract() {
    let memory = Arc::new(MemorySessionRepository::default());
    revocation_suite(memory.clone(), memory.clone()).await;
    session_suite(memory.clone()).await;
    assert_eq!(
        counted(memory.audit()),
        ENDS.map(|(action, count)| (action.to_owned(), count)).into()
    );
    let keys = Arc::new(MemoryKeyRepository::default());
    key_suite(keys.clone()).await;
    assert!(keys.audit().starts_with(&KEYS), "{:?}", keys.audit());
    device_suite(Arc::new(MemoryDeviceRepository::default())).await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_mysql_adapters_keep_the_contract() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let audit = chassis::testing::audit::log("auth-service");
    let sessions =
        MySqlSessionRepository::new(database.pool(), Outbox::new(), Doorbell::new(), audit.clone());
    let revocations = Arc::new(MySqlRevocationRepository::new(database.pool()));
    let sessions = Arc::new(sessions);
    session_suite(sessions.clone()).await;
    revocation_suite(sessions, revocations).await;
    let ended = chassis::testing::audit::counts(&database.pool()).await;
    assert_eq!(ended, ENDS.map(|(action, count)| (action.to_owned(), count)).into());
    key_suite(Arc::new(MySqlKeyRepository::new(database.pool(), audit))).await;
    let told = sqlx::query_scalar::<_, String>(
        "SELECT CONVERT(action USING utf8mb4) FROM audit_log WHERE object LIKE 'key:%' ORDER BY id",
    );
    let told = told.fetch_all(&database.pool()).await.unwrap();
    assert_eq!(told[..KEYS.len()], KEYS);
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
