-- Signing keys. The private part is sealed with AES-256-GCM under a key derived from the configured
-- one. At most one key signs: `signs` is 1 for it and NULL for the others, and unique. A retired
-- key stays in the published set until `published_until`, for the tokens that it signed.
CREATE TABLE IF NOT EXISTS signing_keys (
    kid             VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    public_key      BINARY(32)                                        NOT NULL,
    sealed_key      VARBINARY(512)                                    NOT NULL,
    signs           TINYINT UNSIGNED                                  NULL,
    created_at      DATETIME(6)                                       NOT NULL,
    published_until DATETIME(6)                                       NULL,
    UNIQUE KEY signing_keys_signs (signs)
) ENGINE = InnoDB;
