-- Each history row carries the hash of its content and of the row before it, so that a row that is
-- changed, removed or slipped in later shows. NULL in rows that were written without it; the chain
-- of an order begins at its first row that has a hash.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'order_history' AND column_name = 'hash');
-- A migration that was cut off runs again, and not every server knows ADD COLUMN IF NOT EXISTS.
SET @change = IF(@missing,
    'ALTER TABLE order_history ADD COLUMN prev_hash BINARY(32) NULL, ADD COLUMN hash BINARY(32) NULL',
    'DO 0');
PREPARE history_chain FROM @change;
EXECUTE history_chain;
DEALLOCATE PREPARE history_chain;
