-- Each event that arrived, and how often; written with what was made of it. The first key lists what
-- arrived about one aggregate, such as an order; the second forgets what is old.
CREATE TABLE IF NOT EXISTS event_receipts (
    event_id         VARCHAR(160)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    event            VARCHAR(80)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    subject          BINARY(16)      NOT NULL,
    user_id          BINARY(16)      NOT NULL,
    version          BIGINT UNSIGNED NOT NULL,
    trace_id         VARCHAR(32)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    deliveries       INT UNSIGNED    NOT NULL,
    received_at      DATETIME(6)     NOT NULL,
    last_received_at DATETIME(6)     NOT NULL,
    KEY event_receipts_subject (subject, version),
    KEY event_receipts_age (last_received_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- From when on everything that arrived is remembered: since this table was made, or since what the
-- last sweep forgot. An event that is not in the table above is missing only if its aggregate is
-- younger.
CREATE TABLE IF NOT EXISTS receipt_memory (
    id    TINYINT UNSIGNED NOT NULL PRIMARY KEY,
    since DATETIME(6)      NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT INTO receipt_memory (id, since) VALUES (1, UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE id = 1;
