-- Messages that were given up can be put back to be sent: why and when they were, and how many attempts
-- were made before. `attempts` goes on counting, because it tells whose attempt is settled. Address and token
-- of a message that is dead stay, sealed, until its link is over. Rows from before have neither.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'mails' AND column_name = 'died_at');
-- A migration that was cut off runs again, and not every server knows ADD COLUMN IF NOT EXISTS.
SET @change = IF(@missing,
    'ALTER TABLE mails ADD COLUMN died_at DATETIME(6) NULL, ADD COLUMN failure VARCHAR(255) NULL, ADD COLUMN earlier_attempts INT UNSIGNED NOT NULL DEFAULT 0, ADD KEY mails_dead (status, id)',
    'DO 0');
PREPARE dead_mails FROM @change;
EXECUTE dead_mails;
DEALLOCATE PREPARE dead_mails;
