-- Idempotency keys. The row is written with the first effect of its call, so a refused call leaves
-- none. `answer` is the order as it was answered; while it is NULL, the call holds a lease.
CREATE TABLE IF NOT EXISTS idempotency_claims (
    user_id BINARY(16) NOT NULL,
    operation VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    claim_key VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    fingerprint BINARY(32) NOT NULL,
    order_id BINARY(16) NOT NULL,
    payment_id BINARY(16) NULL,
    lease_until DATETIME(6) NOT NULL,
    answer MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (user_id, operation, claim_key),
    KEY idempotency_claims_age (created_at)
) ENGINE=InnoDB;
