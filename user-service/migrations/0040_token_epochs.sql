-- `session_epoch`: that of the account when the token was made; one that puts another password in force
-- is good in this epoch alone. NULL: made by a replica that does not know the column. Such a one is
-- good while its account has not changed at all since, and within its life (`links.recovery_life_s`) of the
-- last such replica none is left.
-- A migration that was cut off runs again, and not every server knows ADD COLUMN IF NOT EXISTS.
SET @add = IF((SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
    AND table_name = 'one_time_tokens' AND column_name = 'session_epoch') = 0,
    'ALTER TABLE one_time_tokens ADD COLUMN session_epoch BIGINT UNSIGNED NULL',
    'DO 0');
PREPARE add_column FROM @add;
EXECUTE add_column;
DEALLOCATE PREPARE add_column;
