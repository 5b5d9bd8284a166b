//! A provider's callback: its body, and what became of it.

use chassis::mutant;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{Charge, Outcome, Payment, PaymentError, PaymentId, Reason};

/// A callback whose signature was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// The provider's id of the callback; the same in every delivery of it.
    pub id: String,
    /// What it says.
    pub notice: Notice,
}

/// What a callback says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// How a charge stands.
    Charge {
        /// The payment; none when the reference is not one that we gave out.
        reference: Option<PaymentId>,
        /// Minor units that the provider speaks of.
        amount: i64,
        /// The currency that the provider speaks of.
        currency: String,
        /// The provider's own reference; empty when the callback does not say.
        provider_reference: String,
        /// How the charge stands.
        outcome: Outcome,
    },
    /// Something this service does not act upon.
    Other,
}

#[derive(Deserialize)]
struct Head {
    id: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Body {
    reference: String,
    amount: i64,
    currency: String,
    #[serde(default)]
    provider_reference: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

impl Callback {
    /// Largest body that is read.
    pub const BODY_BYTES_MAX: usize = 16 * 1024;
    const ID_LENGTH_MAX: usize = 100;
    const KIND_LENGTH_MAX: usize = 64;
    const PROVIDER_REFERENCE_LENGTH_MAX: usize = 64;

    /// Reads a body: JSON `{id, type, reference, amount, currency, provider_reference?, reason?}`.
    /// Members it does not know are ignored, and so is everything but the id of a type it does not know.
    pub fn parse(body: &[u8]) -> Result<Self, PaymentError> {
        if body.len() > Self::BODY_BYTES_MAX {
            return Err(invalid("the body is too large"));
        }
        let head: Head = read(body)?;
        let printable = head.id.bytes().all(|byte| byte.is_ascii_graphic());
        if !(1..=Self::ID_LENGTH_MAX).contains(&head.id.len()) || !printable {
            return Err(invalid("`id` must be 1 to 100 printable ASCII characters"));
        }
        let notice = match head.kind.as_str() {
            "payment.pending" => charge(body, |_| Outcome::Pending)?,
            "payment.succeeded" => charge(body, |_| Outcome::Captured)?,
            "payment.failed" => charge(body, |reason| {
                Outcome::Declined(Reason::from_provider(reason.unwrap_or_default()))
            })?,
            _ => Notice::Other,
        };
        Ok(Self { id: head.id, notice })
    }
}

impl Notice {
    /// The charge that this speaks of, checked against the payment it is said to belong to.
    pub fn charge_of(&self, payment: &Payment) -> Result<Option<Charge>, PaymentError> {
        let Self::Charge { amount, currency, provider_reference, outcome, .. } = self else {
            return Ok(None);
        };
        let money = payment.terms().amount;
        if money.amount() != *amount && !mutant!("callback_amount_unchecked") {
            return Err(PaymentError::AmountMismatch { what: "amount" });
        }
        if money.currency().as_str() != currency {
            return Err(PaymentError::AmountMismatch { what: "currency" });
        }
        // The charge may be settled by this callback, and then nobody asks the provider again.
        let provider_reference = provider_reference.clone();
        Ok(Some(Charge { provider_reference, outcome: outcome.clone() }))
    }
}

fn charge(body: &[u8], outcome: impl Fn(Option<&str>) -> Outcome) -> Result<Notice, PaymentError> {
    let body: Body = read(body)?;
    Ok(Notice::Charge {
        reference: PaymentId::parse(&body.reference).ok(),
        amount: body.amount,
        currency: body.currency,
        provider_reference: body
            .provider_reference
            .filter(|one| is_reference(one))
            .unwrap_or_default(),
        outcome: outcome(body.reason.as_deref()),
    })
}

/// Whether a provider's reference can be stored as it is.
fn is_reference(text: &str) -> bool {
    let fits = text.len() <= Callback::PROVIDER_REFERENCE_LENGTH_MAX;
    fits && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn read<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, PaymentError> {
    serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))
}

fn invalid(why: impl Into<String>) -> PaymentError {
    PaymentError::CallbackInvalid { why: why.into() }
}

/// What became of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ruling {
    /// It moved its payment.
    Applied,
    /// It said what was known.
    Duplicate,
    /// It contradicted what is settled.
    Contradiction,
    /// Its type means nothing to this service.
    Ignored,
    /// It named an unknown payment.
    UnknownPayment,
    /// It named another amount or currency.
    Mismatch,
    /// Its body could not be read.
    Invalid,
}

impl Ruling {
    /// The name in storage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "APPLIED",
            Self::Duplicate => "DUPLICATE",
            Self::Contradiction => "CONTRADICTION",
            Self::Ignored => "IGNORED",
            Self::UnknownPayment => "UNKNOWN_PAYMENT",
            Self::Mismatch => "MISMATCH",
            Self::Invalid => "INVALID",
        }
    }
}

