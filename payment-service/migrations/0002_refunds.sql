-- Refunds. A payment is refunded in full and once, hence the unique key.
CREATE TABLE IF NOT EXISTS refunds (
    id         BINARY(16)   NOT NULL PRIMARY KEY,
    payment_id BINARY(16)   NOT NULL,
    amount     BIGINT       NOT NULL,
    currency   CHAR(3)      CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    status     VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    reason     VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at DATETIME(6)  NOT NULL,
    updated_at DATETIME(6)  NOT NULL,
    UNIQUE KEY refunds_payment (payment_id)
) ENGINE = InnoDB;
