-- The memory of the simulated provider. No table of ours refers to it: a real provider has its own.
CREATE TABLE IF NOT EXISTS provider_charges (
    reference      BINARY(16)  NOT NULL PRIMARY KEY,
    amount         BIGINT      NOT NULL,
    currency       CHAR(3)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- NULL: never decided.
    captured       BOOLEAN     NULL,
    decline_reason VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    due_at         DATETIME(6) NOT NULL,
    refund_id      BINARY(16)  NULL
) ENGINE = InnoDB;
