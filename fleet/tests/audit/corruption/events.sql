-- Events, accounts and keys, broken by hand. A head names the invariant, the check that has to
-- find it, and the subject to be named: `{id}` below. `{#order:1}` is an id, `{order:1}` its text.

-- ! I11 event_id_does_not_follow order.paid:{order:1}:2
INSERT INTO {o}.outbox (event_id, routing_key, payload, created_at)
    VALUES ('order.paid:{order:1}:2', 'order.paid',
    JSON_OBJECT('subject', '{order:1}', 'data', JSON_OBJECT('version', 3, 'status', 'PAID',
    'user_id', '{user:1}', 'total', JSON_OBJECT('amount', 1000))),
    UTC_TIMESTAMP(6));

-- ! I11 event_id_does_not_follow order.paid:{order:1}:2
INSERT INTO {o}.outbox (event_id, routing_key, payload, created_at)
    VALUES ('order.paid:{order:1}:2', 'order.paid', 'no json', UTC_TIMESTAMP(6));

-- ! I12 event_not_published order.paid:{order:1}:2
INSERT INTO {o}.outbox (event_id, routing_key, payload, created_at)
    VALUES ('order.paid:{order:1}:2', 'order.paid',
    JSON_OBJECT('subject', '{order:1}', 'data', JSON_OBJECT('version', 2, 'status', 'PAID',
    'user_id', '{user:1}', 'total', JSON_OBJECT('amount', 1000))),
    UTC_TIMESTAMP(6) - INTERVAL 1 MINUTE);

-- ! I14 waits_and_never_happened order.paid:{order:1}:9
INSERT INTO {o}.outbox (event_id, routing_key, payload, created_at)
    VALUES ('order.paid:{order:1}:9', 'order.paid',
    JSON_OBJECT('subject', '{order:1}', 'data', JSON_OBJECT('version', 9, 'status', 'PAID',
    'user_id', '{user:1}', 'total', JSON_OBJECT('amount', 1000))),
    UTC_TIMESTAMP(6));

-- ! I14 waits_and_never_happened order.paid:{order:1}:2
INSERT INTO {o}.outbox (event_id, routing_key, payload, created_at)
    VALUES ('order.paid:{order:1}:2', 'order.paid',
    JSON_OBJECT('subject', '{order:1}', 'data', JSON_OBJECT('version', 2, 'status', 'PAID',
    'user_id', '{user:1}', 'total', JSON_OBJECT('amount', 1001))),
    UTC_TIMESTAMP(6));

-- ! I14 told_and_never_happened order.paid:{order:1}:9
UPDATE {n}.notifications SET event_id = 'order.paid:{order:1}:9'
    WHERE event_id = 'order.paid:{order:1}:2';

-- ! I14 applied_and_never_happened payment.succeeded:{payment:1}:9
UPDATE {o}.inbox SET event_id = 'payment.succeeded:{payment:1}:9'
    WHERE event_id = 'payment.succeeded:{payment:1}:2';

-- ! I19 told_to_another_user order.paid:{order:1}:2
UPDATE {n}.notifications SET user_id = x'07' WHERE event_id = 'order.paid:{order:1}:2';

-- ! I13 told_twice order.paid:{order:1}:2
ALTER TABLE {n}.notifications DROP KEY notifications_event_id;
INSERT INTO {n}.notifications SELECT x'08', user_id, event, event_id, subject, title, body,
    created_at, read_at FROM {n}.notifications WHERE event_id = 'order.paid:{order:1}:2';

-- ! I13 transition_not_told {order:5}
INSERT INTO {n}.muted_notices (event_id, channel, user_id, created_at)
    SELECT event_id, 'in_app', x'07', created_at FROM {n}.notifications
    WHERE event_id = 'order.paid:{order:5}:2';
DELETE FROM {n}.notifications WHERE event_id = 'order.paid:{order:5}:2';

-- ! I13 user_not_welcomed {user:1}
DELETE FROM {n}.recipients WHERE user_id = {id};

-- ! I15 recipient_is_ahead_of_its_user {user:1}
UPDATE {n}.recipients SET version = 2 WHERE user_id = {id};

-- ! I15 recipient_has_an_older_language {user:1}
UPDATE {u}.users SET locale = 'zh-CN' WHERE id = {id};

-- ! I16 dead_letters_are_not_the_planted_ones order.paid:{order:1}:2
INSERT INTO {n}.dead_letters VALUES (x'01', UNHEX(SHA2('x', 256)), 'order.paid:{order:1}:2',
    'order.paid', 'rejected', '', 'OPEN', UTC_TIMESTAMP(6), NULL, NULL, NULL);

-- ! I17 two_live_refresh_tokens {session:0}
INSERT INTO {a}.refresh_tokens (digest, session_id, state, issued_at)
    VALUES (UNHEX(SHA2('x', 256)), {id}, 'LIVE', UTC_TIMESTAMP(6));

-- ! I17 refresh_token_without_session {digest}
SET FOREIGN_KEY_CHECKS = 0;
INSERT INTO {a}.refresh_tokens (digest, session_id, state, issued_at)
    VALUES (UNHEX(REPEAT('AB', 16)), x'07', 'SPENT', UTC_TIMESTAMP(6));
SET FOREIGN_KEY_CHECKS = 1;

-- ! I17 session_survives_proven_reuse {session:0}
UPDATE {a}.sessions SET end_reason = 'token_reuse' WHERE id = {id};

-- ! I19 session_of_nobody {session:0}
UPDATE {a}.sessions SET user_id = x'07' WHERE id = {id};

-- ! I7 claim_of_another_users_order {stranger:0} K
UPDATE {o}.idempotency_claims SET user_id = {#stranger:0}, claim_key = 'K'
    WHERE order_id = {#order:1};

-- ! I7 answer_tells_of_another_order {user:1} K
UPDATE {o}.idempotency_claims SET claim_key = 'K', answer = '{"id":"x"}'
    WHERE order_id = {#order:1};

-- ! I10 keyed_call_half_done {user:1} K
UPDATE {o}.idempotency_claims SET claim_key = 'K', payment_id = x'07' WHERE order_id = {#order:1};

-- ! I22 email_twice {user:0},{user:1}
ALTER TABLE {u}.users DROP KEY users_email;
UPDATE {u}.users SET email_normalized = 'same';
