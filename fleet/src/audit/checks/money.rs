//! The ledger: it balances, it books what happened, and nobody rewrote it.

use super::Check;

/// The questions.
pub(super) const CHECKS: &[Check] = &[
    Check::new(
        3,
        "posting_does_not_balance",
        "SELECT posting_id AS subject, CONCAT('its ', COUNT(*), ' entries sum to ', SUM(amount), \
         ' ', currency) AS detail FROM {payment}.ledger_entries \
         GROUP BY posting_id, currency HAVING SUM(amount) <> 0 OR COUNT(*) < 2",
    ),
    Check::new(
        3,
        "ledger_does_not_balance",
        "SELECT currency AS subject, CONCAT('all entries sum to ', SUM(amount)) AS detail \
         FROM {payment}.ledger_entries GROUP BY currency HAVING SUM(amount) <> 0",
    ),
    Check::new(
        3,
        "capture_not_booked",
        "SELECT {uuid:p.id} AS subject, CONCAT('is ', p.status, ' over ', p.amount, ' ', \
         p.currency, '; booked as captured: ', COALESCE(SUM(e.amount), 'nothing')) AS detail \
         FROM {payment}.payments p LEFT JOIN {payment}.ledger_entries e \
         ON e.payment_id = p.id AND e.account = 'provider_clearing' AND e.amount > 0 \
         AND e.currency = p.currency AND e.posting_id LIKE 'capture:%' \
         WHERE p.status IN ('SUCCEEDED', 'REFUNDING', 'REFUNDED') \
         GROUP BY p.id, p.status, p.amount, p.currency HAVING NOT SUM(e.amount) <=> p.amount",
    ),
    Check::new(
        3,
        "refund_not_booked",
        "SELECT {uuid:p.id} AS subject, CONCAT('is REFUNDED over ', p.amount, ' ', p.currency, \
         '; booked as refunded: ', COALESCE(-SUM(e.amount), 'nothing')) AS detail \
         FROM {payment}.payments p LEFT JOIN {payment}.ledger_entries e \
         ON e.payment_id = p.id AND e.account = 'provider_clearing' AND e.amount < 0 \
         AND e.currency = p.currency AND e.posting_id LIKE 'refund:%' \
         WHERE p.status = 'REFUNDED' \
         GROUP BY p.id, p.amount, p.currency HAVING NOT -SUM(e.amount) <=> p.amount",
    ),
    Check::new(
        3,
        "surplus_not_booked",
        "SELECT {uuid:r.payment_id} AS subject, CONCAT('its surplus of ', r.amount, ' ', \
         r.currency, ' is ', r.status, '; the ledger has ', COALESCE(-SUM(e.amount), 'nothing'), \
         ' of it') AS detail FROM {payment}.refunds r LEFT JOIN {payment}.ledger_entries e \
         ON e.payment_id = r.payment_id AND e.account = 'surplus_captures' \
         WHERE r.id = r.payment_id GROUP BY r.id, r.payment_id, r.amount, r.currency, r.status \
         HAVING NOT -SUM(e.amount) <=> IF(r.status = 'SUCCEEDED', 0, r.amount)",
    ),
    Check::new(
        3,
        "booked_and_never_happened",
        "SELECT e.posting_id AS subject, CONCAT('is booked; payment ', {uuid:e.payment_id}, \
         COALESCE(CONCAT(' is ', p.status), ' does not exist')) AS detail \
         FROM {payment}.ledger_entries e LEFT JOIN {payment}.payments p ON p.id = e.payment_id \
         WHERE e.line = 1 AND (p.id IS NULL \
         OR (e.posting_id LIKE 'capture:%' AND p.status IN ('INITIATED', 'PENDING', 'FAILED')) \
         OR (e.posting_id LIKE 'surplus:%' AND p.status <> 'FAILED') \
         OR (e.posting_id LIKE 'refund:%' AND p.status NOT IN ('REFUNDED', 'FAILED')))",
    ),
    Check::new(
        3,
        "posting_is_not_named_after_what_it_books",
        "SELECT e.posting_id AS subject, CONCAT('books payment ', {uuid:e.payment_id}) AS detail \
         FROM {payment}.ledger_entries e LEFT JOIN {payment}.refunds r \
         ON r.payment_id = e.payment_id WHERE e.line = 1 \
         AND e.posting_id <> CONCAT('surplus:', {uuid:e.payment_id}) \
         AND e.posting_id <> CONCAT('capture:', {uuid:e.payment_id}) \
         AND e.posting_id <> COALESCE(CONCAT('refund:', {uuid:r.id}), '')",
    ),
    Check::new(
        3,
        "ledger_entry_was_rewritten",
        "SELECT e.posting_id AS subject, CONCAT('line ', e.line, ' was booked at ', \
         e.created_at, ', the move was at ', h.at) AS detail \
         FROM {payment}.ledger_entries e JOIN {payment}.payment_history h \
         ON h.payment_id = e.payment_id AND h.to_status = IF(e.posting_id LIKE 'capture:%', \
         'SUCCEEDED', 'REFUNDED') WHERE e.created_at <> h.at \
         AND (e.posting_id LIKE 'capture:%' OR e.posting_id LIKE 'refund:%')",
    ),
    Check::new(
        3,
        "paid_order_and_ledger_differ",
        "SELECT {uuid:o.id} AS subject, CONCAT('is ', o.status, ' over ', o.total, ' ', \
         o.currency, '; the ledger keeps ', COALESCE(k.kept, 0), ' for it') AS detail \
         FROM {order}.orders o LEFT JOIN (SELECT p.order_id, -SUM(e.amount) AS kept \
         FROM {payment}.ledger_entries e JOIN {payment}.payments p ON p.id = e.payment_id \
         LEFT JOIN {order}.refunds q ON q.payment_id = p.id AND q.reason <> 'customer_request' \
         WHERE e.account = 'order_funds' AND q.id IS NULL GROUP BY p.order_id) k \
         ON k.order_id = o.id WHERE o.status IN ('PAID', 'SHIPPED', 'COMPLETED') \
         AND COALESCE(k.kept, 0) <> o.total",
    ),
    Check::new(
        4,
        "closed_order_keeps_money",
        "SELECT {uuid:o.id} AS subject, CONCAT('is ', o.status, '; the ledger keeps ', \
         -SUM(e.amount), ' ', e.currency, ' for it') AS detail \
         FROM {order}.orders o JOIN {payment}.payments p ON p.order_id = o.id \
         JOIN {payment}.ledger_entries e ON e.payment_id = p.id AND e.account = 'order_funds' \
         WHERE o.status IN ('CANCELLED', 'EXPIRED', 'REFUNDED', 'PAYMENT_FAILED') \
         GROUP BY o.id, o.status, e.currency \
         HAVING SUM(e.amount) <> 0 AND {old:MAX(e.created_at)}",
    ),
];
