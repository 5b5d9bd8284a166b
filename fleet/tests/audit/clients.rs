//! A history that clients wrote, against books that disagree with it.

use std::path::PathBuf;

use anyhow::Result;
use fleet::audit::{self, Report};
use serde_json::{Value, json};

use crate::books::{Books, ORDER, USER, hex, id};

/// A call that placed the first order of the books under the key that they hold for it.
fn placed() -> Value {
    json!({
        "op": "place", "user_id": id(USER, 0), "order_id": id(ORDER, 0),
        "key": hex(&id(ORDER, 0)).to_uppercase(), "method": "POST", "route": "/api/v1/orders",
        "body_sha256": "aa", "reply_sha256": "bb", "outcome": "ok", "status": 201,
        "order_status": "PAID", "order_version": 2,
        "started_at": "2026-01-01T00:00:00.000000Z", "ended_at": "2026-01-01T00:00:00.100000Z",
    })
}

fn with(mut call: Value, changes: Value) -> Value {
    if let (Some(call), Value::Object(changes)) = (call.as_object_mut(), changes) {
        call.extend(changes);
    }
    call
}

async fn audited(books: &Books, calls: &[Value]) -> Result<Report> {
    let file = history(&calls.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"))?;
    let mut sources = books.sources();
    sources.history = Some(file.clone());
    let report = audit::run(&sources).await;
    std::fs::remove_file(file)?;
    report
}

fn history(text: &str) -> Result<PathBuf> {
    let file = std::env::temp_dir().join(format!("ehub-history-{:08x}", rand::random::<u32>()));
    std::fs::write(&file, text)?;
    Ok(file)
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_clients_were_told_is_compared_with_what_is_stored() -> Result<()> {
    let books = Books::filled(10).await?;
    let lost = json!({"outcome": "unknown", "status": 0, "order_id": null, "reply_sha256": null});
    let read = with(placed(), json!({"op": "read", "key": null, "method": "GET"}));
    let report = audited(&books, &[with(placed(), lost), placed(), placed(), read.clone()]).await?;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.counts["client calls"], 4);
    assert!(report.unseen.iter().all(|unseen| unseen.invariant.to_string() != "I8"), "{report}");

    let other = id(ORDER, 1);
    for (check, invariant, call) in [
        ("replies_to_one_key_differ", "I7", with(placed(), json!({"reply_sha256": "cc"}))),
        ("key_accepted_for_two_requests", "I7", with(placed(), json!({"body_sha256": "cc"}))),
        ("acknowledged_write_is_lost", "I8", with(placed(), json!({"key": "lost"}))),
        ("acknowledged_write_is_lost", "I8", with(read.clone(), json!({"order_id": id(9, 9)}))),
        ("answer_tells_what_never_was", "I8", with(read, json!({"order_status": "SHIPPED"}))),
        ("keyed_call_has_two_effects", "I10", with(placed(), json!({"order_id": other}))),
    ] {
        let report = audited(&books, &[placed(), call]).await?;
        let found = report.of_check(check);
        assert_eq!(found.len(), 1, "{check}\n{report}");
        assert_eq!(found[0].invariant.to_string(), invariant);
    }
    let refused = json!({"outcome": "refused", "status": 422, "reply_sha256": null});
    let report = audited(&books, &[with(placed(), refused)]).await?;
    assert_eq!(report.of_check("refused_call_has_an_effect").len(), 1, "{report}");
    books.remove().await
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn half_a_history_is_no_history() -> Result<()> {
    let books = Books::create().await?;
    let mut sources = books.sources();
    let file = history(&format!("{}\n{{\"op\":\"pla", placed()))?;
    sources.history = Some(file.clone());
    let error = audit::run(&sources).await.err().map(|error| format!("{error:#}"));
    assert!(error.as_deref().unwrap_or_default().contains("line 2"), "{error:?}");
    std::fs::remove_file(file)?;
    books.remove().await
}
