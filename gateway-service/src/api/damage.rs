//! Damaged bodies, for the tests of what is read of them.

use chassis::testing::damage::{Change, damaged};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::json;

/// What is put into bodies.
const WORDS: &[&str] = &[
    "",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "0",
    "-",
    ".5",
    "null",
    "true",
    "\\u0041",
    "\u{e9}",
    "\"stock\":1,",
    "\"quantity\":2,",
    "\"price\":1,",
];

/// Changes of a body: none up to three.
pub(super) fn changes() -> impl Strategy<Value = Vec<Change<'static>>> {
    let word = prop::sample::select(WORDS);
    prop::collection::vec((any::<usize>(), 0_usize..8, word), 0..4)
}

/// What is read of a body with these changes, beside the document that it is then; `None` if it is
/// refused, with a code for that. What is no JSON to this reader is none to the library either.
pub(super) fn read<T: DeserializeOwned>(body: &str, changes: &[Change<'_>]) -> Option<(T, Value)> {
    let body = damaged(body.as_bytes(), changes);
    let document = serde_json::from_slice::<Value>(&body);
    match json::parse::<T>(&body) {
        Ok(read) => Some((read, document.unwrap())),
        Err(error) => {
            let code = error.code();
            let known = ["DUPLICATE_FIELD", "JSON_INVALID", "UNKNOWN_FIELD", "VALIDATION_FAILED"];
            assert!(known.contains(&code), "{code}");
            assert!(code != "JSON_INVALID" || document.is_err(), "{document:?}");
            None
        }
    }
}
