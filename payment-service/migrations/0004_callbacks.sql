-- Every callback with a good signature, and what became of it. Deliveries of the same callback with
-- the same ruling are counted in one row, so that a provider that repeats itself cannot fill the
-- table. Whether a callback has moved a payment is decided by `inbox`, not here.
CREATE TABLE IF NOT EXISTS callbacks (
    callback_id      VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    ruling           VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    payment_id       BINARY(16)   NULL,
    body             MEDIUMBLOB   NOT NULL,
    deliveries       INT UNSIGNED NOT NULL DEFAULT 1,
    received_at      DATETIME(6)  NOT NULL,
    last_received_at DATETIME(6)  NOT NULL,
    PRIMARY KEY (callback_id, ruling),
    KEY callbacks_payment (payment_id),
    KEY callbacks_age (last_received_at)
) ENGINE = InnoDB;

-- Callbacks that have moved a payment; written in the transaction of the move.
CREATE TABLE IF NOT EXISTS inbox (
    consumer    VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    event_id    VARCHAR(160) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    received_at DATETIME(6)  NOT NULL,
    PRIMARY KEY (consumer, event_id),
    KEY inbox_received_at (received_at)
) ENGINE = InnoDB;
