-- The ledger and refunds, broken by hand. A head names the invariant, the check that has to
-- find it, and the subject to be named: `{id}` below. `{#order:1}` is an id, `{order:1}` its text.

-- ! I3 posting_does_not_balance capture:{payment:1}
UPDATE {p}.ledger_entries SET amount = 1001 WHERE line = 1 AND posting_id = 'capture:{payment:1}';

-- ! I3 posting_does_not_balance capture:{payment:1}
DELETE FROM {p}.ledger_entries WHERE line = 2 AND posting_id = 'capture:{payment:1}';

-- ! I3 ledger_does_not_balance CNY
UPDATE {p}.ledger_entries SET amount = amount + 1 WHERE line = 1 LIMIT 1;

-- ! I3 ledger_entry_was_rewritten capture:{payment:1}
UPDATE {p}.ledger_entries SET created_at = created_at + INTERVAL 1 SECOND
    WHERE posting_id = 'capture:{payment:1}';

-- ! I3 booked_and_never_happened capture:{payment:1}
UPDATE {p}.payments SET status = 'FAILED' WHERE id = {#payment:1};

-- ! I3 posting_is_not_named_after_what_it_books capture:again
INSERT INTO {p}.ledger_entries SELECT 'capture:again', line, payment_id, account, amount,
    currency, created_at FROM {p}.ledger_entries WHERE posting_id = 'capture:{payment:1}';

-- ! I5 refund_is_not_the_captured_amount {refund:8}
UPDATE {p}.refunds SET amount = 1001 WHERE id = {id};

-- ! I4 refund_without_request {refund:8}
DELETE FROM {o}.refunds WHERE id = {id};

-- ! I4 refund_not_made {refund:8}
UPDATE {o}.refunds SET done_at = NULL, try_at = created_at WHERE id = {id};

-- ! I4 refund_done_without_money_back {refund:8}
UPDATE {p}.payments p JOIN {p}.refunds r ON r.payment_id = p.id SET p.status = 'REFUNDING'
    WHERE r.id = {id};

-- ! I4 refunded_more_than_once {payment:8}
ALTER TABLE {p}.refunds DROP KEY refunds_payment;
INSERT INTO {p}.refunds SELECT x'08', payment_id, amount, currency, status, reason, created_at,
    updated_at FROM {p}.refunds WHERE payment_id = {id};

-- ! I22 unique_key_missing payment.callbacks
ALTER TABLE {p}.callbacks DROP PRIMARY KEY;

-- ! I22 provider_reference_twice sim_1
ALTER TABLE {p}.payments DROP KEY payments_provider_reference;
UPDATE {p}.payments SET provider_reference = 'sim_1' WHERE status = 'FAILED';

-- ! I3 surplus_not_booked {payment:6}
INSERT INTO {p}.refunds
    VALUES ({id}, {id}, 1000, 'CNY', 'PENDING', 'surplus_capture', '2026-01-01', '2026-01-01');

-- ! I4 surplus_not_given_back {payment:6}
INSERT INTO {p}.refunds
    VALUES ({id}, {id}, 1000, 'CNY', 'PENDING', 'surplus_capture', '2026-01-01', '2026-01-01');

-- ! I3 booked_and_never_happened surplus:{payment:1}
INSERT INTO {p}.ledger_entries SELECT 'surplus:{payment:1}', line, payment_id,
    REPLACE(account, 'order_funds', 'surplus_captures'), amount, currency, created_at
    FROM {p}.ledger_entries WHERE posting_id = 'capture:{payment:1}';
