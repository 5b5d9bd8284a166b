-- Who changed what that concerns money or identity, written with the change. Rows are inserted and
-- never changed. Each object has a chain: a row's seal covers the seal of the row before it, and the
-- key of the seals is not in the database.
CREATE TABLE IF NOT EXISTS audit_log (
    id           BINARY(16)   NOT NULL PRIMARY KEY,
    object       VARCHAR(96)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    seq          INT UNSIGNED NOT NULL,
    action       VARCHAR(48)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    service      VARCHAR(32)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    actor        VARCHAR(96)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    actor_id     BINARY(16)   NULL,
    user_id      BINARY(16)   NULL,
    before_state TEXT         CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    after_state  TEXT         CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    request_id   VARCHAR(128) CHARACTER SET ascii   COLLATE ascii_bin   NULL,
    trace_id     VARCHAR(32)  CHARACTER SET ascii   COLLATE ascii_bin   NULL,
    occurred_at  DATETIME(6)  NOT NULL,
    key_id       BINARY(4)    NOT NULL,
    prev_seal    BINARY(32)   NULL,
    seal         BINARY(32)   NOT NULL,
    UNIQUE KEY audit_log_chain (object, seq),
    KEY audit_log_user (user_id, id),
    KEY audit_log_actor (actor_id, id)
) ENGINE = InnoDB;
