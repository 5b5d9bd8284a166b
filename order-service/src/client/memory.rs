//! A payment-service in memory, for tests: the outcome follows from the method's token, as with the
//! fleet's simulated provider.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{OutcomeUnknown, PaymentGateway, PaymentStanding, RefundStanding};
use crate::model::{Cause, Outcome, PaymentCase, PaymentId, Refund, RefundId};

/// Payments and refunds, each made once per identity.
#[derive(Debug, Default)]
pub struct MemoryPaymentGateway {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    payments: HashMap<PaymentId, PaymentStanding>,
    refunds: HashMap<RefundId, PaymentId>,
    refunding: Refunding,
    reachable: Reachable,
    calls: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Refunding {
    #[default]
    AtOnce,
    NotYet,
}

#[derive(Debug, Default, PartialEq)]
enum Reachable {
    #[default]
    Yes,
    No,
}

impl MemoryPaymentGateway {
    /// Cuts the line: calls have no effect and no answer.
    pub fn disconnect(&self) {
        self.books().reachable = Reachable::No;
    }

    /// Mends the line.
    pub fn reconnect(&self) {
        self.books().reachable = Reachable::Yes;
    }

    /// Lets the provider take its time with refunds.
    pub fn hold_refunds(&self) {
        self.books().refunding = Refunding::NotYet;
    }

    /// Lets the provider refund at once again.
    pub fn release_refunds(&self) {
        self.books().refunding = Refunding::AtOnce;
    }

    /// Lets the provider decide a pending payment.
    pub fn decide(&self, id: PaymentId, outcome: Outcome) {
        self.books().payments.insert(id, PaymentStanding::Settled(outcome));
    }

    /// How many payments were captured.
    pub fn captured(&self) -> usize {
        let captured = PaymentStanding::Settled(Outcome::Captured);
        self.books().payments.values().filter(|standing| **standing == captured).count()
    }

    /// Payments of which the money went back, once per refund.
    pub fn refunded(&self) -> Vec<PaymentId> {
        self.books().refunds.values().copied().collect()
    }

    /// How often it was called.
    pub fn calls(&self) -> usize {
        self.books().calls
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown() -> OutcomeUnknown {
    OutcomeUnknown { source: Cause::from("no answer") }
}

#[async_trait]
impl PaymentGateway for MemoryPaymentGateway {
    async fn pay(&self, case: &PaymentCase) -> Result<PaymentStanding, OutcomeUnknown> {
        let mut books = self.books();
        books.calls += 1;
        if books.reachable == Reachable::No {
            return Err(unknown());
        }
        if let Some(standing) = books.payments.get(&case.attempt.id) {
            return Ok(standing.clone());
        }
        let standing = match case.attempt.method.as_str() {
            "pm_declined" => PaymentStanding::Settled(Outcome::declined("card_declined")),
            "pm_never" | "pm_pending_then_ok" => PaymentStanding::Pending,
            _ => PaymentStanding::Settled(Outcome::Captured),
        };
        books.payments.insert(case.attempt.id, standing.clone());
        // The capture happens, the answer gets lost.
        if case.attempt.method.as_str() == "pm_timeout" {
            return Err(unknown());
        }
        Ok(standing)
    }

    async fn close(&self, case: &PaymentCase) -> Result<PaymentStanding, OutcomeUnknown> {
        let mut books = self.books();
        books.calls += 1;
        if books.reachable == Reachable::No {
            return Err(unknown());
        }
        let closed = || PaymentStanding::Settled(Outcome::declined("order_closed"));
        Ok(books.payments.entry(case.attempt.id).or_insert_with(closed).clone())
    }

    async fn refund(&self, refund: &Refund) -> Result<RefundStanding, OutcomeUnknown> {
        let mut books = self.books();
        books.calls += 1;
        if books.reachable == Reachable::No {
            return Err(unknown());
        }
        if books.refunding == Refunding::NotYet {
            return Ok(RefundStanding::Pending);
        }
        books.refunds.insert(refund.id, refund.payment_id);
        Ok(RefundStanding::Done)
    }
}
