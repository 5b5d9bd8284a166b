//! A hundred thousand orders are audited as a few are.

use std::time::Instant;

use anyhow::Result;

use crate::books::{Books, ORDER, hex, id};

/// How many, unless `EH_TEST_AUDIT_ORDERS` says otherwise.
const ORDERS: u32 = 100_000;

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_hundred_thousand_orders_are_looked_at_one_by_one() -> Result<()> {
    let given = fleet::environment::find("EH_TEST_AUDIT_ORDERS").and_then(|text| text.parse().ok());
    let orders: u32 = given.unwrap_or(ORDERS);
    let start = Instant::now();
    let mut books = Books::filled(orders).await?;
    println!("filled in {:?}", start.elapsed());
    // The server would take its time to find out that the tables are not small any more.
    for table in [
        "{o}.orders",
        "{o}.order_history",
        "{o}.order_items",
        "{o}.payment_attempts",
        "{o}.audit_log",
        "{p}.audit_log",
    ] {
        books.run(&format!("ANALYZE TABLE {table}")).await?;
    }
    let start = Instant::now();
    let report = books.audit().await?;
    println!("audited in {:?}", start.elapsed());
    let mut timings = report.timings.clone();
    timings.sort_by_key(|(_, elapsed)| std::cmp::Reverse(*elapsed));
    for (name, elapsed) in timings.iter().take(12) {
        println!("  {name}: {elapsed:?}");
    }
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.counts["orders"], u64::from(orders));
    assert_eq!(report.counts["provider charges"], u64::from(orders));

    // One wrong row among all of them is found.
    let middle = id(ORDER, orders / 2);
    let wrong = format!("UPDATE {{o}}.orders SET total = 999 WHERE id = x'{}'", hex(&middle));
    books.run(&wrong).await?;
    let report = books.audit().await?;
    let found = report.of_check("order_total_is_not_the_sum_of_its_items");
    assert_eq!(found.iter().map(|found| &found.subject).collect::<Vec<_>>(), [&middle]);
    books.remove().await
}
