//! A provider inside the process: what happens to a charge is written in its method's token.
//!
//! It behaves as a real one as far as its client can see: it remembers charges by reference, decides
//! some of them later, and calls back with signed messages, sometimes repeatedly. Its memory is a
//! table, so that it survives a restart of the process as the memory of a real provider would.

#[cfg(test)]
mod contract;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
pub mod mysql;
mod scenario;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chassis::clock::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::sync::mpsc;

use self::scenario::{Decision, Manner, Scenario};
use super::{ChargeRequest, PaymentProvider, ProviderError, RefundRequest};
use crate::model::{
    Charge, ChargePage, ListedCharge, ListedRefund, Money, Outcome, PaymentId, Reason, RefundId,
};

/// Callbacks that wait to be sent; more are lost, as they may be with a real provider.
const CALLBACKS_MAX: usize = 1_024;
/// What its references begin with.
const PREFIX: &str = "sim_";

/// A charge as the simulated provider keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRow {
    /// Our reference.
    pub reference: PaymentId,
    /// How much.
    pub amount: Money,
    /// What it comes to in the end: `captured`, or why it is declined. None: it is never decided.
    pub verdict: Option<Verdict>,
    /// When it was written down.
    pub created_at: DateTime<Utc>,
    /// From when on the verdict holds.
    pub due_at: DateTime<Utc>,
    /// Under which id it was refunded.
    pub refund_id: Option<RefundId>,
}

/// What a charge comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The money is taken.
    Captured,
    /// It is refused.
    Declined(Reason),
}

impl ChargeRow {
    /// How the charge stands at `now`.
    pub fn outcome(&self, now: DateTime<Utc>) -> Outcome {
        match &self.verdict {
            Some(Verdict::Captured) if self.due_at <= now => Outcome::Captured,
            Some(Verdict::Declined(reason)) if self.due_at <= now => {
                Outcome::Declined(reason.clone())
            }
            _ => Outcome::Pending,
        }
    }

    /// The provider's own reference. It sorts as the reference does.
    fn provider_reference(&self) -> String {
        format!("{PREFIX}{}", self.reference)
    }

    fn listed(&self, now: DateTime<Utc>) -> ListedCharge {
        let refund =
            |id: RefundId| ListedRefund { id: id.to_string(), amount: self.amount.amount() };
        ListedCharge {
            reference: self.reference.to_string(),
            provider_reference: self.provider_reference(),
            amount: self.amount.amount(),
            currency: self.amount.currency().to_string(),
            outcome: self.outcome(now),
            created_at: self.created_at,
            refunds: self.refund_id.map(refund).into_iter().collect(),
        }
    }
}

/// The simulated provider's memory.
#[async_trait]
pub trait ChargeBook: Send + Sync {
    /// Writes a charge down unless there is one under its reference, which is then returned.
    async fn open(&self, row: &ChargeRow) -> Result<Option<ChargeRow>, ProviderError>;

    /// Finds a charge.
    async fn find(&self, reference: PaymentId) -> Result<Option<ChargeRow>, ProviderError>;

    /// Marks a charge as refunded. Returns whether it is refunded under this id now.
    async fn refund(&self, reference: PaymentId, id: RefundId) -> Result<bool, ProviderError>;

    /// Lists up to `limit` charges behind `after`, in the order of their references.
    async fn list(
        &self,
        after: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<ChargeRow>, ProviderError>;
}

/// A callback that the provider is going to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingCallback {
    /// The body.
    pub body: Vec<u8>,
    /// How long from now.
    pub delay: Duration,
    /// How many times.
    pub copies: u32,
}

/// A [`PaymentProvider`] that moves no money.
pub struct SimulatedProvider {
    book: Arc<dyn ChargeBook>,
    clock: Arc<dyn Clock>,
    callback_delay: Duration,
    callbacks: mpsc::Sender<OutgoingCallback>,
}

impl SimulatedProvider {
    /// Creates a provider, and the end at which its callbacks come out.
    pub fn new(
        book: Arc<dyn ChargeBook>,
        clock: Arc<dyn Clock>,
        callback_delay: Duration,
    ) -> (Self, mpsc::Receiver<OutgoingCallback>) {
        let (callbacks, outgoing) = mpsc::channel(CALLBACKS_MAX);
        (Self { book, clock, callback_delay, callbacks }, outgoing)
    }

