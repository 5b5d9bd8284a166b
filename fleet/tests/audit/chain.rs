//! The hash chain over the history of orders, computed here independently of the auditor's SQL.

use anyhow::Result;
use aws_lc_rs::digest::{SHA256, digest};

use crate::books::{Books, ORDER, hex, id};

type Row = (Vec<u8>, u64, Option<String>, String, String, String, Option<Vec<u8>>, String, String);

const ROWS: &str = "SELECT order_id, version, CONVERT(from_status USING utf8mb4), \
    CONVERT(to_status USING utf8mb4), CONVERT(cause USING utf8mb4), \
    CONVERT(actor USING utf8mb4), payment_id, CONVERT(trace_id USING utf8mb4), \
    DATE_FORMAT(occurred_at, '%Y-%m-%dT%H:%i:%s.%fZ') \
    FROM {o}.order_history ORDER BY order_id, version";

/// Books whose history is chained, as order-service does it.
async fn chained() -> Result<Books> {
    let mut books = Books::filled(10).await?;
    let columns = format!(
        "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '{}' \
         AND TABLE_NAME = 'order_history' AND COLUMN_NAME = 'hash'",
        books.name("order")
    );
    if books.rows::<(i64,)>(&columns).await?[0].0 == 0 {
        books
            .run(
                "ALTER TABLE {o}.order_history ADD prev_hash BINARY(32) NULL, \
                 ADD hash BINARY(32) NULL",
            )
            .await?;
    }
    let mut before: Option<(Vec<u8>, String)> = None;
    for (order, version, from, to, cause, actor, payment, trace, at) in
        books.rows::<Row>(ROWS).await?
    {
        let previous = before.filter(|(same, _)| *same == order).map(|(_, hash)| hash);
        let text = [
            previous.clone().unwrap_or_else(|| "0".repeat(64)),
            uuid::Uuid::from_slice(&order)?.to_string(),
            version.to_string(),
            from.unwrap_or_else(|| "-".to_owned()),
            to,
            cause,
            actor,
            match payment {
                Some(id) => uuid::Uuid::from_slice(&id)?.to_string(),
                None => "-".to_owned(),
            },
            trace,
            at,
        ];
        let hash = encode(digest(&SHA256, text.join("|").as_bytes()).as_ref());
        let previous = previous.map_or_else(|| "NULL".to_owned(), |hash| format!("x'{hash}'"));
        let order_hex = encode(&order);
        books
            .run(&format!(
                "UPDATE {{o}}.order_history SET prev_hash = {previous}, hash = x'{hash}' \
                 WHERE order_id = x'{order_hex}' AND version = {version}"
            ))
            .await?;
        before = Some((order, hash));
    }
    Ok(books)
}

fn encode(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_chained_history_holds_until_somebody_rewrites_it() -> Result<()> {
    let refunded = id(ORDER, 8);
    let of = format!("WHERE order_id = x'{}' AND version = 2", hex(&refunded));
    for (check, sql) in [
        (
            "history_was_rewritten",
            format!("UPDATE {{o}}.order_history SET actor = 'system:x' {of}"),
        ),
        (
            "history_was_rewritten",
            format!(
                "UPDATE {{o}}.order_history SET occurred_at = occurred_at + INTERVAL 1 \
                 MICROSECOND {of}"
            ),
        ),
        ("history_chain_is_torn", format!("DELETE FROM {{o}}.order_history {of}")),
        (
            "history_chain_is_torn",
            format!("UPDATE {{o}}.order_history SET hash = NULL, prev_hash = NULL {of}"),
        ),
    ] {
        let mut books = chained().await?;
        let report = books.audit().await?;
        assert!(report.is_clean(), "{report}");
        assert!(!report.notes.iter().any(|note| note.contains("no hash")), "{report}");
        books.run(&sql).await?;
        let report = books.audit().await?;
        let found = report.of_check(check);
        assert!(!found.is_empty(), "{check} by {sql}\n{report}");
        for violation in found {
            assert_eq!(violation.subject, refunded, "{report}");
            assert_eq!(violation.invariant.to_string(), "I21");
        }
        books.remove().await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn rows_from_before_the_chain_are_counted() -> Result<()> {
    let mut books = chained().await?;
    let first = format!("WHERE order_id = x'{}' AND version = 1", hex(&id(ORDER, 0)));
    books
        .run(&format!("UPDATE {{o}}.order_history SET hash = NULL, prev_hash = NULL {first}"))
        .await?;
    let second = format!("WHERE order_id = x'{}' AND version = 2", hex(&id(ORDER, 0)));
    books
        .run(&format!("UPDATE {{o}}.order_history SET hash = NULL, prev_hash = NULL {second}"))
        .await?;
    let report = books.audit().await?;
    assert!(report.is_clean(), "{report}");
    assert!(report.notes.contains(&"2 order transitions have no hash".to_owned()), "{report}");
    books.remove().await
}
