//! Payments against attempts and refunds, both ways.

use super::Check;

/// The questions.
pub(super) const CHECKS: &[Check] = &[
    Check::new(
        1,
        "payment_without_attempt",
        "SELECT {uuid:p.id} AS subject, CONCAT('is ', p.status, ' and order-service knows no \
         such attempt of order ', {uuid:p.order_id}) AS detail FROM {payment}.payments p \
         LEFT JOIN {order}.payment_attempts a ON a.id = p.id AND a.order_id = p.order_id \
         WHERE a.id IS NULL",
    ),
    Check::new(
        1,
        "attempt_and_payment_differ",
        "SELECT {uuid:a.id} AS subject, CONCAT('order-service settled it as ', a.outcome, \
         ', payment-service ', COALESCE(CONCAT('has it as ', p.status), 'does not know it')) \
         AS detail FROM {order}.payment_attempts a LEFT JOIN {payment}.payments p ON p.id = a.id \
         WHERE (a.outcome = 'SUCCEEDED' AND (p.id IS NULL OR p.status NOT IN \
         ('SUCCEEDED', 'REFUNDING', 'REFUNDED'))) \
         OR (a.outcome = 'FAILED' AND (p.id IS NULL OR p.status IN \
         ('INITIATED', 'PENDING', 'SUCCEEDED')))",
    ),
    Check::new(
        1,
        "settled_payment_not_learnt",
        "SELECT {uuid:a.id} AS subject, CONCAT('payment is ', p.status, ' since ', \
         p.updated_at, '; order ', {uuid:a.order_id}, ' still waits for it') AS detail \
         FROM {order}.payment_attempts a JOIN {payment}.payments p ON p.id = a.id \
         WHERE a.outcome IS NULL AND p.status NOT IN ('INITIATED', 'PENDING') \
         AND {old:p.updated_at}",
    ),
    Check::new(
        1,
        "attempt_never_received",
        "SELECT {uuid:a.id} AS subject, CONCAT('payment-service does not know it since ', \
         a.created_at) AS detail FROM {order}.payment_attempts a \
         LEFT JOIN {payment}.payments p ON p.id = a.id \
         WHERE a.outcome IS NULL AND p.id IS NULL AND {old:a.created_at}",
    ),
    Check::new(
        5,
        "payment_amount_out_of_bounds",
        "SELECT {uuid:id} AS subject, CONCAT('amount is ', amount, ' ', currency) AS detail \
         FROM {payment}.payments WHERE amount < 1 OR amount > 99999999999",
    ),
    Check::new(
        5,
        "refund_is_not_the_captured_amount",
        "SELECT {uuid:r.id} AS subject, CONCAT(r.amount, ' ', r.currency, ' of payment ', \
         {uuid:r.payment_id}, COALESCE(CONCAT(' over ', p.amount, ' ', p.currency), ', which \
         does not exist')) AS detail \
         FROM {payment}.refunds r LEFT JOIN {payment}.payments p ON p.id = r.payment_id \
         WHERE p.id IS NULL OR r.amount < 1 OR r.amount <> p.amount OR r.currency <> p.currency",
    ),
    Check::new(
        4,
        "refunded_more_than_once",
        "SELECT {uuid:payment_id} AS subject, CONCAT(COUNT(*), ' refunds') AS detail \
         FROM {payment}.refunds GROUP BY payment_id HAVING COUNT(*) > 1",
    ),
    Check::new(
        4,
        "refund_and_payment_differ",
        "SELECT {uuid:p.id} AS subject, CONCAT('is ', p.status, ', its refund is ', \
         COALESCE(r.status, 'missing')) AS detail \
         FROM {payment}.payments p LEFT JOIN {payment}.refunds r ON r.payment_id = p.id \
         WHERE NOT CASE p.status WHEN 'REFUNDED' THEN COALESCE(r.status, '') = 'SUCCEEDED' \
         WHEN 'REFUNDING' THEN COALESCE(r.status, '') = 'PENDING' \
         WHEN 'FAILED' THEN r.id IS NULL OR r.id = p.id \
         ELSE r.id IS NULL END",
    ),
    Check::new(
        4,
        "refund_without_request",
        "SELECT {uuid:r.id} AS subject, CONCAT('of payment ', {uuid:r.payment_id}, \
         ' was never asked for by order-service') AS detail \
         FROM {payment}.refunds r LEFT JOIN {order}.refunds q \
         ON q.payment_id = r.payment_id AND q.id = r.id \
         WHERE q.id IS NULL AND r.id <> r.payment_id",
    ),
    Check::new(
        4,
        "refund_not_made",
        "SELECT {uuid:q.id} AS subject, CONCAT('of payment ', {uuid:q.payment_id}, ' (', \
         q.reason, ') was asked for at ', q.created_at, ' and is not done') AS detail \
         FROM {order}.refunds q WHERE q.done_at IS NULL AND {old:q.created_at}",
    ),
    // payment-service gives back by itself what the provider took for a payment that has failed;
    // such a refund bears the payment's own id.
    Check::new(
        4,
        "surplus_not_given_back",
        "SELECT {uuid:r.payment_id} AS subject, CONCAT('the provider took ', r.amount, ' ', \
         r.currency, ' for it although it has failed; owed back since ', r.created_at) AS detail \
         FROM {payment}.refunds r \
         WHERE r.id = r.payment_id AND r.status <> 'SUCCEEDED' AND {old:r.created_at}",
    ),
    Check::new(
        4,
        "refund_done_without_money_back",
        "SELECT {uuid:q.id} AS subject, CONCAT('is done; payment ', {uuid:q.payment_id}, \
         COALESCE(CONCAT(' is ', p.status), ' does not exist')) AS detail \
         FROM {order}.refunds q LEFT JOIN {payment}.payments p ON p.id = q.payment_id \
         WHERE q.done_at IS NOT NULL AND (p.id IS NULL OR p.status <> 'REFUNDED')",
    ),
    Check::new(
        2,
        "payment_undecided_too_long",
        "SELECT {uuid:id} AS subject, CONCAT('is ', status, ' since ', updated_at, ' and \
         nobody asks the provider') AS detail FROM {payment}.payments \
         WHERE status IN ('INITIATED', 'PENDING', 'REFUNDING') AND next_check_at IS NULL",
    ),
    Check::new(
        22,
        "provider_reference_twice",
        "SELECT provider_reference AS subject, CONCAT(COUNT(*), ' payments have it') AS detail \
         FROM {payment}.payments WHERE provider_reference IS NOT NULL \
         GROUP BY provider_reference HAVING COUNT(*) > 1",
    ),
    Check::new(
        2,
        "captured_without_provider_reference",
        "SELECT {uuid:id} AS subject, CONCAT('is ', status, ' without the provider''s \
         reference') AS detail FROM {payment}.payments \
         WHERE status IN ('PENDING', 'SUCCEEDED', 'REFUNDING', 'REFUNDED') \
         AND provider_reference IS NULL",
    ),
];
