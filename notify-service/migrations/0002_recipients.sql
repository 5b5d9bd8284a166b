-- What this service knows of a user, told by user-service's events: only the language to write in.
-- `version` is the user's version that told it, so that an older event never undoes a newer one; 0:
-- nothing was told yet. The row's lock also puts changes of what the user muted in order.
CREATE TABLE IF NOT EXISTS recipients (
    user_id BINARY(16)  NOT NULL PRIMARY KEY,
    locale  VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    version BIGINT UNSIGNED NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What a user does not want to be told. Everything else is on, so that a new event needs no rows.
CREATE TABLE IF NOT EXISTS muted (
    user_id BINARY(16)  NOT NULL,
    event   VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    channel VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (user_id, event, channel)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
