-- Who settled an attempt, who asked for a refund, who learned that the money is back, and under which
-- trace. NULL in rows that were settled before this was written down.
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'payment_attempts'
    AND column_name = 'settled_by');
SET @change = IF(@missing,
    'ALTER TABLE payment_attempts ADD COLUMN settled_by VARCHAR(64)
        CHARACTER SET ascii COLLATE ascii_bin NULL,
     ADD COLUMN settle_trace_id VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL',
    'DO 0');
PREPARE settlements FROM @change;
EXECUTE settlements;
SET @missing = (SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'refunds' AND column_name = 'asked_by');
SET @change = IF(@missing,
    'ALTER TABLE refunds ADD COLUMN asked_by VARCHAR(64)
        CHARACTER SET ascii COLLATE ascii_bin NULL,
     ADD COLUMN done_by VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
     ADD COLUMN done_trace_id VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL',
    'DO 0');
PREPARE settlements FROM @change;
EXECUTE settlements;
DEALLOCATE PREPARE settlements;
