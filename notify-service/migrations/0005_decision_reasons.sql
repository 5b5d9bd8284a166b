-- Why an administrator decided so about a dead letter, in their words. NULL where nobody said.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'dead_letters' AND column_name = 'decision_reason');
-- A migration that was cut off runs again, and not every server knows ADD COLUMN IF NOT EXISTS.
SET @change = IF(@missing,
    'ALTER TABLE dead_letters ADD COLUMN decision_reason VARCHAR(255) NULL',
    'DO 0');
PREPARE decision_reasons FROM @change;
EXECUTE decision_reasons;
DEALLOCATE PREPARE decision_reasons;
