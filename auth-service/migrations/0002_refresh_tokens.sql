-- Refresh tokens, by the SHA-256 of the token: the table holds nothing that could be presented.
-- Spent ones stay as long as their session, because presenting one again proves a theft.
CREATE TABLE IF NOT EXISTS refresh_tokens (
    digest     BINARY(32)                                           NOT NULL PRIMARY KEY,
    session_id BINARY(16)                                           NOT NULL,
    state      VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin    NOT NULL,
    issued_at  DATETIME(6)                                          NOT NULL,
    spent_at   DATETIME(6)                                          NULL,
    successor  BINARY(32)                                           NULL,
    KEY refresh_tokens_session (session_id),
    CONSTRAINT refresh_tokens_session FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE
) ENGINE = InnoDB;
