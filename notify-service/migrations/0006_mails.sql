-- Messages to send by e-mail. `event_id` is unique: a redelivered event finds its message written. Address
-- and token stay sealed as they came, and are taken out once nothing is to be sent any more. Whoever sends
-- takes a message by moving `next_attempt_at` past the time that sending may take: should the process die,
-- it comes up again then. `attempts` counts what was begun, so that a message that kills its sender ends.
CREATE TABLE IF NOT EXISTS mails (
    id              BINARY(16)     NOT NULL PRIMARY KEY,
    event_id        VARCHAR(160)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    event           VARCHAR(80)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_id         BINARY(16)     NOT NULL,
    locale          VARCHAR(16)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sealed          VARBINARY(2000) NOT NULL,
    expires_at      DATETIME(6)    NOT NULL,
    status          VARCHAR(16)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    attempts        INT UNSIGNED   NOT NULL,
    next_attempt_at DATETIME(6)    NOT NULL,
    created_at      DATETIME(6)    NOT NULL,
    UNIQUE KEY mails_event_id (event_id),
    KEY mails_due (status, next_attempt_at),
    KEY mails_age (created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
