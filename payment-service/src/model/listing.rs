//! Charges as the provider's own ledger lists them.
//!
//! Nothing here is trusted to be ours: references, amounts and currencies are what the provider
//! wrote down, to be compared with what this service did.

use chrono::{DateTime, Utc};

use super::{Outcome, Payment, PaymentId};

/// One charge in the provider's ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedCharge {
    /// Under which reference it was asked for; a payment id, if it is ours.
    pub reference: String,
    /// The provider's own reference, by which the ledger is ordered.
    pub provider_reference: String,
    /// Minor units.
    pub amount: i64,
    /// Currency code.
    pub currency: String,
    /// How it stands.
    pub outcome: Outcome,
    /// When the provider wrote it down.
    pub created_at: DateTime<Utc>,
    /// What went back, oldest first.
    pub refunds: Vec<ListedRefund>,
}

/// A refund in the provider's ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRefund {
    /// Under which id it was asked for.
    pub id: String,
    /// Minor units.
    pub amount: i64,
}

impl ListedCharge {
    /// The payment, if the reference has the form of one.
    pub fn payment_id(&self) -> Option<PaymentId> {
        PaymentId::parse(&self.reference).ok()
    }

    /// Whether the money was taken.
    pub fn is_captured(&self) -> bool {
        self.outcome == Outcome::Captured
    }

    /// Whether this is the capture that `payment` failed without, in exactly its terms: then the
    /// money goes back without a person. A refund that was not asked for under the id of surplus
    /// captures is somebody else's doing.
    pub fn is_surplus_of(&self, payment: &Payment) -> bool {
        let (snapshot, amount) = (payment.snapshot(), payment.terms().amount);
        let known = snapshot.provider_reference.as_ref();
        let own = |made: &ListedRefund| {
            made.id == payment.id().to_string() && made.amount == amount.amount()
        };
        payment.makes_surplus()
            && payment.refund().is_none()
            && self.is_captured()
            && self.amount == amount.amount()
            && self.currency == amount.currency().as_str()
            && known.is_none_or(|known| *known == self.provider_reference)
            && self.refunds.len() <= 1
            && self.refunds.iter().all(own)
    }

    /// What the provider still holds of the charge.
    pub fn held(&self) -> i64 {
        let taken = if self.is_captured() { self.amount } else { 0 };
        taken.saturating_sub(self.refunded())
    }

    /// What went back of the charge.
    pub fn refunded(&self) -> i64 {
        self.refunds.iter().fold(0, |sum: i64, refund| sum.saturating_add(refund.amount))
    }
}

/// Something in the provider's ledger that is no charge as agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableCharge {
    /// Under which reference it was asked for; empty if that cannot be read.
    pub reference: String,
    /// The provider's own reference; empty if that cannot be read.
    pub provider_reference: String,
    /// What is wrong with it.
    pub field: &'static str,
}

/// A page of the provider's ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChargePage {
    /// The charges, in the order of their provider references.
    pub charges: Vec<ListedCharge>,
    /// What else the page holds.
    pub unreadable: Vec<UnreadableCharge>,
    /// After which provider reference the next page begins; none at the end.
    pub next: Option<String>,
}
