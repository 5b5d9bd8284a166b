//! Where a walk stands, as a text that callers pass back.

use std::fmt;

use chassis::error::Invalid;

use crate::model::PaymentId;

/// Where the next step begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// In the provider's ledger, behind this provider reference.
    Charge(Option<String>),
    /// Among payments that the provider may not list, in the stretch of one page of its ledger.
    Absent {
        /// The page is the one behind this provider reference; none: the first.
        page: Option<String>,
        /// Payments are looked at up to this provider reference.
        after: String,
    },
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
        let read = match text.split_once(':') {
            None if text.is_empty() => Some(Self::START),
            Some(("charge", reference)) if is_reference(reference) => {
                Some(Self::Charge(Some(reference.to_owned())))
            }
            Some(("absent", place)) => Self::parse_absent(place),
            Some(("payment", "")) => Some(Self::Unreferenced(None)),
            Some(("payment", id)) => {
                PaymentId::parse(id).ok().map(|id| Self::Unreferenced(Some(id)))
            }
            _ => None,
        };
        read.ok_or_else(|| Invalid::single(field, "FORMAT", "must be `next` of a stretch before"))
    }

    /// The length of the page's reference, a colon, and both references: they may hold colons.
    fn parse_absent(text: &str) -> Option<Self> {
        let (length, references) = text.split_once(':')?;
        let (page, after) = references.split_at_checked(length.parse().ok()?)?;
        let is_place = (page.is_empty() || is_reference(page)) && is_reference(after);
        let page = Some(page.to_owned()).filter(|page| !page.is_empty());
        is_place.then(|| Self::Absent { page, after: after.to_owned() })
    }
}

fn is_reference(text: &str) -> bool {
    (1..=Cursor::REFERENCE_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Charge(None) => Ok(()),
            Self::Charge(Some(reference)) => write!(f, "charge:{reference}"),
            Self::Absent { page, after } => {
                let page = page.as_deref().unwrap_or_default();
                write!(f, "absent:{}:{page}{after}", page.len())
            }
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
            Cursor::Absent { page: None, after: "7:ch_2".to_owned() },
            Cursor::Absent { page: Some("4:ch".to_owned()), after: "ch_2".to_owned() },
            Cursor::Unreferenced(None),
            Cursor::Unreferenced(Some(PaymentId::generate())),
        ] {
            assert_eq!(Cursor::parse("after", &cursor.to_string()).unwrap(), cursor);
        }
        let too_long = format!("charge:{}", "x".repeat(65));
        for odd in [
            "ch_1",
            "charge:",
            "charge:a b",
            "payment:17",
            "refund:1",
            "absent:ch_1",
            "absent:4:ch_1",
            "absent:9:ch_1",
            "absent:1:éch_1",
            "absent:-1:ch_1",
            &too_long,
        ] {
            assert_eq!(Cursor::parse("after", odd).unwrap_err().violations[0].field, "after");
        }
    }
}
