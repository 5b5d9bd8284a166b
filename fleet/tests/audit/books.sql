-- The books of {orders} orders. An identity is a byte that tells its kind, and a number;
-- `{uuid:COLUMN}` is one as text.
SET @base = UTC_TIMESTAMP(6) - INTERVAL 2 HOUR;

CREATE TABLE {o}.numbers (n INT UNSIGNED NOT NULL PRIMARY KEY);
INSERT INTO {o}.numbers
SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d + 100000 * g.d AS n
FROM (SELECT 0 AS d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5
      UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) a,
     (SELECT 0 AS d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5
      UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) b,
     (SELECT 0 AS d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5
      UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) c,
     (SELECT 0 AS d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5
      UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) e,
     (SELECT 0 AS d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5
      UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) f,
     (SELECT 0 AS d UNION SELECT 1) g
HAVING n < {orders};

-- What happens to an order, by the last digit of its number, and to its payment with it.
CREATE TABLE {o}.lives (
    digit INT NOT NULL, version INT NOT NULL, of_payment BOOLEAN NOT NULL,
    from_status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL,
    to_status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    cause VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    is_last BOOLEAN NOT NULL, PRIMARY KEY (digit, of_payment, version));
INSERT INTO {o}.lives
SELECT d.digit, s.version, s.of_payment, s.from_status, s.to_status, s.cause, s.is_last FROM (
    SELECT 'paid' AS life, 1 AS version, 0 AS of_payment, NULL AS from_status,
           'CREATED' AS to_status, 'order_placed' AS cause, 0 AS is_last
    UNION ALL SELECT 'paid', 2, 0, 'CREATED', 'PAID', 'payment.succeeded', 1
    UNION ALL SELECT 'paid', 1, 1, NULL, 'INITIATED', 'request', 0
    UNION ALL SELECT 'paid', 2, 1, 'INITIATED', 'SUCCEEDED', 'answer', 1
    UNION ALL SELECT 'declined', 1, 0, NULL, 'CREATED', 'order_placed', 0
    UNION ALL SELECT 'declined', 2, 0, 'CREATED', 'PAYMENT_FAILED', 'payment.failed', 1
    UNION ALL SELECT 'declined', 1, 1, NULL, 'INITIATED', 'request', 0
    UNION ALL SELECT 'declined', 2, 1, 'INITIATED', 'FAILED', 'answer', 1
    UNION ALL SELECT 'cancelled', 1, 0, NULL, 'CREATED', 'order_placed', 0
    UNION ALL SELECT 'cancelled', 2, 0, 'CREATED', 'PAYMENT_FAILED', 'payment.failed', 0
    UNION ALL SELECT 'cancelled', 3, 0, 'PAYMENT_FAILED', 'CANCELLED', 'cancel_requested', 1
    UNION ALL SELECT 'cancelled', 1, 1, NULL, 'INITIATED', 'request', 0
    UNION ALL SELECT 'cancelled', 2, 1, 'INITIATED', 'FAILED', 'answer', 1
    UNION ALL SELECT 'refunded', 1, 0, NULL, 'CREATED', 'order_placed', 0
    UNION ALL SELECT 'refunded', 2, 0, 'CREATED', 'PAID', 'payment.succeeded', 0
    UNION ALL SELECT 'refunded', 3, 0, 'PAID', 'REFUNDING', 'refund_requested', 0
    UNION ALL SELECT 'refunded', 4, 0, 'REFUNDING', 'REFUNDED', 'payment.refunded', 1
    UNION ALL SELECT 'refunded', 1, 1, NULL, 'INITIATED', 'request', 0
    UNION ALL SELECT 'refunded', 2, 1, 'INITIATED', 'SUCCEEDED', 'answer', 0
    UNION ALL SELECT 'refunded', 3, 1, 'SUCCEEDED', 'REFUNDING', 'request', 0
    UNION ALL SELECT 'refunded', 4, 1, 'REFUNDING', 'REFUNDED', 'answer', 1
    UNION ALL SELECT 'undecided', 1, 0, NULL, 'CREATED', 'order_placed', 1
    UNION ALL SELECT 'undecided', 1, 1, NULL, 'INITIATED', 'request', 0
    UNION ALL SELECT 'undecided', 2, 1, 'INITIATED', 'PENDING', 'answer', 1
) s JOIN (
    SELECT 0 AS digit, 'paid' AS life UNION ALL SELECT 1, 'paid' UNION ALL SELECT 2, 'paid'
    UNION ALL SELECT 3, 'paid' UNION ALL SELECT 4, 'paid' UNION ALL SELECT 5, 'paid'
    UNION ALL SELECT 6, 'declined' UNION ALL SELECT 7, 'cancelled'
    UNION ALL SELECT 8, 'refunded' UNION ALL SELECT 9, 'undecided'
) d ON d.life = s.life;

