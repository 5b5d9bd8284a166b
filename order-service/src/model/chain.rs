//! The chain of an order's history: each row is sealed together with the row before it, so that one
//! that is changed, removed or slipped in later shows.
//!
//! A row's hash is the SHA-256 of one line of ASCII text, its fields separated by `|`, without
//! blanks:
//!
//! 1. `prev_hash` in lower-case hexadecimal; 64 zeros where the row before carries no hash, or
//!    there is none
//! 2. `order_id`, a UUID in lower case
//! 3. `version`
//! 4. `from_status`, or `-` for the first row
//! 5. `to_status`
//! 6. `cause`
//! 7. `actor`
//! 8. `payment_id`, a UUID in lower case, or `-`
//! 9. `trace_id`; empty if there was none
//! 10. `occurred_at` as RFC 3339 in UTC with six decimals and `Z`
//!
//! The format is a contract: whoever audits the schema computes it anew, in SQL or otherwise.

use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest, Sha256};

use super::{OrderId, PaymentId, Transition};

/// SHA-256 of a history row.
pub type RowHash = [u8; 32];

/// What a history row says.
#[derive(Clone, Copy, Debug)]
pub struct HistoryRow<'a> {
    /// Which order.
    pub order_id: OrderId,
    /// The version that the order reached.
    pub version: u64,
    /// The step.
    pub transition: &'a Transition,
    /// The order's payment at that version.
    pub payment_id: Option<PaymentId>,
    /// Trace of the work that did it; empty if there was none.
    pub trace_id: &'a str,
    /// When.
    pub occurred_at: DateTime<Utc>,
}

impl HistoryRow<'_> {
    /// Seals the row behind the one whose hash is `previous`.
    pub fn hash(&self, previous: Option<&RowHash>) -> RowHash {
        Sha256::digest(self.line(previous)).into()
    }

    fn line(&self, previous: Option<&RowHash>) -> String {
        let Self { order_id, version, transition, payment_id, trace_id, occurred_at } = self;
        let none = || "-".to_owned();
        [
            hex(previous.unwrap_or(&[0; 32])),
            order_id.to_string(),
            version.to_string(),
            transition.from.map_or_else(none, |status| status.to_string()),
            transition.to.to_string(),
            transition.cause.to_owned(),
            transition.actor.to_string(),
            payment_id.map_or_else(none, |id| id.to_string()),
            (*trace_id).to_owned(),
            occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        ]
        .join("|")
    }
}

fn hex(hash: &RowHash) -> String {
    use std::fmt::Write as _;

    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Actor, OrderStatus};

    const ID: &str = "0190b6a0-0000-7000-8000-000000000001";

    fn paid() -> Transition {
        Transition {
            from: Some(OrderStatus::Created),
            to: OrderStatus::Paid,
            cause: "payment.succeeded",
            actor: Actor::system("recovery"),
        }
    }

    fn row(transition: &Transition) -> HistoryRow<'_> {
        HistoryRow {
            order_id: OrderId::parse(ID).unwrap(),
            version: 2,
            transition,
            payment_id: Some(PaymentId::parse(ID).unwrap()),
            trace_id: "0af7651916cd43dd8448eb211c80319c",
            occurred_at: DateTime::from_timestamp(1_767_323_045, 6_007_999).unwrap(),
        }
    }

    #[test]
    fn a_line_is_written_as_the_auditor_reads_it() {
        let expected = format!(
            "{}|{ID}|2|CREATED|PAID|payment.succeeded|system:recovery|{ID}|\
             0af7651916cd43dd8448eb211c80319c|2026-01-02T03:04:05.006007Z",
            "ab".repeat(32)
        );
        assert_eq!(row(&paid()).line(Some(&[0xab; 32])), expected);
        let placed = Transition { from: None, to: OrderStatus::Created, ..paid() };
        let first = HistoryRow {
            version: 1,
            payment_id: None,
            trace_id: "",
            occurred_at: DateTime::UNIX_EPOCH,
            ..row(&placed)
        };
        let expected = format!(
            "{}|{ID}|1|-|CREATED|payment.succeeded|system:recovery|-||1970-01-01T00:00:00.000000Z",
            "0".repeat(64)
        );
        assert_eq!(first.line(None), expected);
    }

    #[test]
    fn the_hash_is_the_sha_256_of_the_line() {
        // Computed by another implementation of SHA-256.
        let expected = "8b6a6da58ded2fd1a2a4cb7392d8d706020563000f14d8cb02d6ce98f98e932e";
        assert_eq!(hex(&row(&paid()).hash(Some(&[0xab; 32]))), expected);
    }

    #[test]
    fn every_field_counts() {
        let (transition, other) = (paid(), Transition { cause: "payment.failed", ..paid() });
        let row = row(&transition);
        let hash = row.hash(None);
        let changed = [
            row.hash(Some(&[1; 32])),
            HistoryRow { order_id: OrderId::generate(), ..row }.hash(None),
            HistoryRow { version: 3, ..row }.hash(None),
            HistoryRow { transition: &other, ..row }.hash(None),
            HistoryRow { payment_id: None, ..row }.hash(None),
            HistoryRow { trace_id: "", ..row }.hash(None),
            HistoryRow { occurred_at: DateTime::UNIX_EPOCH, ..row }.hash(None),
        ];
        assert!(changed.iter().all(|changed| *changed != hash));
    }
}
