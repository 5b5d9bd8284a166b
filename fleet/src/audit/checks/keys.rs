//! The unique keys that carry the promises: a schema without them works, until it does not.

use anyhow::Result;

use crate::audit::snapshot::Snapshot;
use crate::audit::{Invariant, Report};

/// Schema, table and columns of every key that a promise rests on.
const UNIQUE: &[(&str, &str, &str)] = &[
    ("order", "orders", "id"),
    ("order", "order_history", "order_id,version"),
    ("order", "payment_attempts", "id"),
    ("order", "payment_attempts", "open_order_id"),
    ("order", "refunds", "payment_id"),
    ("order", "idempotency_claims", "user_id,operation,claim_key"),
    ("order", "outbox", "event_id"),
    ("order", "inbox", "consumer,event_id"),
    ("payment", "payments", "id"),
    ("payment", "payments", "provider_reference"),
    ("payment", "payment_history", "payment_id,version"),
    ("payment", "refunds", "payment_id"),
    ("payment", "ledger_entries", "posting_id,line"),
    ("payment", "callbacks", "callback_id,ruling"),
    ("payment", "outbox", "event_id"),
    ("payment", "inbox", "consumer,event_id"),
    ("notify", "notifications", "event_id"),
    ("notify", "dead_letters", "fingerprint"),
    ("user", "users", "email_normalized"),
    ("auth", "refresh_tokens", "digest"),
];

const NAME: &str = "unique_key_missing";

pub(super) async fn check_unique_keys(snapshot: &mut Snapshot, report: &mut Report) -> Result<()> {
    let invariant = const { Invariant::new(22) };
    report.checked(invariant, NAME);
    let schemas = snapshot.schemas();
    let list = schemas.join("', '");
    let keys: Vec<(String, String, String)> = snapshot
        .rows(&format!(
            "SELECT CONVERT(TABLE_SCHEMA USING utf8mb4), CONVERT(TABLE_NAME USING utf8mb4), \
             CONVERT(GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX) USING utf8mb4) \
             FROM information_schema.STATISTICS \
             WHERE NON_UNIQUE = 0 AND TABLE_SCHEMA IN ('{list}') \
             GROUP BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME"
        ))
        .await?;
    for (schema, table, columns) in UNIQUE {
        let found = keys.iter().any(|(known_schema, known_table, known_columns)| {
            known_schema.ends_with(schema) && known_table == table && known_columns == columns
        });
        if !found {
            let subject = format!("{schema}.{table}");
            report.add((invariant, NAME), subject, format!("no unique key over {columns}"));
        }
    }
    Ok(())
}
