//! The audit log, written as the services write it, and then tampered with.

use anyhow::{Context, Result};
use chassis::audit::{Actor, AuditLog, Entry};
use chassis::clock::SystemClock;
use chassis::config::{AuditConfig, DatabaseConfig, Secret};
use fleet::audit::seals::Keys;
use fleet::audit::{self, Report};
use sqlx::{Connection, MySqlConnection};
use uuid::Uuid;

use crate::books::{Books, USER, hex, id};

const KEY: &str = "development-only-audit-key-of-this-test-01";
const OTHER_KEY: &str = "development-only-audit-key-of-an-intruder";

fn log(key: &str) -> AuditLog {
    let config = AuditConfig { key: Secret::new(key) };
    AuditLog::new(&config, "user-service", std::sync::Arc::new(SystemClock))
}

fn user() -> String {
    id(USER, 0)
}

/// Books of one user at version 2, with its two real rows and one that tells of no version.
async fn kept() -> Result<Books> {
    let mut books = Books::create().await?;
    let insert = format!(
        "INSERT INTO {{u}}.users (id, email, email_normalized, display_name, locale, status, \
         password_hash, session_epoch, version, created_at, updated_at) VALUES (x'{}', 'z', 'z', \
         'Zoë', 'en', 'ACTIVE', 'x', 1, 2, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))",
        hex(&user())
    );
    books.run(&insert).await?;
    let versions = [
        entry("user.registered")?.after(&[("version", 1.into()), ("status", "ACTIVE".into())]),
        entry("user.profile_changed")?
            .before(&[("display_name", "Zoë".into())])
            .after(&[("version", 2.into()), ("status", "ACTIVE".into())]),
    ];
    append(&books, KEY, &versions).await?;
    append(&books, KEY, &[entry("user.password_rehashed")?]).await?;
    Ok(books)
}

fn entry(action: &'static str) -> Result<Entry> {
    let id: Uuid = user().parse()?;
    Ok(Entry::new(action, "user", id).about(id).by(Actor::User(id)))
}

async fn append(books: &Books, key: &str, entries: &[Entry]) -> Result<()> {
    let mut connection = MySqlConnection::connect(&books.url("user")?).await?;
    log(key).append_all(&mut connection, entries).await?;
    connection.close().await.context("the connection does not close")
}

async fn look(books: &Books, keys: &[&str]) -> Result<Report> {
    let audit_keys = Keys::new(keys.iter().copied());
    audit::run(&audit::Sources { audit_keys, ..books.sources() }).await
}

/// What is wrong with the log, by check and subject.
fn found(report: &Report) -> Vec<(&'static str, String)> {
    let of_log = report.violations.iter().filter(|one| one.invariant.to_string() == "I21");
    of_log.map(|one| (one.check, one.subject.clone())).collect()
}

