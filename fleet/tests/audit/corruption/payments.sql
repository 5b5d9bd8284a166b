-- Payments and attempts, broken by hand. A head names the invariant, the check that has to
-- find it, and the subject to be named: `{id}` below. `{#order:1}` is an id, `{order:1}` its text.

-- ! I1 captured_payment_without_paid_order {payment:1}
UPDATE {o}.orders SET status = 'EXPIRED' WHERE payment_id = {id};

-- ! I1 payment_without_attempt {payment:2}
DELETE FROM {o}.payment_attempts WHERE id = {id};

-- ! I1 attempt_and_payment_differ {payment:3}
UPDATE {o}.payment_attempts SET outcome = 'FAILED' WHERE id = {id};

-- ! I1 attempt_half_settled {payment:3}
UPDATE {o}.payment_attempts SET open_order_id = order_id WHERE id = {id};

-- ! I1 settled_payment_not_learnt {payment:9}
UPDATE {p}.payments SET status = 'SUCCEEDED' WHERE id = {id};

-- ! I1 attempt_never_received {payment:9}
DELETE FROM {p}.payments WHERE id = {id};

-- ! I1 attempt_without_order {payment:9}
DELETE FROM {o}.orders WHERE payment_id = {id};

-- ! I2 captured_there_and_not_here {payment:6}
UPDATE {p}.provider_charges SET captured = 1 WHERE reference = {id};

-- ! I2 captured_there_and_not_here {payment:9}
UPDATE {p}.provider_charges SET captured = 1 WHERE reference = {id};

-- ! I2 captured_here_and_not_there {payment:4}
UPDATE {p}.provider_charges SET captured = 0 WHERE reference = {id};

-- ! I2 payment_without_charge {payment:5}
DELETE FROM {p}.provider_charges WHERE reference = {id};

-- ! I2 charge_without_payment {payment:99}
INSERT INTO {p}.provider_charges (reference, amount, currency, captured, due_at)
    VALUES ({id}, 1000, 'CNY', 1, '2026-01-01');

-- ! I2 charge_and_payment_differ {payment:1}
UPDATE {p}.provider_charges SET amount = 1001 WHERE reference = {id};

-- ! I2 refunded_there_and_not_here {payment:1}
UPDATE {p}.provider_charges SET refund_id = x'01' WHERE reference = {id};

-- ! I2 refunded_here_and_not_there {payment:8}
UPDATE {p}.provider_charges SET refund_id = NULL WHERE reference = {id};

-- ! I2 payment_undecided_too_long {payment:9}
UPDATE {p}.payments SET next_check_at = NULL WHERE id = {id};

-- ! I2 captured_without_provider_reference {payment:1}
UPDATE {p}.payments SET provider_reference = NULL WHERE id = {id};

-- ! I3 capture_not_booked {payment:2}
DELETE FROM {p}.ledger_entries WHERE payment_id = {id};

-- ! I3 refund_not_booked {payment:8}
DELETE FROM {p}.ledger_entries WHERE payment_id = {id} AND posting_id LIKE 'refund:%';

-- ! I5 payment_amount_out_of_bounds {payment:2}
UPDATE {p}.payments SET amount = -1 WHERE id = {id};

-- ! I4 refund_and_payment_differ {payment:8}
UPDATE {p}.refunds SET status = 'PENDING' WHERE payment_id = {id};

-- ! I6 payment_step_is_not_declared {payment:6}
UPDATE {p}.payment_history SET from_status = 'SUCCEEDED' WHERE payment_id = {id} AND version = 2;

-- ! I6 payment_history_has_a_gap {payment:8}
DELETE FROM {p}.payment_history WHERE payment_id = {id} AND version = 3;

-- ! I6 payment_and_its_history_differ {payment:6}
UPDATE {p}.payments SET status = 'SUCCEEDED' WHERE id = {id};

-- ! I6 payment_history_without_payment {payment:1}
DELETE FROM {p}.payments WHERE id = {id};

-- ! I13 payment_event_not_applied {payment:3}
DELETE FROM {o}.inbox WHERE INSTR(REPLACE(event_id, '-', ''), LOWER(HEX({id}))) > 0;

-- ! I19 order_of_one_user_paid_as_another {payment:3}
UPDATE {p}.payments SET user_id = x'07' WHERE id = {id};
