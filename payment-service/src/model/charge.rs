//! What a provider says about a charge.

use std::fmt;

use super::Trigger;

/// A charge as its provider knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The provider's own reference, for support and reconciliation.
    pub provider_reference: String,
    /// How it stands.
    pub outcome: Outcome,
}

/// How a charge stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Accepted; decided later.
    Pending,
    /// The money was taken.
    Captured,
    /// Refused.
    Declined(Reason),
}

impl Outcome {
    /// What this means for a payment.
    pub const fn trigger(&self) -> Trigger {
        match self {
            Self::Pending => Trigger::Accepted,
            Self::Captured => Trigger::Captured,
            Self::Declined(_) => Trigger::Declined,
        }
    }
}

/// Why a payment failed: a short word such as `card_declined`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    const LENGTH_MAX: usize = 64;

    /// Takes a provider's word if it has the form of one, else the plain `declined`: free text of
    /// another company must not reach our users and events.
    pub fn from_provider(text: &str) -> Self {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let fits = (1..=Self::LENGTH_MAX).contains(&text.len()) && text.bytes().all(allowed);
        Self(if fits { text.to_owned() } else { "declined".to_owned() })
    }

    /// Nobody awaits the payment any more: its order was closed before it was started.
    pub fn order_closed() -> Self {
        Self("order_closed".to_owned())
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_word() {
        assert_eq!(Reason::from_provider("card_declined").as_str(), "card_declined");
        let ours = Reason::order_closed();
        assert_eq!(Reason::from_provider(ours.as_str()), ours, "it reads back from storage");
        let too_long = "x".repeat(65);
        for odd in ["", "Card declined!", "<script>", &too_long] {
            assert_eq!(Reason::from_provider(odd).as_str(), "declined", "{odd:?}");
        }
    }

    #[test]
    fn every_outcome_moves_a_payment() {
        assert_eq!(Outcome::Pending.trigger(), Trigger::Accepted);
        assert_eq!(Outcome::Captured.trigger(), Trigger::Captured);
        assert_eq!(Outcome::Declined(Reason::from_provider("")).trigger(), Trigger::Declined);
    }
}
