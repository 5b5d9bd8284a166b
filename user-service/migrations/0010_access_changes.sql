-- Accounts whose status, roles or password changed, which makes access tokens worthless before their
-- time. One row per account: the latest change, in the order in which auth-service reads them
-- (`changed_at` is the database's time). `sessions_from` and `roles_from` are the versions of the account
-- at which its sessions had to end and its roles changed; 0: never.
CREATE TABLE IF NOT EXISTS access_changes (
    user_id       BINARY(16)      NOT NULL PRIMARY KEY,
    version       BIGINT UNSIGNED NOT NULL,
    sessions_from BIGINT UNSIGNED NOT NULL,
    kept_session  BINARY(16)      NULL,
    roles_from    BIGINT UNSIGNED NOT NULL,
    changed_at    DATETIME(6)     NOT NULL,
    KEY access_changes_changed_at (changed_at)
) ENGINE = InnoDB;
