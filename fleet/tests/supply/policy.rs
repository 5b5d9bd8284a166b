//! `deny.toml`, which `cargo deny` reads too: licences that are accepted, crates that are not, and
//! advisories that are excused.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::toml;

/// What `deny.toml` says.
pub(crate) struct Policy {
    /// Licences that are accepted, as SPDX names them.
    pub(crate) licences: BTreeSet<String>,
    /// Crates that are banned, and who may use them nevertheless.
    pub(crate) banned: BTreeMap<String, Vec<String>>,
    /// Everything else.
    pub(crate) table: Table,
}

impl Policy {
    /// Reads the file of this checkout.
    pub(crate) fn read() -> Self {
        let table = toml("deny.toml");
        let banned = table["bans"]["deny"].as_array().unwrap().iter().map(|ban| {
            let wrappers = ban.get("wrappers").map(texts).unwrap_or_default();
            (ban["crate"].as_str().unwrap().to_owned(), wrappers)
        });
        let licences = texts(&table["licenses"]["allow"]).into_iter().collect();
        Self { licences, banned: banned.collect(), table }
    }
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Whether a reason ends with a date such as `2026-11-23`, so that somebody can ask again.
fn is_dated(reason: &str) -> bool {
    let date = reason.rsplit(' ').next().unwrap_or_default();
    let parts: Vec<&str> = date.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [4, 2, 2] && parts.iter().all(|part| part.parse::<u16>().is_ok())
}

#[test]
fn a138_exceptions_are_reasoned_and_dated() {
    let policy = Policy::read();
    for advisory in policy.table["advisories"]["ignore"].as_array().unwrap() {
        let reason = advisory.get("reason").and_then(Value::as_str).unwrap_or_default();
        assert!(reason.len() > 40 && is_dated(reason), "{advisory} has no dated reason");
    }
    for ban in policy.table["bans"]["deny"].as_array().unwrap() {
        assert!(ban.get("reason").is_some_and(Value::is_str), "{ban} has no reason");
    }
    for kind in ["unknown-registry", "unknown-git"] {
        assert_eq!(policy.table["sources"][kind].as_str(), Some("deny"), "{kind}");
    }
}

#[test]
fn dates_are_known_by_their_form() {
    assert!(is_dated("parses no foreign input. 2026-11-23"));
    for other in ["", "parses no foreign input", "2026-11", "soon-it-is", "2026-1-23"] {
        assert!(!is_dated(other), "{other}");
    }
}
