-- Sessions: one per login. The row's lock orders everything that happens to a session's refresh
-- tokens, so there is never more than one live branch.
CREATE TABLE IF NOT EXISTS sessions (
    id             BINARY(16)                                             NOT NULL PRIMARY KEY,
    user_id        BINARY(16)                                             NOT NULL,
    session_epoch  BIGINT UNSIGNED                                        NOT NULL,
    status         VARCHAR(16)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    end_reason     VARCHAR(32)  CHARACTER SET ascii   COLLATE ascii_bin   NULL,
    user_agent     VARCHAR(256) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    client_address VARCHAR(45)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    version        BIGINT UNSIGNED                                        NOT NULL,
    created_at     DATETIME(6)                                            NOT NULL,
    last_used_at   DATETIME(6)                                            NOT NULL,
    expires_at     DATETIME(6)                                            NOT NULL,
    ended_at       DATETIME(6)                                            NULL,
    KEY sessions_user (user_id, id),
    KEY sessions_expires_at (expires_at)
) ENGINE = InnoDB;
