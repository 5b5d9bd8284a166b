//! The chain of an order's history, computed anew by someone who has only the schema.

use sqlx::AssertSqlSafe;

use crate::audit::BROKEN_LINKS;
use crate::calls::{payment_of, refund_of};
use crate::harness::{Harness, User};

/// An order with five versions.
async fn refunded(harness: &Harness, user: User) -> String {
    let order = harness.place(user, "pm_declined").await;
    harness.pay(user, payment_of(&order, "pm_ok")).await.unwrap();
    harness.refund(user, refund_of(&order)).await.unwrap();
    harness.service.request_refunds().await.unwrap();
    order.id
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn every_transition_is_chained_to_the_one_before() {
    let (harness, alice) = (Harness::start().await, User::customer());
    refunded(&harness, alice).await;
    refunded(&harness, alice).await;
    let sealed = "SELECT COUNT(*) FROM order_history WHERE hash IS NOT NULL";
    assert_eq!(harness.count(sealed).await, 10);
    let chained = "SELECT COUNT(DISTINCT prev_hash) FROM order_history WHERE version > 1";
    assert_eq!(harness.count(chained).await, 8);
    assert_eq!(harness.count(BROKEN_LINKS).await, 0);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn whoever_changes_a_row_breaks_the_chain() {
    let (harness, alice) = (Harness::start().await, User::customer());
    refunded(&harness, alice).await;
    let kept = "CREATE TABLE kept AS SELECT * FROM order_history";
    run(&harness, kept.to_owned()).await;
    for change in [
        "version = 17",
        "from_status = 'SHIPPED'",
        "to_status = 'CANCELLED'",
        "cause = 'payment.failed'",
        "actor = 'system:nobody'",
        "payment_id = NULL",
        "trace_id = 'f'",
        "occurred_at = occurred_at + INTERVAL 1 MICROSECOND",
        "prev_hash = NULL",
        "hash = UNHEX(REPEAT('00', 32))",
    ] {
        let update = format!("UPDATE order_history SET {change} WHERE version = 3");
        assert_eq!(run(&harness, update).await, 1);
        assert!(harness.count(BROKEN_LINKS).await > 0, "{change}");
        restore(&harness).await;
    }
    run(&harness, "DELETE FROM order_history WHERE version = 3".to_owned()).await;
    assert!(harness.count(BROKEN_LINKS).await > 0, "a removed row");
    restore(&harness).await;
    run(&harness, "DROP TABLE kept".to_owned()).await;
    harness.finish().await;
}

/// Undoes what was changed.
async fn restore(harness: &Harness) {
    run(harness, "DELETE FROM order_history".to_owned()).await;
    run(harness, "INSERT INTO order_history SELECT * FROM kept".to_owned()).await;
    assert_eq!(harness.count(BROKEN_LINKS).await, 0);
}

async fn run(harness: &Harness, statement: String) -> u64 {
    let done = sqlx::query(AssertSqlSafe(statement)).execute(&harness.pool).await;
    done.unwrap().rows_affected()
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_history_that_began_without_a_chain_is_chained_from_the_next_row_on() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_declined").await;
    let forget = "UPDATE order_history SET hash = NULL, prev_hash = NULL";
    sqlx::query(forget).execute(&harness.pool).await.unwrap();
    harness.pay(alice, payment_of(&order, "pm_declined")).await.unwrap();
    harness.pay(alice, payment_of(&order, "pm_ok")).await.unwrap();
    let unsealed = "SELECT COUNT(*) FROM order_history WHERE hash IS NULL";
    assert_eq!(harness.count(unsealed).await, 2);
    // The rows without a hash are all that does not fit.
    assert_eq!(harness.count(BROKEN_LINKS).await, 2);
    harness.discard().await;
}
