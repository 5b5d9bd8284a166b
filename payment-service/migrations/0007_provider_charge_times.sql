-- When the simulated provider wrote a charge down. NULL in rows that are older than the column: they
-- count as written when they were decided.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'provider_charges'
    AND column_name = 'created_at');
-- A migration that was cut off runs again, and not every server knows ADD COLUMN IF NOT EXISTS.
SET @change = IF(@missing,
    'ALTER TABLE provider_charges ADD COLUMN created_at DATETIME(6) NULL',
    'DO 0');
PREPARE charge_times FROM @change;
EXECUTE charge_times;
DEALLOCATE PREPARE charge_times;