INSERT INTO {u}.users (id, email, email_normalized, display_name, locale, status, password_hash,
    session_epoch, version, created_at, updated_at)
SELECT UNHEX(CONCAT('03', LPAD(HEX(n), 30, '0'))), CONCAT('c', n, '@example.com'),
    CONCAT('c', n, '@example.com'), 'Customer', 'en', 'ACTIVE', 'x', 1, 1, @base, @base
FROM {o}.numbers WHERE n < GREATEST({orders} DIV 10, 1);
INSERT INTO {u}.user_roles (user_id, role) SELECT id, 'customer' FROM {u}.users;
INSERT INTO {n}.recipients (user_id, locale, version) SELECT id, locale, version FROM {u}.users;
INSERT INTO {a}.sessions (id, user_id, session_epoch, status, user_agent, client_address, version,
    created_at, last_used_at, expires_at)
SELECT UNHEX(CONCAT('04', SUBSTR(HEX(id), 3))), id, 1, 'ACTIVE', '', '127.0.0.1', 1, @base, @base,
    @base + INTERVAL 30 DAY FROM {u}.users;
INSERT INTO {a}.refresh_tokens (digest, session_id, state, issued_at)
SELECT UNHEX(SHA2(id, 256)), id, 'LIVE', @base FROM {a}.sessions;

INSERT INTO {o}.products (sku, name, unit_price, currency, stock, version, updated_at)
SELECT 'TEA-001', 'Tea', 500, 'CNY', 2 * {orders}, 1, @base;
INSERT INTO {o}.orders (id, user_id, status, total, currency, version, payment_id, failure_reason,
    created_at, updated_at, expires_at)
SELECT UNHEX(CONCAT('01', LPAD(HEX(n), 30, '0'))),
    UNHEX(CONCAT('03', LPAD(HEX(n MOD GREATEST({orders} DIV 10, 1)), 30, '0'))),
    l.to_status, 1000, 'CNY', l.version, UNHEX(CONCAT('02', LPAD(HEX(n), 30, '0'))),
    IF(n MOD 10 IN (6, 7), 'card_declined', NULL), @base + INTERVAL n MICROSECOND,
    @base + INTERVAL n + l.version MICROSECOND, @base + INTERVAL 30 MINUTE
FROM {o}.numbers JOIN {o}.lives l ON l.digit = n MOD 10 AND l.is_last AND NOT l.of_payment;
INSERT INTO {o}.order_items (order_id, position, sku, name, unit_price, quantity)
SELECT id, 0, 'TEA-001', 'Tea', 500, 2 FROM {o}.orders;
INSERT INTO {o}.order_history (order_id, version, from_status, to_status, cause, actor, payment_id,
    trace_id, occurred_at)
SELECT UNHEX(CONCAT('01', LPAD(HEX(n), 30, '0'))), l.version, l.from_status, l.to_status, l.cause,
    'system:test', UNHEX(CONCAT('02', LPAD(HEX(n), 30, '0'))), '',
    @base + INTERVAL n + l.version MICROSECOND
FROM {o}.numbers JOIN {o}.lives l ON l.digit = n MOD 10 AND NOT l.of_payment;
INSERT INTO {o}.payment_attempts (id, order_id, open_order_id, method, actor, outcome,
    failure_reason, checks, check_at, trace_id, created_at, settled_at)
