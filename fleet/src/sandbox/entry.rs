//! What the ledger consists of: facts, one in a line, never changed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::charge::{Charge, Refund};
use super::method::Verdict;

/// A decision to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What it will be.
    pub verdict: Verdict,
    /// When.
    pub due_at: DateTime<Utc>,
}

/// A callback to be delivered once; a repeated one is several of these with the same body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Identity of the delivery.
    pub key: String,
    /// What is sent, byte for byte.
    pub body: String,
    /// Not before.
    pub due_at: DateTime<Utc>,
    /// Not before that other delivery has ended.
    pub after: Option<String>,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It was answered with 200.
    Delivered,
    /// It was tried often enough.
    GivenUp,
}

/// A fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// A charge was made, and is not decided.
    Charged {
        /// The charge.
        charge: Charge,
        /// What is going to be decided; none when nothing ever is.
        plan: Option<Plan>,
    },
    /// A charge was decided.
    Decided {
        /// Which.
        reference: Uuid,
        /// How.
        verdict: Verdict,
        /// When.
        at: DateTime<Utc>,
        /// Whom that is told.
        deliveries: Vec<Delivery>,
    },
    /// Money went back.
    Refunded {
        /// Of which charge.
        reference: Uuid,
        /// How much.
        refund: Refund,
    },
    /// A delivery ended.
    Ended {
        /// Which.
        key: String,
        /// How.
        ending: Ending,
        /// When.
        at: DateTime<Utc>,
    },
}
