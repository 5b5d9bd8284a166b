//! A charge as the provider's API gives it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How a charge stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not decided.
    Pending,
    /// The money was taken.
    Captured,
    /// It was not, and will not be.
    Declined,
}

/// Money that went back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The client's identity of the refund.
    pub refund_id: Uuid,
    /// Minor units.
    pub amount: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What the client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCharge {
    /// The client's identity of the charge; asking twice under the same one charges once.
    pub reference: Uuid,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Token of the payment method.
    pub method: String,
}

/// A charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The client's identity of it.
    pub reference: Uuid,
    /// The provider's own; sorts by creation.
    pub provider_reference: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Token of the payment method.
    pub method: String,
    /// How it stands.
    pub status: Status,
    /// Why it was declined.
    pub reason: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// What went back of it.
    pub refunds: Vec<Refund>,
}

impl Charge {
    /// Whether this is what was asked for.
    pub fn is_of(&self, new: &NewCharge) -> bool {
        (self.amount, &self.currency, &self.method) == (new.amount, &new.currency, &new.method)
    }

    /// Minor units that went back.
    pub fn refunded(&self) -> i64 {
        self.refunds.iter().map(|refund| refund.amount).sum()
    }
}

/// Part of the ledger, in order of creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The charges.
    pub charges: Vec<Charge>,
    /// Where the next page begins; none after the last one.
    pub next: Option<String>,
}

/// Why the provider does not do as asked. Nothing was done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such charge.
    NotFound,
    /// At odds with what was done before.
    Conflict(&'static str),
    /// Cannot be done at all.
    Invalid(&'static str),
}
