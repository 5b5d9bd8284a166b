-- A key is published before it signs: `signs_from` is the earliest time for that, and `pending` is 1
-- until it does and NULL afterwards, and unique, so that of several replicas one makes the next key.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'signing_keys' AND column_name = 'pending');
-- A migration that was cut off runs again, and not every server knows ADD COLUMN IF NOT EXISTS.
SET @change = IF(@missing,
    'ALTER TABLE signing_keys ADD COLUMN signs_from DATETIME(6) NULL,
        ADD COLUMN pending TINYINT UNSIGNED NULL, ADD UNIQUE KEY signing_keys_pending (pending)',
    'DO 0');
PREPARE key_rotation FROM @change;
EXECUTE key_rotation;
DEALLOCATE PREPARE key_rotation;
