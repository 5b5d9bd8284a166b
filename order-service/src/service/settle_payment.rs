//! Settling a payment: from what payment-service says to a stored decision.

use chassis::error::Chain;
use chassis::{failpoint, mutant};
use chrono::{DateTime, Utc};

use super::{Answer, OrderService, ROUNDS, contended};
use crate::client::{OutcomeUnknown, PaymentStanding};
use crate::model::{
    Change, Claim, KeyUse, Order, OrderError, OrderStatus, Outcome, PaymentCase, PaymentId,
};
use crate::repository::Saved;

impl OrderService {
    /// Calls payment-service for an attempt, and answers the keyed call with what came of it.
    pub(super) async fn pay_and_answer(
        &self,
        case: PaymentCase,
        claim: &Claim,
    ) -> Result<Answer, OrderError> {
        failpoint!("order.pay.before_call");
        let standing = under_way(self.ask(&case)).await.unwrap_or_else(|unknown| {
            tracing::warn!(payment.id = %case.attempt.id, error = %Chain(&unknown), "payment unsettled");
            if mutant!("attempt_closed_on_timeout") {
                return PaymentStanding::Settled(Outcome::declined("timeout"));
            }
            PaymentStanding::Pending
        });
        failpoint!("order.pay.answered");
        let actor = case.attempt.actor.clone();
        let settled = self.decide(case, KeyUse::Complete(claim), |case, now| match &standing {
            PaymentStanding::Settled(outcome) => case.settle(outcome, &actor, now),
            PaymentStanding::Pending => case.unchanged(now),
        });
        match settled.await? {
            Some(order) => Ok(Answer::first(order)),
            None => self.answer_given(claim).await,
        }
    }

    /// Asks payment-service for an attempt. An order that no longer awaits payment starts none: its
    /// attempt is only brought to its end.
    pub(super) async fn ask(&self, case: &PaymentCase) -> Result<PaymentStanding, OutcomeUnknown> {
        if case.order.status.awaits_payment() {
            self.ports.payments.pay(case).await
        } else {
            self.ports.payments.close(case).await
        }
    }

    /// Finishes the work of a call that was lost after it had started a payment.
    pub(super) async fn finish_payment(
        &self,
        payment_id: PaymentId,
        claim: &Claim,
    ) -> Result<Answer, OrderError> {
        let case = self.get_case(payment_id).await?;
        // Settled meanwhile by an event or by recovery: what is left is the answer.
        if case.attempt.outcome.is_none() {
            return self.pay_and_answer(case, claim).await;
        }
        let answered = self.decide(case, KeyUse::Complete(claim), PaymentCase::unchanged);
        match answered.await? {
            Some(order) => Ok(Answer::first(order)),
            None => self.answer_given(claim).await,
        }
    }

    /// Decides on a payment and stores the decision; `None` when another call with the same key
    /// was answered meanwhile.
    pub(super) async fn decide(
        &self,
        mut case: PaymentCase,
        key: KeyUse<'_>,
        decide: impl Fn(&PaymentCase, DateTime<Utc>) -> Change + Send + Sync,
    ) -> Result<Option<Order>, OrderError> {
        for _ in 0..ROUNDS {
            let change = decide(&case, self.now());
            match self.ports.orders.save(&change, key).await? {
                Saved::Done => {
                    self.ring_for_refunds(&change);
                    return Ok(Some(change.order));
                }
                Saved::KeyTaken => {
                    self.ring_for_refunds(&change);
                    return Ok(None);
                }
                Saved::Stale => case = self.get_case(case.attempt.id).await?,
            }
        }
        Err(contended())
    }

    pub(super) async fn get_case(&self, id: PaymentId) -> Result<PaymentCase, OrderError> {
        let found = self.ports.orders.find_cases(&[id]).await?;
        found.into_iter().next().ok_or(OrderError::OrderNotFound)
    }
}

/// Lets a test make the process die while a call to payment-service is under way.
#[cfg(feature = "failpoints")]
async fn under_way<T>(call: impl Future<Output = T>) -> T {
    /// Long enough for the call to have left the process.
    const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(50);

    let mut call = std::pin::pin!(call);
    loop {
        match tokio::time::timeout(LOOK_EVERY, &mut call).await {
            Ok(answer) => return answer,
            Err(_) => failpoint!("order.pay.in_call"),
        }
    }
}

/// The call as it is: this build has no failpoints.
#[cfg(not(feature = "failpoints"))]
fn under_way<F: Future>(call: F) -> F {
    call
}

/// Tells a person when a payment says something else than it said before.
pub(super) fn warn_of_contradiction(case: &PaymentCase, outcome: &Outcome) {
    if case.contradicts(outcome) {
        let status: OrderStatus = case.order.status;
        tracing::error!(
            payment.id = %case.attempt.id,
            order.id = %case.order.id,
            order.status = %status,
            "payment contradicts its settled outcome"
        );
    }
}
