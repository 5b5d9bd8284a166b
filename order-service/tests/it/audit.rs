//! What must hold of the schema at the end of every test, whatever happened in it.

use std::collections::{BTreeMap, BTreeSet};

use chassis::db::Pool;
use order_service::model::{OrderStatus, TRANSITIONS};
use serde_json::Value;
use uuid::Uuid;

/// Orders, attempts and refunds fit together.
pub(crate) async fn of_orders(pool: &Pool) {
    for (what, query) in ODD {
        let odd = sqlx::query_scalar::<_, i64>(query).fetch_one(pool).await;
        assert!(matches!(odd, Ok(0)), "{what}: {odd:?}");
    }
    let steps: Vec<(Option<String>, String)> =
        sqlx::query_as("SELECT DISTINCT from_status, to_status FROM order_history")
            .fetch_all(pool)
            .await
            .unwrap();
    for (from, to) in steps {
        let status = |name: &str| OrderStatus::from_name(name).unwrap();
        let is_known = match &from {
            None => status(&to) == OrderStatus::Created,
            Some(from) => TRANSITIONS.iter().any(|t| (t.0, t.2) == (status(from), status(&to))),
        };
        assert!(is_known, "{from:?} to {to} is no transition");
    }
}

/// Every step of an order was told once, as it was, and nothing else.
pub(crate) async fn of_events(pool: &Pool, told: &[Value]) {
    let steps: Vec<(Uuid, u64, String)> =
        sqlx::query_as("SELECT order_id, version, to_status FROM order_history")
            .fetch_all(pool)
            .await
            .unwrap();
    let steps: BTreeSet<String> = steps
        .into_iter()
        .map(|(id, version, to)| format!("order.{}:{id}:{version} {to}", to.to_lowercase()))
        .collect();
    let short = |event: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        format!("{} {}", text(&event["id"]), text(&event["data"]["status"]))
    };
    assert_eq!(told.len(), steps.len(), "events told twice or not at all");
    assert_eq!(told.iter().map(short).collect::<BTreeSet<_>>(), steps);
}

