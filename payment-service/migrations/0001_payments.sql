-- Payments and their history. The id is the attempt id that order-service chose.
--
-- `next_check_at` is when the reconciliation looks at the payment next, and at the same time the
-- lease of the worker that does: it is put off before the provider is asked. NULL: settled.
CREATE TABLE IF NOT EXISTS payments (
    id                 BINARY(16)      NOT NULL PRIMARY KEY,
    order_id           BINARY(16)      NOT NULL,
    user_id            BINARY(16)      NOT NULL,
    amount             BIGINT          NOT NULL,
    currency           CHAR(3)         CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    method             VARCHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    status             VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    provider_reference VARCHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NULL,
    failure_reason     VARCHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NULL,
    version            BIGINT UNSIGNED NOT NULL,
    created_at         DATETIME(6)     NOT NULL,
    updated_at         DATETIME(6)     NOT NULL,
    next_check_at      DATETIME(6)     NULL,
    checks             INT UNSIGNED    NOT NULL DEFAULT 0,
    UNIQUE KEY payments_provider_reference (provider_reference),
    KEY payments_order (order_id, created_at),
    KEY payments_next_check (next_check_at)
) ENGINE = InnoDB;

-- One row per version, written in the transaction of the move; never changed.
CREATE TABLE IF NOT EXISTS payment_history (
    payment_id  BINARY(16)      NOT NULL,
    version     BIGINT UNSIGNED NOT NULL,
    from_status VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NULL,
    to_status   VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    cause       VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    at          DATETIME(6)     NOT NULL,
    PRIMARY KEY (payment_id, version)
) ENGINE = InnoDB;