    fn row(&self, request: &ChargeRequest, scenario: &Scenario) -> ChargeRow {
        let (verdict, delay) = match &scenario.decision {
            Decision::AtOnce(verdict) => (Some(verdict.clone()), TimeDelta::zero()),
            Decision::Later(verdict) => (Some(verdict.clone()), delta(self.callback_delay)),
            Decision::Never => (None, TimeDelta::zero()),
        };
        let created_at = self.clock.now();
        ChargeRow {
            reference: request.reference,
            amount: request.amount,
            verdict,
            created_at,
            due_at: created_at + delay,
            refund_id: None,
        }
    }

    fn announce(&self, row: &ChargeRow, copies: u32) {
        let Some(verdict) = row.verdict.as_ref().filter(|_| copies > 0) else { return };
        let delay = (row.due_at - self.clock.now()).to_std().unwrap_or_default();
        let callback = OutgoingCallback { body: body(row, verdict), delay, copies };
        if self.callbacks.try_send(callback).is_err() {
            tracing::debug!(payment.id = %row.reference, "simulated callback dropped");
        }
    }

    fn charge_of(&self, request: &ChargeRequest, row: &ChargeRow) -> Result<Charge, ProviderError> {
        if row.amount != request.amount {
            return Err(ProviderError::unknown("the reference belongs to a charge of other money"));
        }
        Ok(self.charge(row))
    }

