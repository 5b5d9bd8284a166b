-- The price list. Stock is what can still be ordered: reserving is a guarded decrement, so that it
-- never falls below zero, whatever runs at the same time.
CREATE TABLE IF NOT EXISTS products (
    sku VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    name VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    unit_price BIGINT NOT NULL,
    currency CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    stock INT UNSIGNED NOT NULL,
    version BIGINT UNSIGNED NOT NULL,
    updated_at DATETIME(6) NOT NULL
) ENGINE=InnoDB;
