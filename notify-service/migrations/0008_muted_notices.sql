-- What a user was not told of an event, having muted it when the event was handled; written where the
-- notification would have been. Preferences say only what is muted now, so without this row a silence
-- that was asked for and a notification that was lost look the same afterwards. It is kept as long as
-- notifications are. Events from before this table have no row here, nor have those that a replica of
-- the version before handles.
CREATE TABLE IF NOT EXISTS muted_notices (
    event_id   VARCHAR(160) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    channel    VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_id    BINARY(16)   NOT NULL,
    created_at DATETIME(6)  NOT NULL,
    PRIMARY KEY (event_id, channel)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
