//! Accounts and sessions.

use super::Check;

/// The questions.
pub(super) const CHECKS: &[Check] = &[
    Check::new(
        17,
        "two_live_refresh_tokens",
        "SELECT {uuid:session_id} AS subject, CONCAT(COUNT(*), ' refresh tokens are live') AS \
         detail FROM {auth}.refresh_tokens WHERE state = 'LIVE' \
         GROUP BY session_id HAVING COUNT(*) > 1",
    ),
    Check::new(
        17,
        "refresh_token_without_session",
        "SELECT HEX(t.digest) AS subject, CONCAT('its session ', {uuid:t.session_id}, ' does \
         not exist') AS detail FROM {auth}.refresh_tokens t \
         LEFT JOIN {auth}.sessions s ON s.id = t.session_id WHERE s.id IS NULL",
    ),
    Check::new(
        17,
        "session_survives_proven_reuse",
        "SELECT {uuid:id} AS subject, CONCAT('ended for ', end_reason, ' and is ', status) AS \
         detail FROM {auth}.sessions \
         WHERE (end_reason IS NOT NULL OR ended_at IS NOT NULL) AND status = 'ACTIVE'",
    ),
    Check::new(
        22,
        "email_twice",
        "SELECT GROUP_CONCAT({uuid:id} ORDER BY id) AS subject, CONCAT(COUNT(*), ' accounts \
         have one e-mail address') AS detail FROM {user}.users GROUP BY email_normalized \
         HAVING COUNT(*) > 1",
    ),
    Check::new(
        19,
        "session_of_nobody",
        "SELECT {uuid:s.id} AS subject, CONCAT('its user ', {uuid:s.user_id}, ' does not exist') \
         AS detail FROM {auth}.sessions s LEFT JOIN {user}.users u ON u.id = s.user_id \
         WHERE u.id IS NULL",
    ),
    Check::new(
        7,
        "claim_of_another_users_order",
        "SELECT CONCAT({uuid:c.user_id}, ' ', c.claim_key) AS subject, CONCAT('placed order ', \
         {uuid:c.order_id}, COALESCE(CONCAT(' of user ', {uuid:o.user_id}), ', which does not \
         exist')) AS detail FROM {order}.idempotency_claims c \
         LEFT JOIN {order}.orders o ON o.id = c.order_id \
         WHERE o.id IS NULL OR (c.operation = 'create_order' AND o.user_id <> c.user_id)",
    ),
    Check::new(
        7,
        "order_placed_under_two_keys",
        "SELECT {uuid:order_id} AS subject, CONCAT(COUNT(*), ' calls placed it') AS detail \
         FROM {order}.idempotency_claims WHERE operation = 'create_order' \
         GROUP BY order_id HAVING COUNT(*) > 1",
    ),
    Check::new(
        7,
        "answer_tells_of_another_order",
        "SELECT CONCAT({uuid:user_id}, ' ', claim_key) AS subject, CONCAT('its answer is not \
         about order ', {uuid:order_id}) AS detail FROM {order}.idempotency_claims \
         WHERE answer IS NOT NULL AND (NOT JSON_VALID(answer) \
         OR INSTR(answer, {uuid:order_id}) = 0)",
    ),
    Check::new(
        10,
        "keyed_call_half_done",
        "SELECT CONCAT({uuid:c.user_id}, ' ', c.claim_key) AS subject, CONCAT(c.operation, \
         ' names payment ', {uuid:c.payment_id}, ', which is no attempt of its order') AS detail \
         FROM {order}.idempotency_claims c LEFT JOIN {order}.payment_attempts a \
         ON a.id = c.payment_id AND a.order_id = c.order_id \
         WHERE c.operation IN ('create_order', 'pay_order') AND c.payment_id IS NOT NULL \
         AND a.id IS NULL",
    ),
];
