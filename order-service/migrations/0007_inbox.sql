-- Events that were applied; written with their effect, so that a repeated delivery has none.
CREATE TABLE IF NOT EXISTS inbox (
    consumer VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    event_id VARCHAR(160) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    received_at DATETIME(6) NOT NULL,
    PRIMARY KEY (consumer, event_id),
    KEY inbox_received_at (received_at)
) ENGINE=InnoDB;
