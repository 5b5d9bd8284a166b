-- Ways to break the audit log, or to change what it tells of behind its back.

-- ! I21 audit_chain_has_a_gap order:{order:8}
DELETE FROM {o}.audit_log WHERE object = 'order:{order:8}' AND seq = 2;

-- ! I21 audit_chain_has_a_gap payment:{payment:0}
DELETE FROM {p}.audit_log WHERE object = 'payment:{payment:0}' AND seq = 1;

-- ! I21 audit_chain_is_torn payment:{payment:8}
UPDATE {p}.audit_log SET seal = x'07' WHERE object = 'payment:{payment:8}' AND seq = 1;

-- ! I21 audit_chain_is_torn order:{order:1}
INSERT INTO {o}.audit_log (id, object, seq, action, service, actor, occurred_at, key_id, seal)
    VALUES (x'07', 'order:{order:1}', 3, 'order.shipped', 'order-service', 'system:test',
    UTC_TIMESTAMP(6), x'00', x'07');

-- ! I21 user_is_not_as_its_last_audit_row_says user:{user:1}
UPDATE {u}.users SET status = 'DISABLED' WHERE id = {#user:1};

-- ! I21 user_is_not_as_its_last_audit_row_says user:{user:1}
INSERT INTO {u}.user_roles (user_id, role) VALUES ({#user:1}, 'admin');

-- ! I21 audit_row_is_under_another_actor user:{user:1}
UPDATE {u}.audit_log SET actor_id = {#user:0} WHERE object = 'user:{user:1}';

-- ! I21 user_is_not_as_its_last_audit_row_says user:{user:0}
DELETE FROM {u}.audit_log WHERE object = 'user:{user:0}';

-- ! I21 order_is_not_as_its_last_audit_row_says order:{order:1}
UPDATE {o}.orders SET total = 1 WHERE id = {#order:1};

-- ! I21 order_is_not_as_its_last_audit_row_says order:{order:8}
DELETE FROM {o}.audit_log WHERE object = 'order:{order:8}' AND seq = 4;

-- ! I21 order_is_not_as_its_last_audit_row_says order:{order:9}
DELETE FROM {o}.audit_log WHERE object = 'order:{order:9}';

-- ! I21 product_is_not_as_its_last_audit_row_says product:TEA-001
UPDATE {o}.products SET name = 'Water';

-- ! I21 product_is_not_as_its_last_audit_row_says product:TEA-001
UPDATE {o}.products SET unit_price = 1;

-- ! I21 product_is_not_as_its_last_audit_row_says product:TEA-001
DELETE FROM {o}.audit_log WHERE object LIKE 'product:%';

-- ! I21 payment_is_not_as_its_last_audit_row_says payment:{payment:6}
UPDATE {p}.payments SET status = 'SUCCEEDED' WHERE id = {#payment:6};

-- ! I21 payment_is_not_as_its_last_audit_row_says payment:{payment:8}
UPDATE {p}.refunds SET status = 'PENDING' WHERE payment_id = {#payment:8};

-- ! I21 payment_is_not_as_its_last_audit_row_says payment:{payment:2}
UPDATE {p}.audit_log SET after_state = 'no JSON' WHERE object = 'payment:{payment:2}';

-- ! I21 audit_chain_has_a_gap payment:{payment:3}
UPDATE {p}.audit_log SET seq = seq - 1 WHERE object = 'payment:{payment:3}' ORDER BY seq;

-- ! I21 payment_is_not_as_its_last_audit_row_says payment:{payment:0}
DELETE FROM {p}.audit_log WHERE object = 'payment:{payment:0}' AND seq = 2;

-- ! I21 refund_without_audit_row {refund:8}
UPDATE {o}.audit_log SET after_state = JSON_REMOVE(after_state, '$.refund_id')
    WHERE object = 'order:{order:8}' AND seq = 3;

-- ! I21 refund_without_audit_row {refund:1}
INSERT INTO {o}.refunds (id, order_id, payment_id, reason, checks, try_at, trace_id, created_at)
    VALUES ({#refund:1}, {#order:1}, {#payment:1}, 'customer_request', 0, UTC_TIMESTAMP(6), '',
    UTC_TIMESTAMP(6));

-- ! I21 session_is_not_as_its_audit_row_says {session:0}
UPDATE {a}.sessions SET status = 'ENDED', ended_at = UTC_TIMESTAMP(6) WHERE id = {#session:0};

-- ! I21 session_is_not_as_its_audit_row_says {session:1}
INSERT INTO {a}.audit_log (id, object, seq, action, service, actor, occurred_at, key_id, seal)
    VALUES (x'07', 'session:{session:1}', 1, 'session.ended', 'auth-service', 'system:test',
    UTC_TIMESTAMP(6), x'00', x'07');

-- ! I21 signing_key_without_audit_row planted
INSERT INTO {a}.signing_keys (kid, public_key, sealed_key, signs, created_at)
    VALUES ('planted', x'07', x'07', 1, UTC_TIMESTAMP(6));

-- ! I21 signing_key_without_audit_row promoted
INSERT INTO {a}.signing_keys (kid, public_key, sealed_key, signs, created_at)
    VALUES ('promoted', x'07', x'07', 1, UTC_TIMESTAMP(6));
INSERT INTO {a}.audit_log (id, object, seq, action, service, actor, occurred_at, key_id, seal)
    VALUES (x'07', 'key:promoted', 1, 'key.published', 'auth-service', 'system:test',
    UTC_TIMESTAMP(6), x'00', x'07');

-- ! I21 dead_letter_decision_without_audit_row {stranger:1}
INSERT INTO {n}.dead_letters (id, fingerprint, event_id, routing_key, reason, payload, status,
    created_at, decided_at, decided_by) VALUES ({#stranger:1}, UNHEX(SHA2('x', 256)), '', 'x', 'x',
    '', 'DISCARDED', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), {#user:0});

-- ! I21 audit_row_of_no_user user:{user:1}
DELETE FROM {u}.user_roles WHERE user_id = {#user:1};
DELETE FROM {u}.users WHERE id = {#user:1};

-- ! I21 audit_row_of_no_order order:{order:1}
DELETE FROM {o}.orders WHERE id = {#order:1};

-- ! I21 audit_row_of_no_payment payment:{payment:1}
DELETE FROM {p}.payments WHERE id = {#payment:1};
