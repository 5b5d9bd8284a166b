//! The hash chain over the history of orders.
//!
//! `hash = SHA-256(prev_hash|order|version|from|to|cause|actor|payment|trace|occurred_at)`, as the
//! documentation of order-service gives it. Rows from before the chain have none.

use anyhow::Result;

use crate::audit::snapshot::Snapshot;
use crate::audit::{Invariant, Report};

const TEXT: &str = "CONCAT_WS('|', COALESCE(LOWER(HEX(h.prev_hash)), REPEAT('0', 64)), \
    {uuid:h.order_id}, h.version, COALESCE(h.from_status, '-'), h.to_status, h.cause, h.actor, \
    COALESCE({uuid:h.payment_id}, '-'), h.trace_id, \
    DATE_FORMAT(h.occurred_at, '%Y-%m-%dT%H:%i:%s.%fZ'))";

/// `CONCAT_WS` leaves NULL out, and nothing in the text is NULL; an empty trace id stays.
pub(super) async fn check(snapshot: &mut Snapshot, report: &mut Report) -> Result<()> {
    let invariant = const { Invariant::new(21) };
    if !snapshot.has_column("order", "order_history", "hash").await? {
        report.could_not_see(invariant, "the schema keeps no hashes of the history");
        return Ok(());
    }
    let broken = format!(
        "SELECT {{uuid:h.order_id}} AS subject, CONCAT('version ', h.version, ' does not have \
         the hash of its content') AS detail FROM {{order}}.order_history h \
         WHERE h.hash IS NOT NULL AND LOWER(HEX(h.hash)) <> SHA2({TEXT}, 256)"
    );
    snapshot.ask_dynamic((invariant, "history_was_rewritten"), &broken, report).await?;
    let torn = "SELECT {uuid:h.order_id} AS subject, CONCAT('version ', h.version, ' does not \
         continue the chain of the version before it') AS detail \
         FROM {order}.order_history h LEFT JOIN {order}.order_history b \
         ON b.order_id = h.order_id AND b.version + 1 = h.version \
         WHERE (h.hash IS NOT NULL AND NOT h.prev_hash <=> b.hash) \
         OR (h.hash IS NULL AND b.hash IS NOT NULL)";
    snapshot.ask_dynamic((invariant, "history_chain_is_torn"), torn, report).await?;
    let without = "SELECT COUNT(*) FROM {order}.order_history WHERE hash IS NULL";
    let without = snapshot.count(without).await?;
    if without > 0 {
        report.notes.push(format!("{without} order transitions have no hash"));
    }
    Ok(())
}
