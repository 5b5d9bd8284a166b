-- Orders, what is in them, and every step they took. Identities are UUIDv7: rows arrive at the end
-- of the primary key, and the two keys by user list a user's orders by age without a sort.
CREATE TABLE IF NOT EXISTS orders (
    id BINARY(16) NOT NULL PRIMARY KEY,
    user_id BINARY(16) NOT NULL,
    status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    total BIGINT NOT NULL,
    currency CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    version BIGINT UNSIGNED NOT NULL,
    payment_id BINARY(16) NULL,
    failure_reason VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    KEY orders_user (user_id, id),
    KEY orders_user_status (user_id, status, id),
    KEY orders_expiry (status, expires_at)
) ENGINE=InnoDB;

-- Name and price are copied: a later change of the price list does not change what was bought.
CREATE TABLE IF NOT EXISTS order_items (
    order_id BINARY(16) NOT NULL,
    position SMALLINT UNSIGNED NOT NULL,
    sku VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    unit_price BIGINT NOT NULL,
    quantity INT UNSIGNED NOT NULL,
    PRIMARY KEY (order_id, position)
) ENGINE=InnoDB;

-- One row per transition, keyed by the version that it led to: a version is reached once.
CREATE TABLE IF NOT EXISTS order_history (
    order_id BINARY(16) NOT NULL,
    version BIGINT UNSIGNED NOT NULL,
    from_status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL,
    to_status VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    cause VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    actor VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    payment_id BINARY(16) NULL,
    trace_id VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    occurred_at DATETIME(6) NOT NULL,
    PRIMARY KEY (order_id, version)
) ENGINE=InnoDB;
