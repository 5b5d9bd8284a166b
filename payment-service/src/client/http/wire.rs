//! The provider's JSON.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{ChargeRequest, RefundRequest};
use crate::model::{
    Charge, ChargePage, Currency, ListedCharge, ListedRefund, Outcome, PaymentId, PaymentMethod,
    Reason, RefundId, UnreadableCharge,
};

/// Longest reference of a provider that fits into storage.
const REFERENCE_LENGTH_MAX: usize = 64;

/// Asks for a charge.
#[derive(Serialize)]
pub(super) struct NewCharge<'a> {
    reference: PaymentId,
    amount: i64,
    currency: String,
    method: &'a str,
}

impl<'a> NewCharge<'a> {
    pub(super) fn of(request: &'a ChargeRequest) -> Self {
        Self {
            reference: request.reference,
            amount: request.amount.amount(),
            currency: request.amount.currency().to_string(),
            method: PaymentMethod::as_str(&request.method),
        }
    }
}

/// Asks for a refund.
#[derive(Serialize)]
pub(super) struct NewRefund {
    refund_id: RefundId,
    amount: i64,
}

impl NewRefund {
    pub(super) const fn of(request: &RefundRequest) -> Self {
        Self { refund_id: request.refund_id, amount: request.amount.amount() }
    }
}

/// Why something was refused.
#[derive(Deserialize)]
pub(super) struct Fault {
    pub(super) error: String,
}

/// A charge. Members that are not known are ignored.
#[derive(Deserialize)]
pub(super) struct WireCharge {
    reference: String,
    provider_reference: String,
    amount: i64,
    currency: String,
    status: String,
    #[serde(default)]
    reason: Option<String>,
    created_at: DateTime<Utc>,
    #[serde(default)]
    refunds: Vec<WireRefund>,
}

#[derive(Deserialize)]
struct WireRefund {
    refund_id: String,
    amount: i64,
}

/// A page of the ledger.
#[derive(Deserialize)]
pub(super) struct WirePage {
    charges: Vec<Value>,
    #[serde(default)]
    next: Option<String>,
}

/// What an answer is wrong about.
pub(super) type Fields = &'static str;

impl WireCharge {
    /// The charge, if it is the one under `reference`.
    pub(super) fn require_reference(&self, reference: PaymentId) -> Result<(), Fields> {
        if self.reference == reference.to_string() { Ok(()) } else { Err("reference") }
    }

    /// The charge, if it is the one that was asked for.
    pub(super) fn charge_of(self, request: &ChargeRequest) -> Result<Charge, Fields> {
        self.require_reference(request.reference)?;
        if self.amount != request.amount.amount() {
            return Err("amount");
        }
        if Currency::parse(&self.currency) != Some(request.amount.currency()) {
            return Err("currency");
        }
        if !is_reference(&self.provider_reference) {
            return Err("provider_reference");
        }
        let outcome = self.outcome()?;
        Ok(Charge { provider_reference: self.provider_reference, outcome })
    }

    /// Whether the refund was made as it was asked for.
    pub(super) fn confirms(&self, request: &RefundRequest) -> Result<(), Fields> {
        self.require_reference(request.reference)?;
        let id = request.refund_id.to_string();
        match self.refunds.iter().find(|refund| refund.refund_id == id) {
            None => Err("refund_id"),
            Some(refund) if refund.amount != request.amount.amount() => Err("amount"),
            Some(_) if self.currency != request.amount.currency().as_str() => Err("currency"),
            Some(_) => Ok(()),
        }
    }

    fn outcome(&self) -> Result<Outcome, Fields> {
        let reason = || Reason::from_provider(self.reason.as_deref().unwrap_or_default());
        match self.status.as_str() {
            "pending" => Ok(Outcome::Pending),
            "captured" => Ok(Outcome::Captured),
            "declined" => Ok(Outcome::Declined(reason())),
            _ => Err("status"),
        }
    }

    fn listed(self) -> Result<ListedCharge, Fields> {
        if !is_reference(&self.provider_reference) {
            return Err("provider_reference");
        }
        let refund =
            |wire: &WireRefund| ListedRefund { id: wire.refund_id.clone(), amount: wire.amount };
        Ok(ListedCharge {
            outcome: self.outcome()?,
            refunds: self.refunds.iter().map(refund).collect(),
            reference: self.reference,
            provider_reference: self.provider_reference,
            amount: self.amount,
            currency: self.currency,
            created_at: self.created_at,
        })
    }
}

impl WirePage {
    pub(super) fn page(self) -> Result<ChargePage, Fields> {
        if self.next.as_deref().is_some_and(|next| !is_reference(next)) {
            return Err("next");
        }
        let mut page = ChargePage { next: self.next, ..ChargePage::default() };
        for row in &self.charges {
            let read = WireCharge::deserialize(row).map_err(|_| "form");
            match read.and_then(WireCharge::listed) {
                Ok(charge) => page.charges.push(charge),
                Err(field) => page.unreadable.push(unreadable(row, field)),
            }
        }
        Ok(page)
    }
}

/// What is left of a row that is no charge as agreed: it must not hide the others.
fn unreadable(row: &Value, field: Fields) -> UnreadableCharge {
    let reference = |name: &str| {
        let text = row.get(name).and_then(Value::as_str);
        text.filter(|text| is_reference(text)).unwrap_or_default().to_owned()
    };
    UnreadableCharge {
        reference: reference("reference"),
        provider_reference: reference("provider_reference"),
        field,
    }
}

fn is_reference(text: &str) -> bool {
    (1..=REFERENCE_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}