SELECT payment_id, id, IF(status = 'CREATED', id, NULL), 'pm_ok', 'system:test',
    CASE WHEN status = 'CREATED' THEN NULL WHEN status IN ('PAYMENT_FAILED', 'CANCELLED')
    THEN 'FAILED' ELSE 'SUCCEEDED' END, failure_reason, 0, IF(status = 'CREATED', @base, NULL), '',
    created_at, IF(status = 'CREATED', NULL, updated_at) FROM {o}.orders;
INSERT INTO {o}.refunds (id, order_id, payment_id, reason, checks, try_at, trace_id, created_at,
    done_at)
SELECT UNHEX(CONCAT('05', SUBSTR(HEX(id), 3))), id, payment_id, 'customer_request', 0, NULL, '',
    updated_at, updated_at FROM {o}.orders WHERE status = 'REFUNDED';
INSERT INTO {o}.idempotency_claims (user_id, operation, claim_key, fingerprint, order_id,
    payment_id, lease_until, answer, created_at)
SELECT user_id, 'create_order', HEX(id), UNHEX(SHA2(id, 256)), id, payment_id, created_at,
    CONCAT('{"id":"', {uuid:id}, '"}'),
    created_at FROM {o}.orders;

INSERT INTO {p}.payments (id, order_id, user_id, amount, currency, method, status,
    provider_reference, failure_reason, version, created_at, updated_at, next_check_at)
SELECT o.payment_id, o.id, o.user_id, o.total, o.currency, 'pm_ok', l.to_status,
    CONCAT('sim_', n), o.failure_reason, l.version, o.created_at,
    @base + INTERVAL n + l.version MICROSECOND, IF(l.to_status = 'PENDING', @base, NULL)
FROM {o}.numbers JOIN {o}.orders o ON o.id = UNHEX(CONCAT('01', LPAD(HEX(n), 30, '0')))
JOIN {o}.lives l ON l.digit = n MOD 10 AND l.is_last AND l.of_payment;
INSERT INTO {p}.payment_history (payment_id, version, from_status, to_status, cause, at)
SELECT UNHEX(CONCAT('02', LPAD(HEX(n), 30, '0'))), l.version, l.from_status, l.to_status, l.cause,
    @base + INTERVAL n + l.version MICROSECOND
FROM {o}.numbers JOIN {o}.lives l ON l.digit = n MOD 10 AND l.of_payment;
INSERT INTO {p}.refunds (id, payment_id, amount, currency, status, reason, created_at, updated_at)
SELECT r.id, r.payment_id, 1000, 'CNY', 'SUCCEEDED', r.reason, r.created_at, r.created_at
FROM {o}.refunds r;
INSERT INTO {p}.ledger_entries (posting_id, line, payment_id, account, amount, currency, created_at)
SELECT CONCAT('capture:', {uuid:h.payment_id}),
    s.line, h.payment_id, s.account, s.sign * 1000, 'CNY', h.at
FROM {p}.payment_history h JOIN (SELECT 1 AS line, 'provider_clearing' AS account, 1 AS sign
    UNION ALL SELECT 2, 'order_funds', -1) s WHERE h.to_status = 'SUCCEEDED';
INSERT INTO {p}.ledger_entries (posting_id, line, payment_id, account, amount, currency, created_at)
SELECT CONCAT('refund:', {uuid:r.id}),
    s.line, h.payment_id, s.account, s.sign * 1000, 'CNY', h.at
FROM {p}.payment_history h JOIN {p}.refunds r ON r.payment_id = h.payment_id
JOIN (SELECT 1 AS line, 'order_funds' AS account, 1 AS sign
    UNION ALL SELECT 2, 'provider_clearing', -1) s WHERE h.to_status = 'REFUNDED';
INSERT INTO {p}.provider_charges (reference, amount, currency, captured, decline_reason, due_at,
    refund_id)
SELECT p.id, p.amount, p.currency, CASE p.status WHEN 'PENDING' THEN NULL WHEN 'FAILED' THEN 0
    ELSE 1 END, p.failure_reason, p.created_at, r.id
FROM {p}.payments p LEFT JOIN {p}.refunds r ON r.payment_id = p.id;

