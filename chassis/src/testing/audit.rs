//! An audit log for tests, and what one holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::audit::AuditLog;
use crate::clock::SystemClock;
use crate::config::{AuditConfig, Secret};
use crate::db::Pool;

/// The log of a service of that name, sealed with a key that everybody knows.
pub fn log(service: &'static str) -> AuditLog {
    let key = Secret::new("development-only-audit-key-of-tests-0123");
    AuditLog::new(&AuditConfig { key }, service, Arc::new(SystemClock))
}

/// What a schema's log says was done to an object, in order.
///
/// # Panics
///
/// When the schema has no log.
#[expect(clippy::unwrap_used, reason = "a test cannot go on without its schema")]
pub async fn actions(pool: &Pool, object: &str) -> Vec<String> {
    let actions =
        "SELECT CONVERT(action USING utf8mb4) FROM audit_log WHERE object = ? ORDER BY seq";
    sqlx::query_scalar(actions).bind(object).fetch_all(pool).await.unwrap()
}

/// How often a schema's log holds each action.
///
/// # Panics
///
/// When the schema has no log.
#[expect(clippy::unwrap_used, reason = "a test cannot go on without its schema")]
pub async fn counts(pool: &Pool) -> BTreeMap<String, i64> {
    let counts = "SELECT CONVERT(action USING utf8mb4), COUNT(*) FROM audit_log GROUP BY action";
    let counts: Vec<(String, i64)> = sqlx::query_as(counts).fetch_all(pool).await.unwrap();
    counts.into_iter().collect()
}
