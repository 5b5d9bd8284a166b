-- Attempts to pay. `open_order_id` equals the order while the attempt is unsettled and is NULL
-- afterwards, so its unique key allows one open attempt per order, and its index holds just the
-- open ones. `check_at` is when recovery asks next; it is also the lease of whoever asks.
CREATE TABLE IF NOT EXISTS payment_attempts (
    id BINARY(16) NOT NULL PRIMARY KEY,
    order_id BINARY(16) NOT NULL,
    open_order_id BINARY(16) NULL,
    method VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    actor VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    outcome VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL,
    failure_reason VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    checks INT UNSIGNED NOT NULL,
    check_at DATETIME(6) NULL,
    trace_id VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at DATETIME(6) NOT NULL,
    settled_at DATETIME(6) NULL,
    UNIQUE KEY payment_attempts_open (open_order_id),
    KEY payment_attempts_order (order_id),
    KEY payment_attempts_due (check_at)
) ENGINE=InnoDB;
