//! Strict reading of a token's parts: what two readers could understand differently is refused.
//!
//! JSON with a member given twice is legal to most parsers, and they differ in which one wins; a
//! signature over it proves nothing about the value that is then used (RFC 8725, section 2.4).

use std::collections::HashSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The longest token that is looked at, in bytes. Ours have about 500.
pub(super) const TOKEN_BYTES_MAX: usize = 4096;

/// The header members that are understood. `jku`, `x5u`, `x5c` and `jwk` are ignored wherever
/// they appear: the keys come from the configured issuer only, never from the token.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) typ: Option<String>,
    pub(super) kid: Option<String>,
    /// Extensions the reader must understand; none is understood.
    #[serde(default, rename = "crit", deserialize_with = "is_present")]
    pub(super) has_crit: bool,
}

/// Reads the header of a token that is not verified yet, refusing one that is ambiguous anywhere.
pub(super) fn read_header(token: &str) -> Result<Header, &'static str> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err("too long");
    }
    let mut segments = token.split('.');
    let (Some(header), Some(claims), Some(_signature), None) =
        (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return Err("not three segments");
    };
    let header = decode_unambiguous(header).ok_or("header")?;
    decode_unambiguous(claims).ok_or("claims")?;
    serde_json::from_slice(&header).map_err(|_| "header")
}

fn decode_unambiguous(segment: &str) -> Option<Vec<u8>> {
    let json = URL_SAFE_NO_PAD.decode(segment).ok()?;
    serde_json::from_slice::<UniqueMembers>(&json).ok()?;
    Some(json)
}

/// Tells that a member is there, whatever its value; also for `null`, which an option would read
/// as absent.
fn is_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// Accepts a JSON object in which no member name appears twice.
struct UniqueMembers;

impl<'de> Deserialize<'de> for UniqueMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueMembersVisitor)
    }
}

struct UniqueMembersVisitor;

impl<'de> Visitor<'de> for UniqueMembersVisitor {
    type Value = UniqueMembers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with unique member names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut seen = HashSet::new();
        while let Some((name, _)) = members.next_entry::<String, IgnoredAny>()? {
            if !seen.insert(name) {
                return Err(A::Error::custom("a member is given twice"));
            }
        }
        Ok(UniqueMembers)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(json: &str) -> bool {
        serde_json::from_str::<UniqueMembers>(json).is_ok()
    }

    #[test]
    fn a_member_given_twice_is_refused_even_when_its_name_is_written_differently() {
        assert!(accepts(r#"{"sub":"a","aud":"b","x":{"y":1}}"#));
        assert!(!accepts(r#"{"sub":"a","sub":"b"}"#));
        assert!(!accepts(r#"{"sub":"a","\u0073ub":"b"}"#));
        assert!(!accepts(r#"["sub"]"#));
    }

    #[test]
    fn oversized_and_misshapen_tokens_are_refused_before_they_are_decoded() {
        assert_eq!(read_header(&"a".repeat(TOKEN_BYTES_MAX + 1)).unwrap_err(), "too long");
        for token in ["", "a", "a.b", "a.b.c.d"] {
            assert_eq!(read_header(token).unwrap_err(), "not three segments", "{token}");
        }
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parser_panic(token in "[A-Za-z0-9_=.-]{0,200}") {
            let _ = read_header(&token);
        }
    }
}
