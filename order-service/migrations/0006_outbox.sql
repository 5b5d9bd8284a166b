-- Events that wait for their publication; written with the change that they tell of.
CREATE TABLE IF NOT EXISTS outbox (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    event_id VARCHAR(160) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    routing_key VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    payload MEDIUMTEXT CHARACTER SET utf8mb4 NOT NULL,
    created_at DATETIME(6) NOT NULL,
    UNIQUE KEY outbox_event_id (event_id)
) ENGINE=InnoDB;
