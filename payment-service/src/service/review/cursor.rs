//! Where a walk stands, as a text that callers pass back.

use std::fmt;

use chassis::error::Invalid;

use crate::model::PaymentId;

/// Where the next step begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// In the provider's ledger, behind this provider reference.
    Charge(Option<String>),
    /// Among payments whose provider reference is not known, behind this payment.
    Unreferenced(Option<PaymentId>),
}

impl Cursor {
    /// Where every walk begins.
    pub const START: Self = Self::Charge(None);
    /// Longest provider reference.
    const REFERENCE_LENGTH_MAX: usize = 64;

    /// Reads what `to_string` wrote; nothing means the start. Violations name `field`.
    pub fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        let is_reference = |text: &str| {
            (1..=Self::REFERENCE_LENGTH_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let read = match text.split_once(':') {
            None if text.is_empty() => Some(Self::START),
            Some(("charge", reference)) if is_reference(reference) => {
                Some(Self::Charge(Some(reference.to_owned())))
            }
            Some(("payment", "")) => Some(Self::Unreferenced(None)),
            Some(("payment", id)) => {
                PaymentId::parse(id).ok().map(|id| Self::Unreferenced(Some(id)))
            }
            _ => None,
        };
        read.ok_or_else(|| Invalid::single(field, "FORMAT", "must be `next` of a stretch before"))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Charge(None) => Ok(()),
            Self::Charge(Some(reference)) => write!(f, "charge:{reference}"),
            Self::Unreferenced(None) => f.write_str("payment:"),
            Self::Unreferenced(Some(id)) => write!(f, "payment:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back() {
        for cursor in [
            Cursor::START,
            Cursor::Charge(Some("ch_:1".to_owned())),
            Cursor::Unreferenced(None),
            Cursor::Unreferenced(Some(PaymentId::generate())),
        ] {
            assert_eq!(Cursor::parse("after", &cursor.to_string()).unwrap(), cursor);
        }
        let too_long = format!("charge:{}", "x".repeat(65));
        for odd in ["ch_1", "charge:", "charge:a b", "payment:17", "refund:1", &too_long] {
            assert_eq!(Cursor::parse("after", odd).unwrap_err().violations[0].field, "after");
        }
    }
}
