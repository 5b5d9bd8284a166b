-- Finds the live sessions of a user, the most recently used first: for the list of them, for their
-- bound, and for ending them all.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'sessions' AND index_name = 'sessions_live');
-- A migration that was cut off runs again, and not every server knows ADD KEY IF NOT EXISTS.
SET @change = IF(@missing,
    'ALTER TABLE sessions ADD KEY sessions_live (user_id, status, last_used_at, id)', 'DO 0');
PREPARE live_sessions FROM @change;
EXECUTE live_sessions;
DEALLOCATE PREPARE live_sessions;
