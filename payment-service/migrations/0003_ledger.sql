-- The double-entry ledger: debits positive, credits negative, the entries of one posting sum to zero
-- per currency. Rows are only ever inserted. A posting is named after what it books
-- (`capture:{payment}`, `refund:{refund}`), so the primary key refuses to book anything twice.
--
-- Triggers against UPDATE and DELETE are left out on purpose: with binary logging on, MySQL lets only
-- a privileged account create them, which a service's account is not.
CREATE TABLE IF NOT EXISTS ledger_entries (
    posting_id VARCHAR(64)      CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    line       TINYINT UNSIGNED NOT NULL,
    payment_id BINARY(16)       NOT NULL,
    account    VARCHAR(32)      CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    amount     BIGINT           NOT NULL,
    currency   CHAR(3)          CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at DATETIME(6)      NOT NULL,
    PRIMARY KEY (posting_id, line),
    KEY ledger_entries_payment (payment_id)
) ENGINE = InnoDB;
