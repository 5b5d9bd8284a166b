//! The seal of a row: HMAC-SHA256 over everything that it says and over the seal before it.
//!
//! Each field is written as its length in bytes (four bytes, big endian) and its bytes; one that is
//! NULL as the length `0xFFFF_FFFF` alone. So no byte can move from one field to the next. The order
//! is that of [`Sealed`]; docs/AUDIT.md states it for whoever computes it anew.

use std::fmt;

use aws_lc_rs::hmac;

use crate::config::Secret;

/// HMAC-SHA256.
pub(super) type Seal = [u8; 32];

/// Which key sealed a row: four bytes that say nothing about it.
pub(super) type KeyId = [u8; 4];

/// What the seals are made with.
#[derive(Clone)]
pub struct SealKey {
    key: hmac::Key,
    id: KeyId,
}

impl SealKey {
    /// Takes the configured key.
    pub fn new(secret: &Secret) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let mut id = KeyId::default();
        id.copy_from_slice(&hmac::sign(&key, b"audit-log/1 key id").as_ref()[..4]);
        Self { key, id }
    }

    pub(super) fn id(&self) -> KeyId {
        self.id
    }

    /// Seals a row.
    pub(super) fn seal(&self, row: &Sealed<'_>) -> Seal {
        let mut context = hmac::Context::with_key(&self.key);
        // The secret seals nothing else; the label says so for ever.
        context.update(b"audit-log/1\0");
        for field in row.fields() {
            match field {
                Some(bytes) => {
                    context
                        .update(&u32::try_from(bytes.len()).unwrap_or(u32::MAX - 1).to_be_bytes());
                    context.update(&bytes);
                }
                None => context.update(&u32::MAX.to_be_bytes()),
            }
        }
        let mut seal = Seal::default();
        seal.copy_from_slice(context.sign().as_ref());
        seal
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(***)")
    }
}

/// What is sealed, in the order in which it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sealed<'r> {
    pub(super) previous: Option<&'r Seal>,
    pub(super) id: &'r [u8; 16],
    pub(super) object: &'r str,
    pub(super) seq: u32,
    pub(super) action: &'r str,
    pub(super) service: &'r str,
    pub(super) actor: &'r str,
    pub(super) user_id: Option<&'r [u8; 16]>,
    pub(super) before: Option<&'r str>,
    pub(super) after: Option<&'r str>,
    pub(super) request_id: Option<&'r str>,
    pub(super) trace_id: Option<&'r str>,
    /// Microseconds since 1970.
    pub(super) occurred_at: i64,
}

impl Sealed<'_> {
    fn fields(&self) -> [Option<Vec<u8>>; 13] {
        let text = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        [
            self.previous.map(|seal| seal.to_vec()),
            Some(self.id.to_vec()),
            text(Some(self.object)),
            Some(self.seq.to_be_bytes().to_vec()),
            text(Some(self.action)),
            text(Some(self.service)),
            text(Some(self.actor)),
            self.user_id.map(|id| id.to_vec()),
            text(self.before),
            text(self.after),
            text(self.request_id),
            text(self.trace_id),
            Some(self.occurred_at.to_be_bytes().to_vec()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAL: Seal = [7; 32];
    const ID: [u8; 16] = [1; 16];

    fn row() -> Sealed<'static> {
        Sealed {
            previous: Some(&SEAL),
            id: &ID,
            object: "user:1",
            seq: 2,
            action: "user.disabled",
            service: "user-service",
            actor: "admin:2",
            user_id: Some(&ID),
            before: Some("{}"),
            after: Some("{}"),
            request_id: Some("r"),
            trace_id: Some("t"),
            occurred_at: 1,
        }
    }

    /// The seal that docs/AUDIT.md describes, computed elsewhere: the format is a contract.
    #[test]
    fn a_seal_is_what_the_documentation_says() {
        let first = Sealed { previous: None, seq: 1, before: None, request_id: None, ..row() };
        let hex = |bytes: &[u8]| {
            let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            digits.concat()
        };
        assert_eq!(
            hex(&key("a key of this test").seal(&first)),
            "ae3aa961da82e30305b43813349494342d2e8d57e53391eb4d88bd8b4e6b035d"
        );
        assert_eq!(
            hex(&key("a key of this test").seal(&row())),
            "c4c4042a277d16747049228dacdf92091b5021c0ac70bf9e43dbaf51d1111631"
        );
        assert_eq!(hex(&key("a key of this test").id()), "5d3787a6");
    }

    fn key(text: &str) -> SealKey {
        SealKey::new(&Secret::new(text))
    }

    #[test]
    fn every_field_counts_and_so_does_the_key() {
        let other = [2; 16];
        let seal = key("a").seal(&row());
        let changed = [
            Sealed { previous: None, ..row() },
            Sealed { id: &other, ..row() },
            Sealed { object: "user:2", ..row() },
            Sealed { seq: 3, ..row() },
            Sealed { action: "user.enabled", ..row() },
            Sealed { service: "auth-service", ..row() },
            Sealed { actor: "admin:3", ..row() },
            Sealed { user_id: None, ..row() },
            Sealed { before: None, ..row() },
            Sealed { after: Some(""), ..row() },
            Sealed { request_id: None, ..row() },
            Sealed { trace_id: Some(""), ..row() },
            Sealed { occurred_at: 2, ..row() },
        ];
        assert!(changed.iter().all(|row| key("a").seal(row) != seal));
        assert_ne!(key("b").seal(&row()), seal);
        assert_ne!(key("b").id(), key("a").id());
        assert_eq!(key("a").seal(&row()), seal);
    }

    #[test]
    fn no_byte_moves_from_one_field_to_the_next() {
        let one = Sealed { action: "ab", service: "c", ..row() };
        let other = Sealed { action: "a", service: "bc", ..row() };
        assert_ne!(key("a").seal(&one), key("a").seal(&other));
    }

    #[test]
    fn a_key_does_not_print() {
        assert_eq!(format!("{:?}", key("hunter2")), "SealKey(***)");
    }
}
