//! `deny.toml`, which `cargo deny` reads too: licences that are accepted, crates that are not, and
//! advisories that are excused.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};
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

/// For how long an exception may hold: then somebody looks again.
const LONGEST: Days = Days::new(366);

/// Until when an exception holds: its reason ends with that, as in `until 2027-05-01`.
fn end(reason: &str) -> Option<NaiveDate> {
    let (_, date) = reason.rsplit_once(" until ")?;
    let is_whole = date.len() == "2027-05-01".len();
    NaiveDate::parse_from_str(date, "%Y-%m-%d").ok().filter(|_| is_whole)
}

/// Whether an exception holds on a day, and not for longer than it may.
fn holds(reason: &str, today: NaiveDate) -> bool {
    end(reason).is_some_and(|end| (today..=today + LONGEST).contains(&end))
}

#[test]
fn a138_exceptions_are_reasoned_and_dated() {
    let (policy, today) = (Policy::read(), fleet::time::now().date_naive());
    for advisory in policy.table["advisories"]["ignore"].as_array().unwrap() {
        let reason = advisory.get("reason").and_then(Value::as_str).unwrap_or_default();
        assert!(reason.len() > 40 && end(reason).is_some(), "{advisory} has no reason with an end");
        assert!(holds(reason, today), "{advisory} has run out, or holds for too long: look again");
    }
    for ban in policy.table["bans"]["deny"].as_array().unwrap() {
        assert!(ban.get("reason").is_some_and(Value::is_str), "{ban} has no reason");
    }
    for kind in ["unknown-registry", "unknown-git"] {
        assert_eq!(policy.table["sources"][kind].as_str(), Some("deny"), "{kind}");
    }
}

#[test]
fn exceptions_run_out() {
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    let reason = "parses no foreign input. until 2027-05-01";
    assert_eq!(end(reason), Some(day("2027-05-01")));
    for other in ["", "parses no foreign input", "until 2027-05-01", "ends. 2027-05-01"] {
        assert_eq!(end(other), None, "{other}");
    }
    for other in ["2027-05", "soon-it-is", "2027-5-1", "2027-02-30", "2027-05-01."] {
        assert_eq!(end(&format!("parses nothing until {other}")), None, "{other}");
    }
    for (today, expected) in
        [("2026-04-29", false), ("2026-04-30", true), ("2027-05-01", true), ("2027-05-02", false)]
    {
        assert_eq!(holds(reason, day(today)), expected, "{today}");
    }
}
