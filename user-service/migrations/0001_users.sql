-- Accounts. An e-mail address is kept as it was given and compared by its normalised form, which
-- is unique: two registrations of one address meet at this key, whatever their timing.
CREATE TABLE IF NOT EXISTS users (
    id               BINARY(16)                                              NOT NULL PRIMARY KEY,
    email            VARCHAR(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin  NOT NULL,
    email_normalized VARCHAR(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin  NOT NULL,
    display_name     VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin  NOT NULL,
    locale           VARCHAR(16)  CHARACTER SET ascii   COLLATE ascii_bin    NOT NULL,
    status           VARCHAR(16)  CHARACTER SET ascii   COLLATE ascii_bin    NOT NULL,
    password_hash    VARCHAR(160) CHARACTER SET ascii   COLLATE ascii_bin    NOT NULL,
    session_epoch    BIGINT UNSIGNED                                         NOT NULL,
    version          BIGINT UNSIGNED                                         NOT NULL,
    created_at       DATETIME(6)                                             NOT NULL,
    updated_at       DATETIME(6)                                             NOT NULL,
    UNIQUE KEY users_email (email_normalized)
) ENGINE = InnoDB;