INSERT INTO {o}.inbox (consumer, event_id, received_at)
SELECT 'order-service', CONCAT('payment.', LOWER(to_status), ':',
    {uuid:payment_id}, ':',
    version), at
FROM {p}.payment_history WHERE to_status IN ('SUCCEEDED', 'FAILED', 'REFUNDED');
INSERT INTO {n}.notifications (id, user_id, event, event_id, subject, title, body, created_at)
SELECT UNHEX(CONCAT('06', LPAD(HEX(h.version), 2, '0'), SUBSTR(HEX(h.order_id), 5))), o.user_id,
    CONCAT('order.', LOWER(h.to_status)), CONCAT('order.', LOWER(h.to_status), ':',
    {uuid:h.order_id}, ':',
    h.version), h.order_id, 'Your order', '', h.occurred_at
FROM {o}.order_history h JOIN {o}.orders o ON o.id = h.order_id;

-- What the audit log says of all that. Its seals are no seals: nobody can make one in SQL.
INSERT INTO {u}.audit_log (id, object, seq, action, service, actor, user_id, after_state,
    occurred_at, key_id, seal)
SELECT UNHEX(CONCAT('0A', SUBSTR(HEX(id), 3))), CONCAT('user:', {uuid:id}), 1, 'user.registered',
    'user-service', 'system:test', id, JSON_OBJECT('version', version, 'status', status, 'roles',
    'customer'), @base, x'00000000', UNHEX(SHA2(id, 256)) FROM {u}.users;
INSERT INTO {o}.audit_log (id, object, seq, action, service, actor, after_state, occurred_at,
    key_id, seal)
SELECT x'0B', CONCAT('product:', sku), 1, 'product.created', 'order-service', 'system:test',
    JSON_OBJECT('name', name, 'unit_price', unit_price, 'currency', currency, 'stock', stock,
    'version', version), @base, x'00000000', UNHEX(SHA2(sku, 256)) FROM {o}.products;
INSERT INTO {o}.audit_log (id, object, seq, action, service, actor, user_id, after_state,
    occurred_at, key_id, prev_seal, seal)
SELECT UNHEX(CONCAT('0C', LPAD(HEX(h.version), 2, '0'), SUBSTR(HEX(h.order_id), 5))),
    CONCAT('order:', {uuid:h.order_id}), h.version, CONCAT('order.', LOWER(h.to_status)),
    'order-service', h.actor, o.user_id, JSON_OBJECT('version', h.version, 'status', h.to_status,
    'total', o.total, 'currency', o.currency, 'refund_id', IF(h.version > 2, {uuid:r.id}, NULL)),
    h.occurred_at, x'00000000',
    IF(h.version = 1, NULL, UNHEX(SHA2(CONCAT(HEX(h.order_id), h.version - 1), 256))),
    UNHEX(SHA2(CONCAT(HEX(h.order_id), h.version), 256))
FROM {o}.order_history h JOIN {o}.orders o ON o.id = h.order_id
LEFT JOIN {o}.refunds r ON r.order_id = o.id;
INSERT INTO {p}.audit_log (id, object, seq, action, service, actor, user_id, after_state,
    occurred_at, key_id, prev_seal, seal)
SELECT UNHEX(CONCAT('0D', LPAD(HEX(h.version), 2, '0'), SUBSTR(HEX(h.payment_id), 5))),
    CONCAT('payment:', {uuid:h.payment_id}), h.version, CONCAT('payment.', LOWER(h.to_status)),
    'payment-service', 'system:test', p.user_id, JSON_OBJECT('version', h.version, 'status',
    h.to_status, 'amount', p.amount, 'currency', p.currency, 'refund_status', r.status), h.at,
    x'00000000',
    IF(h.version = 1, NULL, UNHEX(SHA2(CONCAT(HEX(h.payment_id), h.version - 1), 256))),
    UNHEX(SHA2(CONCAT(HEX(h.payment_id), h.version), 256))
FROM {p}.payment_history h JOIN {p}.payments p ON p.id = h.payment_id
LEFT JOIN {p}.refunds r ON r.payment_id = p.id;
