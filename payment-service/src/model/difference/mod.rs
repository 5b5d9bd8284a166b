//! What this service and the provider do not agree upon, found by comparing two records of the same
//! charge.
//!
//! The provider's record is read first, so ours is the newer one. What changed a moment ago may
//! disagree for a moment: it is in flight, which is no difference yet.

mod compare;

pub use compare::{charged_again, compare, compare_absent, compare_unreadable};

use std::fmt;

use super::{Payment, PaymentStatus, RefundStatus};

/// In which way the two records differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DifferenceClass {
    /// The provider has a charge that was never asked for here.
    MissingHere,
    /// The money counts as taken here, and the provider has no charge.
    MissingThere,
    /// Another amount was charged, or given back.
    AmountDiffers,
    /// Another currency was charged.
    CurrencyDiffers,
    /// The provider has more than one charge for the same payment.
    ChargedTwice,
    /// The charge came to something else.
    StatusDiffers,
    /// The provider made a refund that does not count as made here.
    RefundMissingHere,
    /// A refund counts as made here, and the provider did not make it.
    RefundMissingThere,
    /// More than one refund was made, or more was given back than taken.
    RefundedTwice,
    /// The records agree, and the ledger says something else.
    LedgerDiffers,
    /// The provider's record cannot be read, and so was not compared.
    UnreadableThere,
}

impl DifferenceClass {
    /// Every class.
    pub const ALL: [Self; 11] = [
        Self::MissingHere,
        Self::MissingThere,
        Self::AmountDiffers,
        Self::CurrencyDiffers,
        Self::ChargedTwice,
        Self::StatusDiffers,
        Self::RefundMissingHere,
        Self::RefundMissingThere,
        Self::RefundedTwice,
        Self::LedgerDiffers,
        Self::UnreadableThere,
    ];

    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingHere => "missing_here",
            Self::MissingThere => "missing_there",
            Self::AmountDiffers => "amount_differs",
            Self::CurrencyDiffers => "currency_differs",
            Self::ChargedTwice => "charged_twice",
            Self::StatusDiffers => "status_differs",
            Self::RefundMissingHere => "refund_missing_here",
            Self::RefundMissingThere => "refund_missing_there",
            Self::RefundedTwice => "refunded_twice",
            Self::LedgerDiffers => "ledger_differs",
            Self::UnreadableThere => "unreadable_there",
        }
    }
}

impl fmt::Display for DifferenceClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// In which way.
    pub class: DifferenceClass,
    /// The payment, or what the provider calls it.
    pub reference: String,
    /// The provider's own reference; empty if it has none.
    pub provider_reference: String,
    /// Which refund; empty if it is about none.
    pub refund_id: String,
    /// What is recorded here.
    pub ours: String,
    /// What the provider recorded.
    pub theirs: String,
}

/// A payment with what the ledger says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booked {
    /// The payment.
    pub payment: Payment,
    /// What the provider holds of it by the ledger, in minor units.
    pub held: i64,
}

impl Comparison {
    /// Whether a difference of this class was found.
    pub fn tells(&self, class: DifferenceClass) -> bool {
        self.differences.iter().any(|difference| difference.class == class)
    }
}

impl Booked {
    /// Whether the money counts as taken, at least for a while.
    fn is_captured(&self) -> bool {
        match self.payment.status() {
            PaymentStatus::Succeeded | PaymentStatus::Refunding | PaymentStatus::Refunded => true,
            // Only a surplus capture makes a failed payment owe a refund.
            PaymentStatus::Failed => self.payment.refund().is_some(),
            PaymentStatus::Initiated | PaymentStatus::Pending => false,
        }
    }

    /// Whether the money counts as given back.
    fn is_refunded(&self) -> bool {
        self.payment.refund().is_some_and(|refund| refund.status == RefundStatus::Succeeded)
    }
}

/// What the comparison of one charge came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What differs.
    pub differences: Vec<Difference>,
    /// Whether something does not agree yet and is too young to be a difference.
    pub in_flight: bool,
}
