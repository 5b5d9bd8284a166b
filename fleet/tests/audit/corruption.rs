//! Every promise, broken by hand, is named with the promise and the id.

use anyhow::Result;

use crate::books::{Books, hex, id};

/// Ways to break the books, and how many orders the books hold; see the files.
const ORDERS: (&str, u32) = (include_str!("corruption/orders.sql"), 10);
const PAYMENTS: (&str, u32) = (include_str!("corruption/payments.sql"), 10);
const MONEY: (&str, u32) = (include_str!("corruption/money.sql"), 10);
const EVENTS: (&str, u32) = (include_str!("corruption/events.sql"), 20);
const LOG: (&str, u32) = (include_str!("corruption/log.sql"), 20);

/// In all files; a head that is not recognised would be one less.
const CORRUPTIONS: usize = 117;

/// What stands before the head of a corruption.
const HEAD: &str = "\n-- ! ";
/// Words for kinds of ids; see [`id`].
const KINDS: [(&str, u8); 7] = [
    ("order", 1),
    ("payment", 2),
    ("user", 3),
    ("session", 4),
    ("refund", 5),
    ("stranger", 7),
    ("nobody", 9),
];

/// A way to break the books: what the auditor has to say of it.
struct Corruption {
    invariant: String,
    check: String,
    subject: String,
    sql: String,
}

impl Corruption {
    /// Every corruption of a file.
    fn list(text: &str) -> Vec<Self> {
        text.split(HEAD).skip(1).filter_map(Self::parse).collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let (head, sql) = text.split_once('\n')?;
        let mut words = head.splitn(3, ' ').map(str::to_owned);
        let (invariant, check) = (words.next()?, words.next()?);
        let subject = with_ids(&words.next()?);
        let sql = with_ids(&sql.replace("{id}", &format!("x'{}'", hex(&subject))));
        Some(Self { invariant, check, subject, sql })
    }
}

/// `{order:1}` is the id of the first order as text, `{#order:1}` as a value.
fn with_ids(text: &str) -> String {
    let mut pieces = text.split('{');
    let mut result = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once('}').and_then(|(name, rest)| Some((known_id(name)?, rest))) {
            Some((id, rest)) => result.extend([id.as_str(), rest]),
            None => result.extend(["{", piece]),
        }
    }
    result
}

fn known_id(name: &str) -> Option<String> {
    if name == "digest" {
        return Some("AB".repeat(16) + &"00".repeat(16));
    }
    let (kind, number) = name.trim_start_matches('#').split_once(':')?;
    let (_, kind) = KINDS.into_iter().find(|(word, _)| *word == kind)?;
    let id = id(kind, number.parse().ok()?);
    Some(if name.starts_with('#') { format!("x'{}'", hex(&id)) } else { id })
}

#[test]
fn every_question_has_a_corruption_that_it_finds() {
    let files = [ORDERS, PAYMENTS, MONEY, EVENTS, LOG];
    let corruptions: Vec<Corruption> =
        files.iter().flat_map(|(text, _)| Corruption::list(text)).collect();
    assert_eq!(corruptions.len(), CORRUPTIONS);
    for check in fleet::audit::checks::ALL.iter().copied().flatten() {
        let found = corruptions.iter().find(|corruption| corruption.check == check.name);
        let found = found.unwrap_or_else(|| panic!("nothing breaks {}", check.name));
        assert_eq!(found.invariant, check.invariant.to_string(), "{}", check.name);
    }
    for name in fleet::audit::checks::of_log() {
        assert!(corruptions.iter().any(|corruption| corruption.check == name), "{name}");
    }
}

