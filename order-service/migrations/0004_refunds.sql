-- Requests to give captured money back. The key by payment is what makes it once. `try_at` is when
-- the refund is asked for next, the lease of whoever asks, and NULL once the money went back.
CREATE TABLE IF NOT EXISTS refunds (
    id BINARY(16) NOT NULL PRIMARY KEY,
    order_id BINARY(16) NOT NULL,
    payment_id BINARY(16) NOT NULL,
    reason VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    checks INT UNSIGNED NOT NULL,
    try_at DATETIME(6) NULL,
    trace_id VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at DATETIME(6) NOT NULL,
    done_at DATETIME(6) NULL,
    UNIQUE KEY refunds_payment (payment_id),
    KEY refunds_order (order_id),
    KEY refunds_due (try_at)
) ENGINE=InnoDB;
