-- Events that could not be processed, kept until an administrator replays or discards them, and
-- afterwards as the record of who did. `fingerprint` is the SHA-256 of the message and its
-- death count: a message that the broker hands out twice is stored once. `event_id` is empty when
-- the message holds no id that an event may have.
CREATE TABLE IF NOT EXISTS dead_letters (
    id          BINARY(16)   NOT NULL PRIMARY KEY,
    fingerprint BINARY(32)   NOT NULL,
    event_id    VARCHAR(160) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    routing_key VARCHAR(255) NOT NULL,
    reason      VARCHAR(255) NOT NULL,
    payload     MEDIUMBLOB   NOT NULL,
    status      VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at  DATETIME(6)  NOT NULL,
    decided_at  DATETIME(6)  NULL,
    decided_by  BINARY(16)   NULL,
    UNIQUE KEY dead_letters_fingerprint (fingerprint),
    KEY dead_letters_status (status, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