const CHANGED: &str = "user_is_not_as_its_last_audit_row_says";

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_log_holds_until_somebody_touches_it() -> Result<()> {
    let of_user = |checks: &[&'static str]| -> Vec<(&'static str, String)> {
        checks.iter().map(|check| (*check, format!("user:{}", user()))).collect()
    };
    let cases: [(&str, &[&'static str]); 11] = [
        (
            "UPDATE {u}.audit_log SET actor = 'system:x' WHERE seq = 2",
            &["audit_row_is_under_another_actor", "audit_row_was_forged"],
        ),
        ("UPDATE {u}.audit_log SET user_id = NULL WHERE seq = 2", &["audit_row_was_forged"]),
        ("UPDATE {u}.audit_log SET before_state = NULL WHERE seq = 2", &["audit_row_was_forged"]),
        ("UPDATE {u}.audit_log SET request_id = '' WHERE seq = 1", &["audit_row_was_forged"]),
        (
            "UPDATE {u}.audit_log SET occurred_at = occurred_at + INTERVAL 1 MICROSECOND \
             WHERE seq = 3",
            &["audit_row_was_forged"],
        ),
        ("DELETE FROM {u}.audit_log WHERE seq > 1", &[CHANGED]),
        ("DELETE FROM {u}.audit_log", &[CHANGED]),
        (
            "DELETE FROM {u}.audit_log WHERE seq = 1",
            &["audit_chain_has_a_gap", "audit_chain_is_torn"],
        ),
        (
            "DELETE FROM {u}.audit_log WHERE seq = 1; UPDATE {u}.audit_log SET seq = seq - 1, \
             prev_seal = IF(seq = 1, NULL, prev_seal) ORDER BY seq",
            &["audit_row_was_forged", "audit_row_was_forged"],
        ),
        (
            "UPDATE {u}.audit_log SET prev_seal = seal WHERE seq = 2",
            &["audit_chain_is_torn", "audit_row_was_forged"],
        ),
        ("UPDATE {u}.users SET version = 3", &[CHANGED]),
    ];
    for (sql, expected) in cases {
        let mut books = kept().await?;
        let report = look(&books, &[KEY]).await?;
        assert_eq!(found(&report), [], "{report}");
        assert_eq!(report.counts["audit rows"], 3);
        books.run(sql).await?;
        let report = look(&books, &[KEY]).await?;
        assert_eq!(found(&report), of_user(expected), "by {sql}\n{report}");
        books.remove().await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn who_has_no_key_can_continue_no_chain() -> Result<()> {
    let books = kept().await?;
    append(&books, OTHER_KEY, &[entry("user.enabled")?]).await?;
    let report = look(&books, &[KEY]).await?;
    let object = format!("user:{}", user());
    assert_eq!(found(&report), [("audit_row_has_an_unknown_key", object)], "{report}");
    // With both keys, as after one was replaced, it is a row like any other.
    assert_eq!(found(&look(&books, &[KEY, OTHER_KEY]).await?), []);
    let report = look(&books, &[]).await?;
    assert_eq!(found(&report), [], "without keys nothing can be said of seals");
    assert!(report.to_string().contains("without their keys"), "{report}");
    books.remove().await
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_row_in_the_log_of_another_service_is_none() -> Result<()> {
    let mut books = kept().await?;
    let moved = "INSERT INTO {n}.audit_log SELECT * FROM {u}.audit_log";
    books.run(moved).await?;
    let report = look(&books, &[KEY]).await?;
    let forged = ("audit_row_was_forged", format!("user:{}", user()));
    assert_eq!(found(&report), [forged.clone(), forged.clone(), forged], "{report}");
    books.remove().await
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn those_that_append_at_once_take_turns() -> Result<()> {
    let books = kept().await?;
    let config =
        DatabaseConfig { url: Secret::new(books.url("user")?), ..DatabaseConfig::default() };
    let pool = chassis::db::connect(&config)?;
    let (log, entry) = (log(KEY), &entry("user.password_rehashed")?);
    let append =
        || async { chassis::db::transaction(&pool, |tx| Box::pin(log.append(tx, entry))).await };
    let all = futures::future::join_all((0..4).map(|_| append())).await;
    let done = all.iter().filter(|one| one.is_ok()).count();
    assert!(done >= 1, "{all:?}");
    let report = look(&books, &[KEY]).await?;
    assert_eq!(found(&report), [], "{report}");
    assert_eq!(report.counts["audit rows"], 3 + done as u64);
    books.remove().await
}

/// What is older than the log needs no rows, and neither does what is older than was asked for.
#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_change_needs_a_row_since_there_is_a_log() -> Result<()> {
    let mut books = kept().await?;
    books.run("DELETE FROM {u}.audit_log").await?;
    let mut sources = books.sources();
    sources.audit_since = Some(fleet::time::now() + chrono::TimeDelta::hours(1));
    assert_eq!(found(&audit::run(&sources).await?), []);
    sources.audit_since = Some(fleet::time::now() - chrono::TimeDelta::hours(1));
    let expected = [(CHANGED, format!("user:{}", user()))];
    assert_eq!(found(&audit::run(&sources).await?), expected);
    books.remove().await
}

/// Rows are inserted and read; nothing in the product changes one.
#[test]
fn no_code_changes_a_row() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders = vec![root.join("chassis/src"), root.join("fleet/src")];
    for service in ["user", "auth", "order", "payment", "notify"] {
        folders.push(root.join(format!("{service}-service/src")));
        folders.push(root.join(format!("{service}-service/migrations")));
    }
    let mut writers = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
            writers += usize::from(text.contains("insert into audit_log"));
            for statement in [
                "update audit_log",
                "delete from audit_log",
                "truncate audit_log",
                "replace into audit_log",
                "alter table audit_log",
            ] {
                assert!(!text.contains(statement), "{}: {statement}", path.display());
            }
        }
    }
    assert_eq!(writers, 1, "one place writes the log");
}
