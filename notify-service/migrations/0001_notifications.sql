-- The inbox of each user. `event_id` is unique: a redelivered event finds its notification written
-- and has no further effect, so this key is also what deduplicates the consumer.
CREATE TABLE IF NOT EXISTS notifications (
    id         BINARY(16)   NOT NULL PRIMARY KEY,
    user_id    BINARY(16)   NOT NULL,
    event      VARCHAR(80)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    event_id   VARCHAR(160) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    subject    BINARY(16)   NOT NULL,
    title      VARCHAR(200) NOT NULL,
    body       VARCHAR(1000) NOT NULL,
    created_at DATETIME(6)  NOT NULL,
    read_at    DATETIME(6)  NULL,
    UNIQUE KEY notifications_event_id (event_id),
    KEY notifications_user_id (user_id, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