/// A signed callback as it is kept for audits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackRecord {
    /// The provider's id of it; a digest of the body when that could not be read.
    pub id: String,
    /// The payment it was about, if it named a known one.
    pub payment_id: Option<PaymentId>,
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// What became of it.
    pub ruling: Ruling,
    /// When it came.
    pub received_at: DateTime<Utc>,
}

/// What became of a callback, to be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackReceipt {
    /// The provider's id of it; a digest of the body when that could not be read.
    pub id: String,
    /// The payment it was about.
    pub payment_id: PaymentId,
    /// What it said, such as `payment.succeeded`, if that could be read.
    pub kind: Option<String>,
    /// What became of it, by its name in storage.
    pub ruling: String,
    /// How often it came and became of it what `ruling` says.
    pub deliveries: u32,
    /// When it first came.
    pub received_at: DateTime<Utc>,
    /// When it last came.
    pub last_received_at: DateTime<Utc>,
}

impl Callback {
    /// What a body says, as a short word: a provider's free text must not reach our users.
    pub fn kind_of(body: &[u8]) -> Option<String> {
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'0'..=b'9' | b'_' | b'.');
        let head: Head = serde_json::from_slice(body).ok()?;
        let fits = (1..=Self::KIND_LENGTH_MAX).contains(&head.kind.len());
        (fits && head.kind.bytes().all(allowed)).then_some(head.kind)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn body() -> Value {
        json!({
            "id": "evt_1",
            "type": "payment.failed",
            "reference": "0193a1b2-0000-7000-8000-000000000004",
            "amount": 19_900,
            "currency": "CNY",
            "reason": "card_declined",
            "livemode": false,
        })
    }

    fn parse(body: &Value) -> Result<Callback, PaymentError> {
        Callback::parse(body.to_string().as_bytes())
    }

    #[test]
    fn a_callback_is_read_and_unknown_members_are_ignored() {
        let callback = parse(&body()).unwrap();
        assert_eq!(callback.id, "evt_1");
        let Notice::Charge { reference, amount, currency, outcome, .. } = callback.notice else {
            panic!("not about a charge")
        };
        assert_eq!(reference.unwrap().to_string(), "0193a1b2-0000-7000-8000-000000000004");
        assert_eq!((amount, currency.as_str()), (19_900, "CNY"));
        assert_eq!(outcome, Outcome::Declined(Reason::from_provider("card_declined")));
    }

    #[test]
    fn the_providers_own_reference_is_kept_when_it_can_be_stored() {
        let named = |reference: Value| {
            let mut body = body();
            body["provider_reference"] = reference;
            let notice = parse(&body).unwrap().notice;
            let Notice::Charge { provider_reference, .. } = notice else { panic!() };
            provider_reference
        };
        assert_eq!(named(json!("ch_7")), "ch_7");
        for unusable in [json!(null), json!(""), json!("x".repeat(65)), json!("ch 7"), json!("茶")]
        {
            assert_eq!(named(unusable), "");
        }
    }

    #[test]
    fn a_type_from_the_future_needs_only_an_id() {
        let callback = parse(&json!({"id": "evt_2", "type": "dispute.opened"})).unwrap();
        assert_eq!(callback.notice, Notice::Other);
    }

    #[test]
    fn a_foreign_reference_is_an_unknown_payment_not_a_malformed_callback() {
        let mut foreign = body();
        foreign["reference"] = json!("order-17");
        let Notice::Charge { reference, .. } = parse(&foreign).unwrap().notice else { panic!() };
        assert_eq!(reference, None);
    }

    #[test]
    fn what_lacks_a_member_or_has_another_type_is_invalid() {
        for member in ["id", "type", "reference", "amount", "currency"] {
            let mut lacking = body();
            lacking.as_object_mut().unwrap().remove(member);
            assert!(parse(&lacking).is_err(), "without {member}");
            let mut odd = body();
            odd[member] = json!([1]);
            assert!(parse(&odd).is_err(), "with an odd {member}");
        }
        let mut fraction = body();
        fraction["amount"] = json!(199.5);
        assert!(parse(&fraction).is_err());
    }

    #[test]
    fn only_a_short_word_is_shown_of_what_a_callback_says() {
        let kind = |kind: &str| {
            Callback::kind_of(json!({"id": "evt_1", "type": kind}).to_string().as_bytes())
        };
        assert_eq!(kind("payment.succeeded").as_deref(), Some("payment.succeeded"));
        for odd in ["", "<b>", "Payment Failed", &"x".repeat(65)] {
            assert_eq!(kind(odd), None, "{odd:?}");
        }
        assert_eq!(Callback::kind_of(b"[]"), None);
    }

    #[test]
    fn ids_and_bodies_are_bounded() {
        for id in [String::new(), "x".repeat(101), "a b".to_owned(), "é".to_owned()] {
            let mut odd = body();
            odd["id"] = json!(id);
            assert!(parse(&odd).is_err(), "{id:?}");
        }
        let padded = format!("{}{}", body(), " ".repeat(Callback::BODY_BYTES_MAX));
        assert!(Callback::parse(padded.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn reading_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Callback::parse(&body);
        }
    }
}
