//! Idempotency keys: one effect and one answer per user, operation and key.
//!
//! A claim is stored in the transaction of the first effect, so a refused call leaves none and a
//! lost one is never half there. While the answer is not stored, the claim is leased: a call that
//! finds the lease over takes the claim and finishes the work, which is idempotent by payment id.

use std::fmt;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::{Order, OrderError, OrderId, PaymentId, UserId};

/// A key chosen by a client: 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Accepts a well-formed key.
    pub fn parse(text: &str) -> Result<Self, OrderError> {
        if text.is_empty() {
            return Err(OrderError::IdempotencyKeyMissing);
        }
        if text.len() > 255 || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(OrderError::IdempotencyKeyInvalid);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a key is used for: the same key may be used once with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Placing an order.
    CreateOrder,
    /// Paying an order again.
    PayOrder,
    /// Cancelling an order.
    CancelOrder,
    /// Asking for a refund.
    RefundOrder,
}

impl Operation {
    /// The name under which the operation is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateOrder => "create_order",
            Self::PayOrder => "pay_order",
            Self::CancelOrder => "cancel_order",
            Self::RefundOrder => "refund_order",
        }
    }
}

/// SHA-256 over what a request asks for; tells a repeated request from another one under its key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of the parts of a request. Each part's length goes in first, so that no two
    /// lists of parts read the same.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }

    /// Wraps a stored fingerprint.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest, for storage.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// What a call claims before it has any effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose key.
    pub user_id: UserId,
    /// What it is used for.
    pub operation: Operation,
    /// The key.
    pub key: IdempotencyKey,
    /// What the request asks for.
    pub fingerprint: Fingerprint,
}

/// A claim as it was found in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredClaim {
    /// What the first request asked for.
    pub fingerprint: Fingerprint,
    /// The order concerned.
    pub order_id: OrderId,
    /// The attempt that the first request started, if its operation starts one.
    pub payment_id: Option<PaymentId>,
    /// Until when the call that holds the claim is given time.
    pub lease_until: DateTime<Utc>,
    /// The answer, once there is one.
    pub answer: Option<Order>,
}

/// What a change does to the claim of the call that makes it, in the same transaction.
#[derive(Clone, Copy, Debug)]
pub enum KeyUse<'a> {
    /// The change belongs to no keyed call.
    None,
    /// Stores the claim; the answer follows with a later change.
    Open {
        /// The claim.
        claim: &'a Claim,
        /// Until when other calls with the key keep out.
        lease_until: DateTime<Utc>,
    },
    /// Stores the claim together with its answer: the order as changed.
    Answer(&'a Claim),
    /// Stores the answer to a claim that is open: the order as changed.
    Complete(&'a Claim),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_ascii() {
        let longest = "k".repeat(255);
        for good in ["k", "8e03978e-40d5-43dd-bc93-6894a57f9324", "~!", longest.as_str()] {
            assert_eq!(IdempotencyKey::parse(good).unwrap().as_str(), good);
        }
        assert!(matches!(IdempotencyKey::parse(""), Err(OrderError::IdempotencyKeyMissing)));
        let long = "k".repeat(256);
        for bad in [" ", "a b", "键", "a\n", long.as_str()] {
            let refused = IdempotencyKey::parse(bad);
            assert!(matches!(refused, Err(OrderError::IdempotencyKeyInvalid)), "{bad:?}");
        }
    }

    #[test]
    fn parts_cannot_be_shifted_between_each_other() {
        assert_eq!(Fingerprint::of(["a", "b"]), Fingerprint::of(["a", "b"]));
        assert_ne!(Fingerprint::of(["ab", ""]), Fingerprint::of(["a", "b"]));
        assert_ne!(Fingerprint::of(["a", "b"]), Fingerprint::of(["b", "a"]));
    }
}