    fn charge(&self, row: &ChargeRow) -> Charge {
        Charge {
            provider_reference: row.provider_reference(),
            outcome: row.outcome(self.clock.now()),
        }
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

fn body(row: &ChargeRow, verdict: &Verdict) -> Vec<u8> {
    let (kind, reason) = match verdict {
        Verdict::Captured => ("payment.succeeded", None),
        Verdict::Declined(reason) => ("payment.failed", Some(reason.as_str())),
    };
    let mut body = json!({
        "id": format!("evt_{}", row.reference),
        "type": kind,
        "reference": row.reference,
        "provider_reference": row.provider_reference(),
        "amount": row.amount.amount(),
        "currency": row.amount.currency().as_str(),
    });
    if let Some(reason) = reason {
        body["reason"] = reason.into();
    }
    body.to_string().into_bytes()
}

#[async_trait]
impl PaymentProvider for SimulatedProvider {
    async fn capture(&self, request: &ChargeRequest) -> Result<Charge, ProviderError> {
        let scenario = Scenario::of(&request.method);
        let row = self.row(request, &scenario);
        if let Some(existing) = self.book.open(&row).await? {
            return self.charge_of(request, &existing);
        }
        self.announce(&row, scenario.callbacks);
        match scenario.manner {
            Manner::Prompt => {}
            Manner::After(pause) => tokio::time::sleep(pause).await,
            Manner::Silent => std::future::pending().await,
        }
        Ok(self.charge(&row))
    }

    async fn query(&self, request: &ChargeRequest) -> Result<Option<Charge>, ProviderError> {
        let found = self.book.find(request.reference).await?;
        found.map(|row| self.charge_of(request, &row)).transpose()
    }

    async fn refund(&self, request: &RefundRequest) -> Result<(), ProviderError> {
        if self.book.refund(request.reference, request.refund_id).await? {
            return Ok(());
        }
        Err(ProviderError::Refused { reason: "not_refundable".to_owned() })
    }

    async fn list_charges(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<ChargePage, ProviderError> {
        let after = after.map(|text| {
            let reference = text.strip_prefix(PREFIX).and_then(|id| PaymentId::parse(id).ok());
            reference.ok_or_else(|| ProviderError::unknown("no reference of this provider"))
        });
        // One row more tells whether there is a next page.
        let mut rows = self.book.list(after.transpose()?, limit.saturating_add(1)).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more).map(ChargeRow::provider_reference);
        let now = self.clock.now();
        let charges = rows.iter().map(|row| row.listed(now)).collect();
        Ok(ChargePage { charges, next, ..ChargePage::default() })
    }
}

#[cfg(test)]
mod tests {
    use chassis::testing::clock::FixedClock;

    use super::memory::MemoryChargeBook;
    use super::*;
    use crate::model::{Callback, Notice, PaymentMethod};

    struct Bench {
        provider: SimulatedProvider,
        outgoing: mpsc::Receiver<OutgoingCallback>,
        clock: Arc<FixedClock>,
    }

    fn bench() -> Bench {
        let clock = Arc::new(FixedClock::default());
        let book = Arc::new(MemoryChargeBook::default());
        let (provider, outgoing) =
            SimulatedProvider::new(book, clock.clone(), Duration::from_secs(1));
        Bench { provider, outgoing, clock }
    }

    fn request(method: &str) -> ChargeRequest {
        ChargeRequest {
            reference: PaymentId::generate(),
            amount: Money::parse("amount", 500, "CNY").unwrap(),
            method: PaymentMethod::parse("method", method).unwrap(),
        }
    }

    fn declined(reason: &str) -> Outcome {
        Outcome::Declined(Reason::from_provider(reason))
    }

    #[tokio::test(start_paused = true)]
    async fn the_token_decides_the_answer() {
        for (method, expected) in [
            ("pm_ok", Outcome::Captured),
            ("pm_declined", declined("card_declined")),
            ("pm_insufficient_funds", declined("insufficient_funds")),
            ("pm_pending_then_ok", Outcome::Pending),
            ("pm_pending_then_failed", Outcome::Pending),
            ("pm_never", Outcome::Pending),
            ("pm_duplicate_callback", Outcome::Captured),
            ("pm_slow_2s", Outcome::Captured),
            ("pm_of_another_provider", declined("unknown_payment_method")),
        ] {
            let charge = bench().provider.capture(&request(method)).await.unwrap();
            assert_eq!(charge.outcome, expected, "{method}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_provider_has_captured_all_the_same() {
        let bench = bench();
        let request = request("pm_timeout");
        let answer =
            tokio::time::timeout(Duration::from_hours(1), bench.provider.capture(&request));
        assert!(answer.await.is_err());
        let charge = bench.provider.query(&request).await.unwrap().unwrap();
        assert_eq!(charge.outcome, Outcome::Captured);
        assert_eq!(bench.provider.capture(&request).await.unwrap(), charge);
    }

    #[tokio::test]
    async fn a_pending_charge_is_decided_when_its_time_comes() {
        for (method, expected) in [
            ("pm_pending_then_ok", Outcome::Captured),
            ("pm_pending_then_failed", declined("card_declined")),
            ("pm_never", Outcome::Pending),
        ] {
            let bench = bench();
            let request = request(method);
            bench.provider.capture(&request).await.unwrap();
            bench.clock.advance(TimeDelta::milliseconds(999));
            let early = bench.provider.query(&request).await.unwrap().unwrap();
            assert_eq!(early.outcome, Outcome::Pending, "{method}");
            bench.clock.advance(TimeDelta::milliseconds(1));
            let late = bench.provider.query(&request).await.unwrap().unwrap();
            assert_eq!(late.outcome, expected, "{method}");
        }
    }

    #[tokio::test]
    async fn callbacks_say_what_the_charge_came_to() {
        let mut bench = bench();
        let request = request("pm_pending_then_failed");
        bench.provider.capture(&request).await.unwrap();
        let sent = bench.outgoing.try_recv().unwrap();
        assert_eq!((sent.delay, sent.copies), (Duration::from_secs(1), 1));
        let Notice::Charge { reference, amount, currency, outcome, .. } =
            Callback::parse(&sent.body).unwrap().notice
        else {
            panic!("not about a charge")
        };
        assert_eq!(reference, Some(request.reference));
        assert_eq!((amount, currency.as_str()), (500, "CNY"));
        assert_eq!(outcome, declined("card_declined"));
    }

    #[tokio::test]
    async fn only_some_methods_call_back_and_one_does_so_repeatedly() {
        for (method, copies) in [("pm_ok", 0), ("pm_never", 0), ("pm_duplicate_callback", 5)] {
            let mut bench = bench();
            let request = request(method);
            bench.provider.capture(&request).await.unwrap();
            bench.provider.capture(&request).await.unwrap();
            let sent: u32 =
                std::iter::from_fn(|| bench.outgoing.try_recv().ok()).map(|sent| sent.copies).sum();
            assert_eq!(sent, copies, "{method}");
        }
    }

    #[tokio::test]
    async fn a_refund_is_made_once_and_only_of_a_captured_charge() {
        let bench = bench();
        let request = request("pm_ok");
        bench.provider.capture(&request).await.unwrap();
        let refund = RefundRequest {
            reference: request.reference,
            refund_id: RefundId::generate(),
            amount: request.amount,
        };
        bench.provider.refund(&refund).await.unwrap();
        bench.provider.refund(&refund).await.unwrap();
        let second = RefundRequest { refund_id: RefundId::generate(), ..refund.clone() };
        assert!(bench.provider.refund(&second).await.is_err());
        let unknown = RefundRequest { reference: PaymentId::generate(), ..refund };
        assert!(bench.provider.refund(&unknown).await.is_err());
    }
}