/// Breaks the books in one way after the other, each time anew.
async fn all_are_named((text, orders): (&str, u32)) -> Result<()> {
    let mut books = Books::create().await?;
    let mut missed = Vec::new();
    for Corruption { invariant, check, subject, sql } in Corruption::list(text) {
        books.fill(orders).await?;
        books.run(&sql).await?;
        let report = books.audit().await?;
        let is_named = report.of_check(&check).iter().any(|violation| {
            violation.subject == subject && violation.invariant.to_string() == invariant
        });
        if !is_named {
            missed.push(format!("{invariant} {check} {subject} by {sql}\n{report}"));
        }
    }
    books.remove().await?;
    assert!(missed.is_empty(), "{} not named:\n{}", missed.len(), missed.join("\n"));
    Ok(())
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn broken_orders_are_named() -> Result<()> {
    all_are_named(ORDERS).await
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn broken_payments_are_named() -> Result<()> {
    all_are_named(PAYMENTS).await
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn broken_books_and_refunds_are_named() -> Result<()> {
    all_are_named(MONEY).await
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn broken_events_and_accounts_are_named() -> Result<()> {
    all_are_named(EVENTS).await
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn broken_audit_logs_are_named() -> Result<()> {
    all_are_named(LOG).await
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn rights_on_another_schema_are_named() -> Result<()> {
    let mut books = Books::filled(10).await?;
    let (notify, order) = (books.name("notify"), books.name("order"));
    books.run(&format!("GRANT SELECT ON `{order}`.* TO '{notify}'@'%'")).await?;
    let report = books.audit().await?;
    let found = report.of_check("account_may_open_another_schema");
    assert_eq!(found.len(), 1, "{report}");
    assert!(found[0].subject.contains(&notify) && found[0].detail.contains("order"), "{report}");
    books.remove().await
}

/// The provider took money for a payment that has failed: booked beside it, and given back.
const SURPLUS: &str = "
    UPDATE {p}.provider_charges SET captured = 1, refund_id = reference
        WHERE reference = {#payment:6};
    INSERT INTO {p}.refunds VALUES ({#payment:6}, {#payment:6}, 1000, 'CNY', 'SUCCEEDED',
        'surplus_capture', '2026-01-01', '2026-01-01');
    INSERT INTO {p}.ledger_entries VALUES
        ('surplus:{payment:6}', 1, {#payment:6}, 'provider_clearing', 1000, 'CNY', '2026-01-01'),
        ('surplus:{payment:6}', 2, {#payment:6}, 'surplus_captures', -1000, 'CNY', '2026-01-01'),
        ('refund:{payment:6}', 1, {#payment:6}, 'surplus_captures', 1000, 'CNY', '2026-01-01'),
        ('refund:{payment:6}', 2, {#payment:6}, 'provider_clearing', -1000, 'CNY', '2026-01-01');
    INSERT INTO {p}.audit_log (id, object, seq, action, service, actor, after_state, occurred_at,
        key_id, prev_seal, seal) SELECT x'FF', object, 3, 'payment.surplus_refunded', service, actor,
        JSON_SET(after_state, '$.refund_status', 'SUCCEEDED'), occurred_at, key_id, seal, x'FF'
        FROM {p}.audit_log WHERE object = 'payment:{payment:6}' AND seq = 2";

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_surplus_capture_that_went_back_is_no_violation() -> Result<()> {
    let mut books = Books::filled(10).await?;
    books.run(&with_ids(SURPLUS)).await?;
    let report = books.audit().await?;
    assert!(report.is_clean(), "{report}");
    books
        .run("DELETE FROM {p}.ledger_entries WHERE posting_id LIKE 'refund:%' AND line < 3")
        .await?;
    let report = books.audit().await?;
    assert_eq!(report.of_check("surplus_not_booked").len(), 1, "{report}");
    books.remove().await
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn stock_that_does_not_balance_is_named() -> Result<()> {
    let mut books = Books::filled(10).await?;
    let mut sources = books.sources();
    // Twice ten are on the shelf; eight of ten orders hold two pieces each.
    sources.stock.insert("TEA-001".to_owned(), 20 + 16);
    let report = fleet::audit::run(&sources).await?;
    assert!(report.is_clean(), "{report}");
    books.run("UPDATE {o}.products SET stock = stock + 2").await?;
    let report = fleet::audit::run(&sources).await?;
    assert_eq!(report.of_check("stock_does_not_balance").len(), 1, "{report}");
    books.remove().await
}

/// Its user was not told of one order, having muted the topic, and listens again.
const MUTED: &str = "
    INSERT INTO {n}.muted_notices (event_id, channel, user_id, created_at)
        SELECT event_id, 'in_app', user_id, created_at FROM {n}.notifications
        WHERE event_id = 'order.paid:{order:5}:2';
    DELETE FROM {n}.notifications WHERE event_id = 'order.paid:{order:5}:2'";
const LOST: &str = "DELETE FROM {n}.notifications WHERE event_id = 'order.paid:{order:4}:2'";
/// What a replica of before there were marks leaves.
const MUTED_NOW: &str = "INSERT INTO {n}.muted (user_id, event, channel)
    VALUES ({#user:0}, 'order.paid', 'in_app')";

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn who_muted_a_topic_and_listens_again_is_not_taken_for_who_was_not_told() -> Result<()> {
    let mut books = Books::filled(10).await?;
    books.run(&with_ids(MUTED)).await?;
    let report = books.audit().await?;
    assert!(report.is_clean(), "{report}");
    books.run(&with_ids(LOST)).await?;
    let report = books.audit().await?;
    let found = report.of_check("transition_not_told");
    assert_eq!(found.iter().map(|one| &one.subject).collect::<Vec<_>>(), [&id(1, 4)], "{report}");
    books.run(&with_ids(MUTED_NOW)).await?;
    let report = books.audit().await?;
    assert!(report.is_clean(), "{report}");
    books.remove().await
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_is_under_way_is_given_its_grace() -> Result<()> {
    let mut books = Books::filled(10).await?;
    books.run("DELETE FROM {n}.notifications WHERE event = 'order.paid'").await?;
    books.run("UPDATE {o}.order_history SET occurred_at = UTC_TIMESTAMP(6)").await?;
    let mut sources = books.sources();
    sources.grace = std::time::Duration::from_hours(1);
    let report = fleet::audit::run(&sources).await?;
    assert!(report.is_clean(), "{report}");
    assert!(!books.audit().await?.is_clean());
    books.remove().await
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_fleet_that_does_not_come_to_rest_is_told_of_and_still_audited() -> Result<()> {
    let mut books = Books::filled(10).await?;
    let waiting = "INSERT INTO {u}.outbox (event_id, routing_key, payload, created_at) \
                   VALUES ('x:y:1', 'x', '{}', UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)";
    books.run(waiting).await?;
    let mut sources = books.sources();
    sources.settle = Some(std::time::Duration::from_millis(200));
    let report = fleet::audit::run(&sources).await?;
    assert!(report.notes.iter().any(|n| n.contains("1 events to be published")), "{report}");
    assert_eq!(report.of_check("event_not_published").len(), 1, "{report}");
    books.remove().await
}
