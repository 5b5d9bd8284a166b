//! The return of a captured amount. A payment is refunded in full and once.

use chrono::{DateTime, Utc};

use super::{Money, RefundId};

/// A return of captured money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// Chosen by whoever asked for it.
    pub id: RefundId,
    /// How much goes back.
    pub amount: Money,
    /// Where it stands.
    pub status: RefundStatus,
    /// Why it was asked for, such as `late_capture`.
    pub reason: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundStatus {
    /// To be asked of the provider, or asked and not confirmed.
    Pending,
    /// The money went back.
    Succeeded,
}

impl RefundStatus {
    /// The name in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Succeeded => "SUCCEEDED",
        }
    }

    /// The status with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Pending, Self::Succeeded].into_iter().find(|status| status.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for status in [RefundStatus::Pending, RefundStatus::Succeeded] {
            assert_eq!(RefundStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(RefundStatus::parse("pending"), None);
    }
}