/// What was on the shelf is there, or in an order that was neither given up nor refunded.
pub(crate) async fn of_stock(pool: &Pool, shelved: &BTreeMap<String, u32>) {
    let now: Vec<(String, i64)> = sqlx::query_as(
        "SELECT p.sku, CAST(p.stock + COALESCE((SELECT SUM(i.quantity) FROM order_items i \
         JOIN orders o ON o.id = i.order_id WHERE i.sku = p.sku \
         AND o.status NOT IN ('CANCELLED', 'EXPIRED', 'REFUNDED')), 0) AS SIGNED) FROM products p",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let now: BTreeMap<String, i64> = now.into_iter().collect();
    for (sku, pieces) in shelved {
        assert_eq!(now.get(sku), Some(&i64::from(*pieces)), "pieces of {sku}");
    }
}

/// Rows whose place in the chain does not follow from the row before them and from what they say:
/// the documented format, computed by the server.
pub(crate) const BROKEN_LINKS: &str = "SELECT COUNT(*) FROM order_history h LEFT JOIN order_history p \
     ON p.order_id = h.order_id AND p.version = h.version - 1 \
     WHERE NOT (h.prev_hash <=> p.hash AND h.hash <=> UNHEX(SHA2(CONCAT_WS('|', \
     COALESCE(LOWER(HEX(h.prev_hash)), REPEAT('0', 64)), \
     LOWER(INSERT(INSERT(INSERT(INSERT(HEX(h.order_id), \
     9, 0, '-'), 14, 0, '-'), 19, 0, '-'), 24, 0, '-')), \
     h.version, COALESCE(h.from_status, '-'), h.to_status, h.cause, h.actor, \
     COALESCE(LOWER(INSERT(INSERT(INSERT(INSERT(HEX(h.payment_id), \
     9, 0, '-'), 14, 0, '-'), 19, 0, '-'), 24, 0, '-')), '-'), \
     h.trace_id, DATE_FORMAT(h.occurred_at, '%Y-%m-%dT%H:%i:%s.%fZ')), 256)))";

/// What must not be there.
const ODD: [(&str, &str); 16] = [
    (
        "steps of orders without one row in the audit log each",
        "SELECT COUNT(*) FROM order_history h JOIN orders o ON o.id = h.order_id WHERE 1 <> \
         (SELECT COUNT(*) FROM audit_log a FORCE INDEX (audit_log_chain) WHERE a.user_id = o.user_id \
         AND a.object = CONVERT(CONCAT('order:', LOWER(INSERT(INSERT(INSERT(INSERT(HEX(o.id), \
         9, 0, '-'), 14, 0, '-'), 19, 0, '-'), 24, 0, '-'))) USING ascii) COLLATE ascii_bin \
         AND JSON_EXTRACT(a.after_state, '$.version') = h.version \
         AND a.action NOT LIKE 'order.refund\\_%')",
    ),
    (
        "chains of the audit log that are torn",
        "SELECT COUNT(*) FROM audit_log a LEFT JOIN audit_log b ON b.object = a.object \
         AND b.seq = a.seq - 1 WHERE NOT (a.prev_seal <=> b.seal AND (a.seq = 1) = (b.id IS NULL))",
    ),
    ("history rows that are not chained to the one before", BROKEN_LINKS),
    (
        "settlements that nobody made",
        "SELECT (SELECT COUNT(*) FROM payment_attempts \
         WHERE (settled_at IS NULL) <> (settled_by IS NULL)) \
         + (SELECT COUNT(*) FROM refunds \
         WHERE asked_by IS NULL OR (done_at IS NULL) <> (done_by IS NULL))",
    ),
    (
        "orders whose total is not the sum of their items",
        "SELECT COUNT(*) FROM orders o WHERE NOT (o.total <=> \
         (SELECT SUM(i.unit_price * i.quantity) FROM order_items i WHERE i.order_id = o.id))",
    ),
    (
        "histories with gaps",
        "SELECT COUNT(*) FROM orders o WHERE o.version <> \
         (SELECT COUNT(*) FROM order_history h WHERE h.order_id = o.id)",
    ),
    (
        "steps that do not begin where the one before ended",
        "SELECT COUNT(*) FROM order_history h LEFT JOIN order_history p \
         ON p.order_id = h.order_id AND p.version = h.version - 1 \
         WHERE NOT (h.from_status <=> p.to_status)",
    ),
    (
        "orders that are not where their history ends",
        "SELECT COUNT(*) FROM orders o LEFT JOIN order_history h \
         ON h.order_id = o.id AND h.version = o.version WHERE NOT (h.to_status <=> o.status)",
    ),
    (
        "attempts that are settled by halves",
        "SELECT COUNT(*) FROM payment_attempts WHERE (outcome IS NULL) <> (settled_at IS NULL) \
         OR (outcome IS NULL) <> (check_at IS NOT NULL) \
         OR NOT (open_order_id <=> IF(outcome IS NULL, order_id, NULL))",
    ),
    (
        "orders that wait for a payment which nobody tries",
        "SELECT COUNT(*) FROM orders o WHERE o.status = 'CREATED' AND NOT EXISTS \
         (SELECT 1 FROM payment_attempts a WHERE a.open_order_id = o.id)",
    ),
    (
        "paid orders whose payment was not captured",
        "SELECT COUNT(*) FROM orders o LEFT JOIN payment_attempts a ON a.id = o.payment_id \
         WHERE o.status IN ('PAID', 'SHIPPED', 'COMPLETED', 'REFUNDING', 'REFUNDED') \
         AND NOT (a.order_id <=> o.id AND a.outcome <=> 'SUCCEEDED')",
    ),
    (
        "unpaid orders that do not know their latest attempt",
        "SELECT COUNT(*) FROM orders o \
         WHERE o.status IN ('CREATED', 'PAYMENT_FAILED', 'CANCELLED', 'EXPIRED') AND NOT \
         (o.payment_id <=> (SELECT MAX(a.id) FROM payment_attempts a WHERE a.order_id = o.id))",
    ),
    (
        "captured money that neither pays its order nor goes back",
        "SELECT COUNT(*) FROM payment_attempts a JOIN orders o ON o.id = a.order_id \
         WHERE a.outcome = 'SUCCEEDED' AND NOT (o.payment_id <=> a.id \
         AND o.status IN ('PAID', 'SHIPPED', 'COMPLETED', 'REFUNDING', 'REFUNDED')) \
         AND NOT EXISTS (SELECT 1 FROM refunds r WHERE r.payment_id = a.id)",
    ),
    (
        "refunds of money that was not captured",
        "SELECT COUNT(*) FROM refunds r LEFT JOIN payment_attempts a ON a.id = r.payment_id \
         WHERE NOT (a.order_id <=> r.order_id AND a.outcome <=> 'SUCCEEDED')",
    ),
    (
        "refunds that are settled by halves, or in another state than their order",
        "SELECT COUNT(*) FROM refunds r JOIN orders o ON o.id = r.order_id \
         WHERE (r.done_at IS NULL) <> (r.try_at IS NOT NULL) \
         OR (r.reason = 'customer_request' AND NOT (o.payment_id <=> r.payment_id \
         AND o.status = IF(r.done_at IS NULL, 'REFUNDING', 'REFUNDED')))",
    ),
    (
        "orders in refund without a request of their customer",
        "SELECT COUNT(*) FROM orders o WHERE o.status IN ('REFUNDING', 'REFUNDED') \
         AND NOT EXISTS (SELECT 1 FROM refunds r WHERE r.payment_id = o.payment_id \
         AND r.reason = 'customer_request')",
    ),
];
