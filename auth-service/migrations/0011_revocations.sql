-- What makes access tokens worthless before their time, for whoever verifies tokens at an edge. A row
-- is either a session that ended (SESSION), or what the tokens of an account have to comply with since
-- it last changed (ACCOUNT; see the message AccountRule). Rows are swept when no access token can be
-- alive that they concern. `recorded_at` is the time of the database, in which the feed is read.
CREATE TABLE IF NOT EXISTS revocations (
    subject       BINARY(16)                                        NOT NULL PRIMARY KEY,
    kind          VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    version       BIGINT UNSIGNED                                   NOT NULL,
    is_disabled   TINYINT UNSIGNED                                  NOT NULL,
    sessions_from BIGINT UNSIGNED                                   NOT NULL,
    kept_session  BINARY(16)                                        NULL,
    roles_from    BIGINT UNSIGNED                                   NOT NULL,
    recorded_at   DATETIME(6)                                       NOT NULL,
    KEY revocations_recorded_at (recorded_at)
) ENGINE = InnoDB;
