-- Orders, broken by hand. A head names the invariant, the check that has to
-- find it, and the subject to be named: `{id}` below. `{#order:1}` is an id, `{order:1}` its text.

-- ! I1 paid_order_without_payment {order:0}
UPDATE {o}.orders SET payment_id = x'00' WHERE id = {id};

-- ! I1 paid_order_and_payment_differ {order:1}
UPDATE {p}.payments SET amount = 999 WHERE order_id = {id};

-- ! I1 paid_order_and_payment_differ {order:2}
UPDATE {p}.payments SET status = 'FAILED' WHERE order_id = {id};

-- ! I5 order_total_is_not_the_sum_of_its_items {order:3}
UPDATE {o}.order_items SET quantity = 3 WHERE order_id = {id};

-- ! I5 order_total_is_not_the_sum_of_its_items {order:3}
DELETE FROM {o}.order_items WHERE order_id = {id};

-- ! I5 order_amount_out_of_bounds {order:3}
UPDATE {o}.orders SET total = 0 WHERE id = {id};

-- ! I5 order_item_out_of_bounds {order:3}
UPDATE {o}.order_items SET unit_price = -500 WHERE order_id = {id};

-- ! I5 item_without_order {order:77}
INSERT INTO {o}.order_items VALUES ({id}, 0, 'TEA-001', 'Tea', 500, 1);

-- ! I6 order_step_is_not_declared {order:7}
UPDATE {o}.order_history SET to_status = 'PAID' WHERE order_id = {id} AND version = 3;

-- ! I6 order_step_is_not_declared {order:0}
UPDATE {o}.order_history SET cause = 'shipped' WHERE order_id = {id} AND version = 2;

-- ! I6 order_history_has_a_gap {order:8}
DELETE FROM {o}.order_history WHERE order_id = {id} AND version = 2;

-- ! I6 order_history_has_a_gap {order:0}
DELETE FROM {o}.order_history WHERE order_id = {id} AND version = 1;

-- ! I6 order_and_its_history_differ {order:7}
UPDATE {o}.orders SET status = 'PAID' WHERE id = {id};

-- ! I6 order_and_its_history_differ {order:0}
DELETE FROM {o}.order_history WHERE order_id = {id};

-- ! I6 order_history_without_order {order:6}
DELETE FROM {o}.orders WHERE id = {id};

-- ! I1 two_attempts_open {order:9}
INSERT INTO {o}.payment_attempts (id, order_id, open_order_id, method, actor, checks, trace_id,
    created_at) VALUES (x'01', {id}, x'01', 'pm_ok', 'system:test', 0, '', UTC_TIMESTAMP(6));

-- ! I1 refunded_order_without_refund {order:8}
DELETE FROM {o}.refunds WHERE order_id = {id};

-- ! I4 closed_order_keeps_money {order:8}
DELETE FROM {p}.ledger_entries WHERE posting_id LIKE 'refund:%';

-- ! I3 paid_order_and_ledger_differ {order:4}
DELETE FROM {p}.ledger_entries WHERE payment_id IN (SELECT id FROM {p}.payments
    WHERE order_id = {id});

-- ! I13 transition_not_told {order:5}
DELETE FROM {n}.notifications WHERE subject = {id} AND event = 'order.paid';

-- ! I2 two_captures_kept {order:7}
UPDATE {p}.payments SET status = 'SUCCEEDED', order_id = {id} WHERE status IN ('SUCCEEDED',
    'FAILED');

-- ! I2 provider_keeps_two_captures {order:1}
UPDATE {p}.payments SET order_id = {id} WHERE status = 'SUCCEEDED';

-- ! I7 order_placed_under_two_keys {order:1}
INSERT INTO {o}.idempotency_claims SELECT user_id, operation, 'another', fingerprint, order_id,
    payment_id, lease_until, answer, created_at FROM {o}.idempotency_claims WHERE order_id = {id};
