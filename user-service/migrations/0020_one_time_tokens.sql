-- `email_verified_at`: when the owner proved to receive mail at the address; NULL: not yet.
-- A migration that was cut off runs again, and not every server knows ADD COLUMN IF NOT EXISTS.
SET @add = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
    AND table_name = 'users' AND column_name = 'email_verified_at') = 0,
    'ALTER TABLE users ADD COLUMN email_verified_at DATETIME(6) NULL',
    'DO 0');
PREPARE add_column FROM @add;
EXECUTE add_column;
DEALLOCATE PREPARE add_column;

-- One-time tokens that are good for something. Of the token itself only the SHA-256 is here; whoever
-- uses a token up deletes its row, so that of two who try at once one does.
CREATE TABLE IF NOT EXISTS one_time_tokens (
    id               BINARY(16)                                              NOT NULL PRIMARY KEY,
    user_id          BINARY(16)                                              NOT NULL,
    purpose          VARCHAR(16)  CHARACTER SET ascii   COLLATE ascii_bin    NOT NULL,
    digest           BINARY(32)                                              NOT NULL,
    email_normalized VARCHAR(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin  NOT NULL,
    expires_at       DATETIME(6)                                             NOT NULL,
    UNIQUE KEY one_time_tokens_digest (digest),
    KEY one_time_tokens_live (user_id, purpose, expires_at),
    KEY one_time_tokens_age (expires_at),
    CONSTRAINT one_time_tokens_user FOREIGN KEY (user_id) REFERENCES users (id)
) ENGINE = InnoDB;

-- Addresses for which somebody asked for another password, whether an account has them or not: whoever
-- asks writes one row either way, and learns nothing from how long that takes. One row per address.
CREATE TABLE IF NOT EXISTS recovery_requests (
    id               BINARY(16)                                              NOT NULL PRIMARY KEY,
    email_normalized VARCHAR(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin  NOT NULL,
    requested_at     DATETIME(6)                                             NOT NULL,
    UNIQUE KEY recovery_requests_email (email_normalized),
    KEY recovery_requests_age (requested_at)
) ENGINE = InnoDB;
