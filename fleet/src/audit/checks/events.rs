//! Events: each transition is told once, nothing is told that did not happen, nothing waits.

use super::Check;

/// The questions.
pub(super) const CHECKS: &[Check] = &[
    Check::new(
        11,
        "event_id_does_not_follow",
        "SELECT event_id AS subject, CONCAT('waits in ', source, '; its event, subject and \
         version say ', COALESCE(expected, 'nothing')) AS detail FROM (\
         SELECT 'hub_order' AS source, event_id, CASE WHEN JSON_VALID(payload) THEN \
         CONCAT(routing_key, ':', JSON_UNQUOTE(JSON_EXTRACT(payload, '$.subject')), ':', \
         JSON_UNQUOTE(JSON_EXTRACT(payload, '$.data.version'))) END AS expected \
         FROM {order}.outbox UNION ALL \
         SELECT 'hub_payment', event_id, CASE WHEN JSON_VALID(payload) THEN \
         CONCAT(routing_key, ':', JSON_UNQUOTE(JSON_EXTRACT(payload, '$.subject')), ':', \
         JSON_UNQUOTE(JSON_EXTRACT(payload, '$.data.version'))) END FROM {payment}.outbox \
         ) waiting WHERE NOT CONVERT(event_id USING utf8mb4) <=> CONVERT(expected USING utf8mb4)",
    ),
    Check::new(
        12,
        "event_not_published",
        "SELECT event_id AS subject, CONCAT('waits in ', source, ' since ', created_at) AS detail \
         FROM (SELECT 'hub_order' AS source, event_id, created_at FROM {order}.outbox UNION ALL \
         SELECT 'hub_payment', event_id, created_at FROM {payment}.outbox UNION ALL \
         SELECT 'hub_user', event_id, created_at FROM {user}.outbox UNION ALL \
         SELECT 'hub_auth', event_id, created_at FROM {auth}.outbox) waiting \
         WHERE {old:created_at} AND created_at <= UTC_TIMESTAMP(6) - INTERVAL 2 SECOND",
    ),
    Check::new(
        13,
        "transition_not_told",
        // Silence is explained by the mark of an event that was handled while it was muted. A replica
        // of before there were marks left none, so what is muted now explains it as well.
        "SELECT {uuid:h.order_id} AS subject, CONCAT('became ', h.to_status, ' with version ', \
         h.version, ' at ', h.occurred_at, ' and its owner was not told') AS detail \
         FROM {order}.order_history h JOIN {order}.orders o ON o.id = h.order_id \
         LEFT JOIN {notify}.notifications n ON n.event_id = CONVERT(CONCAT('order.', \
         LOWER(h.to_status), ':', {uuid:h.order_id}, ':', h.version) USING ascii) \
         COLLATE ascii_bin \
         LEFT JOIN {order}.outbox b ON n.id IS NULL AND b.event_id = CONVERT(CONCAT('order.', \
         LOWER(h.to_status), ':', {uuid:h.order_id}, ':', h.version) USING ascii) \
         COLLATE ascii_bin \
         LEFT JOIN {notify}.muted_notices s ON n.id IS NULL AND s.channel = 'in_app' \
         AND s.user_id = o.user_id AND s.event_id = CONVERT(CONCAT('order.', \
         LOWER(h.to_status), ':', {uuid:h.order_id}, ':', h.version) USING ascii) \
         COLLATE ascii_bin \
         LEFT JOIN {notify}.muted m ON n.id IS NULL AND m.user_id = o.user_id \
         AND m.channel = 'in_app' AND m.event = CONVERT(CONCAT('order.', LOWER(h.to_status)) \
         USING ascii) COLLATE ascii_bin \
         WHERE n.id IS NULL AND b.id IS NULL AND s.event_id IS NULL AND m.user_id IS NULL \
         AND {old:h.occurred_at}",
    ),
    Check::new(
        13,
        "payment_event_not_applied",
        "SELECT {uuid:h.payment_id} AS subject, CONCAT('became ', h.to_status, ' with version ', \
         h.version, ' at ', h.at, ' and order-service never heard of it') AS detail \
         FROM {payment}.payment_history h \
         LEFT JOIN {order}.inbox i ON i.consumer = 'order-service' AND i.event_id = \
         CONVERT(CONCAT('payment.', LOWER(h.to_status), ':', {uuid:h.payment_id}, ':', \
         h.version) USING ascii) COLLATE ascii_bin \
         LEFT JOIN {payment}.outbox b ON i.event_id IS NULL AND b.event_id = \
         CONVERT(CONCAT('payment.', LOWER(h.to_status), ':', {uuid:h.payment_id}, ':', \
         h.version) USING ascii) COLLATE ascii_bin \
         WHERE h.to_status IN ('SUCCEEDED', 'FAILED', 'REFUNDED') AND i.event_id IS NULL \
         AND b.id IS NULL AND {old:h.at} AND h.at > UTC_TIMESTAMP(6) - INTERVAL 24 HOUR",
    ),
    Check::new(
        13,
        "user_not_welcomed",
        "SELECT {uuid:u.id} AS subject, CONCAT('registered at ', u.created_at, ' and was not \
         told') AS detail FROM {user}.users u \
         LEFT JOIN {notify}.recipients r ON r.user_id = u.id AND r.version > 0 \
         LEFT JOIN {user}.outbox b ON r.user_id IS NULL AND b.event_id = \
         CONVERT(CONCAT('user.registered:', {uuid:u.id}, ':1') USING ascii) COLLATE ascii_bin \
         WHERE r.user_id IS NULL AND b.id IS NULL AND {old:u.created_at}",
    ),
    Check::new(
        13,
        "told_twice",
        // The same transition under another id is one that never happened: see below.
        "SELECT event_id AS subject, CONCAT('user ', {uuid:MIN(user_id)}, ' was told ', COUNT(*), \
         ' times') AS detail FROM {notify}.notifications GROUP BY event_id HAVING COUNT(*) > 1",
    ),
    Check::new(
        14,
        "told_and_never_happened",
        "SELECT n.event_id AS subject, CONCAT('user ', {uuid:n.user_id}, ' was told of a \
         transition that is not in the history') AS detail FROM {notify}.notifications n \
         LEFT JOIN {order}.order_history h ON h.order_id = n.subject \
         AND h.version = CAST(SUBSTRING_INDEX(n.event_id, ':', -1) AS UNSIGNED) \
         WHERE n.event LIKE 'order.%' AND (h.order_id IS NULL \
         OR n.event <> CONCAT('order.', LOWER(h.to_status)) \
         OR CONVERT(n.event_id USING utf8mb4) <> CONCAT(n.event, ':', {uuid:n.subject}, ':', \
         h.version))",
    ),
    Check::new(
        14,
        "applied_and_never_happened",
        "SELECT i.event_id AS subject, 'order-service applied it, and the payment has no such \
         version' AS detail FROM (SELECT event_id, UNHEX(REPLACE(SUBSTRING_INDEX(\
         SUBSTRING_INDEX(event_id, ':', 2), ':', -1), '-', '')) AS payment_id, \
         CAST(SUBSTRING_INDEX(event_id, ':', -1) AS UNSIGNED) AS version \
         FROM {order}.inbox WHERE consumer = 'order-service' AND event_id LIKE 'payment.%') i \
         LEFT JOIN {payment}.payment_history h ON h.payment_id = i.payment_id \
         AND h.version = i.version WHERE h.payment_id IS NULL OR \
         SUBSTRING_INDEX(i.event_id, ':', 1) <> CONCAT('payment.', LOWER(h.to_status))",
    ),
    Check::new(
        14,
        "waits_and_never_happened",
        "SELECT b.event_id AS subject, 'waits to be published, and the order has no such \
         version' AS detail FROM (SELECT event_id, payload, UNHEX(REPLACE(SUBSTRING_INDEX(\
         SUBSTRING_INDEX(event_id, ':', 2), ':', -1), '-', '')) AS order_id, \
         CAST(SUBSTRING_INDEX(event_id, ':', -1) AS UNSIGNED) AS version \
         FROM {order}.outbox) b LEFT JOIN {order}.order_history h ON h.order_id = b.order_id \
         AND h.version = b.version LEFT JOIN {order}.orders o ON o.id = b.order_id \
         WHERE h.order_id IS NULL OR o.id IS NULL \
         OR SUBSTRING_INDEX(b.event_id, ':', 1) <> CONCAT('order.', LOWER(h.to_status)) \
         OR CASE WHEN JSON_VALID(b.payload) THEN NOT (JSON_UNQUOTE(JSON_EXTRACT(b.payload, \
         '$.data.status')) <=> CONVERT(h.to_status USING utf8mb4) AND \
         JSON_EXTRACT(b.payload, '$.data.total.amount') <=> o.total AND \
         JSON_UNQUOTE(JSON_EXTRACT(b.payload, '$.data.user_id')) <=> {uuid:o.user_id}) \
         ELSE TRUE END",
    ),
    Check::new(
        15,
        "recipient_is_ahead_of_its_user",
        "SELECT {uuid:r.user_id} AS subject, CONCAT('notify-service knows version ', r.version, \
         ', the account has ', u.version) AS detail \
         FROM {notify}.recipients r JOIN {user}.users u ON u.id = r.user_id \
         WHERE r.version > u.version",
    ),
    Check::new(
        15,
        "recipient_has_an_older_language",
        "SELECT {uuid:r.user_id} AS subject, CONCAT('is written to in ', r.locale, ' of version \
         ', r.version, ' and speaks ', u.locale) AS detail \
         FROM {notify}.recipients r JOIN {user}.users u ON u.id = r.user_id \
         WHERE r.version > 0 AND r.locale <> u.locale AND {old:u.updated_at}",
    ),
    Check::new(
        19,
        "told_to_another_user",
        "SELECT n.event_id AS subject, CONCAT('user ', {uuid:n.user_id}, ' was told of an order \
         of ', {uuid:o.user_id}) AS detail \
         FROM {notify}.notifications n JOIN {order}.orders o ON o.id = n.subject \
         WHERE n.event LIKE 'order.%' AND n.user_id <> o.user_id",
    ),
];
