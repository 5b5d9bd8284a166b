//! Orders against themselves and against their payments.

use super::Check;

/// The questions.
pub(super) const CHECKS: &[Check] = &[
    Check::new(
        1,
        "paid_order_without_payment",
        "SELECT {uuid:o.id} AS subject, CONCAT('is ', o.status, ' and its payment ', \
         COALESCE({uuid:o.payment_id}, 'is not named'), ' does not exist') AS detail \
         FROM {order}.orders o LEFT JOIN {payment}.payments p ON p.id = o.payment_id \
         WHERE o.status IN ('PAID', 'SHIPPED', 'COMPLETED', 'REFUNDING', 'REFUNDED') \
         AND p.id IS NULL",
    ),
    Check::new(
        1,
        "paid_order_and_payment_differ",
        "SELECT {uuid:o.id} AS subject, CONCAT('is ', o.status, ' over ', o.total, ' ', \
         o.currency, '; payment ', {uuid:p.id}, ' is ', p.status, ' over ', p.amount, ' ', \
         p.currency, IF(p.order_id = o.id, '', ', of another order'), \
         IF(p.user_id = o.user_id, '', ', of another user')) AS detail \
         FROM {order}.orders o JOIN {payment}.payments p ON p.id = o.payment_id \
         WHERE o.status IN ('PAID', 'SHIPPED', 'COMPLETED', 'REFUNDING', 'REFUNDED') \
         AND (p.order_id <> o.id OR p.user_id <> o.user_id OR p.amount <> o.total \
         OR p.currency <> o.currency OR NOT CASE o.status \
         WHEN 'REFUNDING' THEN p.status IN ('SUCCEEDED', 'REFUNDING', 'REFUNDED') \
         WHEN 'REFUNDED' THEN p.status = 'REFUNDED' ELSE p.status = 'SUCCEEDED' END)",
    ),
    Check::new(
        1,
        "captured_payment_without_paid_order",
        "SELECT {uuid:p.id} AS subject, CONCAT('is SUCCEEDED; its order ', {uuid:p.order_id}, \
         COALESCE(CONCAT(' is ', o.status), ' does not exist')) AS detail \
         FROM {payment}.payments p LEFT JOIN {order}.orders o ON o.id = p.order_id \
         LEFT JOIN {order}.refunds r ON r.payment_id = p.id \
         WHERE p.status = 'SUCCEEDED' AND r.id IS NULL AND {old:p.updated_at} \
         AND (o.id IS NULL OR o.payment_id IS NULL OR o.payment_id <> p.id \
         OR o.status NOT IN ('PAID', 'SHIPPED', 'COMPLETED'))",
    ),
    Check::new(
        2,
        "two_captures_kept",
        "SELECT {uuid:p.order_id} AS subject, CONCAT(COUNT(*), ' payments of it are captured and \
         none of them is being refunded') AS detail \
         FROM {payment}.payments p LEFT JOIN {order}.refunds r ON r.payment_id = p.id \
         WHERE p.status = 'SUCCEEDED' AND r.id IS NULL \
         GROUP BY p.order_id HAVING COUNT(*) > 1",
    ),
    Check::new(
        5,
        "order_amount_out_of_bounds",
        "SELECT {uuid:id} AS subject, CONCAT('total is ', total, ' ', currency) AS detail \
         FROM {order}.orders WHERE total < 1 OR total > 99999999999",
    ),
    Check::new(
        5,
        "order_total_is_not_the_sum_of_its_items",
        "SELECT {uuid:o.id} AS subject, CONCAT('total is ', o.total, ', items sum to ', \
         COALESCE(i.total, 'nothing')) AS detail \
         FROM {order}.orders o LEFT JOIN (SELECT order_id, \
         SUM(unit_price * CAST(quantity AS SIGNED)) AS total \
         FROM {order}.order_items GROUP BY order_id) i ON i.order_id = o.id \
         WHERE NOT o.total <=> i.total",
    ),
    Check::new(
        5,
        "order_item_out_of_bounds",
        "SELECT {uuid:order_id} AS subject, CONCAT('item ', position, ' is ', quantity, ' x ', \
         unit_price) AS detail \
         FROM {order}.order_items WHERE quantity < 1 OR unit_price < 1",
    ),
    Check::new(
        5,
        "item_without_order",
        "SELECT {uuid:i.order_id} AS subject, CONCAT('item ', i.position, ' has no order') AS \
         detail FROM {order}.order_items i LEFT JOIN {order}.orders o ON o.id = i.order_id \
         WHERE o.id IS NULL",
    ),
    Check::new(
        1,
        "two_attempts_open",
        "SELECT {uuid:order_id} AS subject, CONCAT(COUNT(*), ' attempts are open') AS detail \
         FROM {order}.payment_attempts WHERE outcome IS NULL GROUP BY order_id \
         HAVING COUNT(*) > 1",
    ),
    Check::new(
        1,
        "attempt_half_settled",
        "SELECT {uuid:id} AS subject, CONCAT('outcome ', COALESCE(outcome, 'none'), ', open for \
         ', COALESCE({uuid:open_order_id}, 'no order'), ', settled at ', \
         COALESCE(settled_at, 'no time')) AS detail FROM {order}.payment_attempts \
         WHERE (outcome IS NULL) <> (open_order_id IS NOT NULL AND open_order_id = order_id) \
         OR (outcome IS NULL) <> (settled_at IS NULL)",
    ),
    Check::new(
        1,
        "attempt_without_order",
        "SELECT {uuid:a.id} AS subject, CONCAT('its order ', {uuid:a.order_id}, ' does not \
         exist') AS detail FROM {order}.payment_attempts a \
         LEFT JOIN {order}.orders o ON o.id = a.order_id WHERE o.id IS NULL",
    ),
    Check::new(
        1,
        "refunded_order_without_refund",
        "SELECT {uuid:o.id} AS subject, CONCAT('is ', o.status, '; its refund ', \
         IF(r.id IS NULL, 'does not exist', 'is not done')) AS detail \
         FROM {order}.orders o LEFT JOIN {order}.refunds r ON r.payment_id = o.payment_id \
         AND r.reason = 'customer_request' \
         WHERE (o.status = 'REFUNDED' AND (r.id IS NULL OR r.done_at IS NULL)) \
         OR (o.status = 'REFUNDING' AND r.id IS NULL)",
    ),
    Check::new(
        19,
        "order_of_one_user_paid_as_another",
        "SELECT {uuid:p.id} AS subject, CONCAT('belongs to user ', {uuid:p.user_id}, ', its \
         order to ', {uuid:o.user_id}) AS detail \
         FROM {payment}.payments p JOIN {order}.orders o ON o.id = p.order_id \
         WHERE p.user_id <> o.user_id",
    ),
];
