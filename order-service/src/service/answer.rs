//! Answers of keyed calls: given once, repeated as often as asked.

use chassis::failpoint;
use chrono::TimeDelta;

use super::{OrderService, ROUNDS, contended};
use crate::model::{
    Actor, Change, Claim, KeyUse, Order, OrderError, OrderId, PaymentId, Requester,
};
use crate::repository::Saved;

/// What a keyed call answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The order.
    pub order: Order,
    /// Whether an earlier call with the same key gave this answer.
    pub replayed: bool,
}

impl Answer {
    /// The answer of the call that did the work, which is stored by now.
    pub(super) fn first(order: Order) -> Self {
        failpoint!("order.answer.stored");
        Self { order, replayed: false }
    }
}

/// What is known about a key.
pub(super) enum Known {
    /// Nothing: the call is the first one.
    Nothing,
    /// An earlier call was answered.
    Answered(Answer),
    /// An earlier call started this payment and was lost; its work is ours now.
    Abandoned(PaymentId),
}

impl OrderService {
    /// Looks a key up, and takes the claim over when whoever held it is gone.
    pub(super) async fn look_up(&self, claim: &Claim) -> Result<Known, OrderError> {
        let Some(stored) = self.ports.orders.find_claim(claim).await? else {
            return Ok(Known::Nothing);
        };
        if stored.fingerprint != claim.fingerprint {
            return Err(OrderError::IdempotencyKeyReused);
        }
        if let Some(order) = stored.answer {
            return Ok(Known::Answered(Answer { order, replayed: true }));
        }
        let now = self.now();
        let lost = stored.payment_id.filter(|_| stored.lease_until <= now);
        let Some(payment_id) = lost else {
            return Err(OrderError::IdempotencyInProgress);
        };
        let until = now + self.policy.claim_lease;
        if self.ports.orders.take_over(claim, stored.lease_until, until).await? {
            tracing::info!(payment.id = %payment_id, "taking over an abandoned call");
            Ok(Known::Abandoned(payment_id))
        } else {
            Err(OrderError::IdempotencyInProgress)
        }
    }

    /// Answers a call whose key was claimed before.
    pub(super) async fn replay(&self, claim: &Claim) -> Result<Answer, OrderError> {
        match self.look_up(claim).await? {
            Known::Answered(answer) => Ok(answer),
            Known::Abandoned(payment_id) => self.finish_payment(payment_id, claim).await,
            // The claim was swept between two looks: rare enough to let the caller come again.
            Known::Nothing => Err(OrderError::IdempotencyInProgress),
        }
    }

    /// The answer that another call with the same key gave while this one was at work.
    pub(super) async fn answer_given(&self, claim: &Claim) -> Result<Answer, OrderError> {
        match self.look_up(claim).await? {
            Known::Answered(answer) => Ok(answer),
            Known::Abandoned(_) | Known::Nothing => Err(OrderError::IdempotencyInProgress),
        }
    }

    /// Makes one change to an order on behalf of a keyed call and answers with it.
    pub(super) async fn change_once(
        &self,
        claim: &Claim,
        target: (Requester, OrderId),
        decide: impl Fn(&Order, &Actor) -> Result<Change, OrderError> + Send + Sync,
    ) -> Result<Answer, OrderError> {
        for _ in 0..ROUNDS {
            // The order before the key: what an earlier call with this key made of the order is
            // then never without its answer, and a repetition is not refused for it.
            let found = self.get_order_for(target.0, target.1).await;
            if let Known::Answered(answer) = self.look_up(claim).await? {
                return Ok(answer);
            }
            let (order, actor) = found?;
            let change = decide(&order, &actor)?;
            match self.ports.orders.save(&change, KeyUse::Answer(claim)).await? {
                Saved::Done => {
                    self.ring_for_refunds(&change);
                    return Ok(Answer::first(change.order));
                }
                Saved::Stale | Saved::KeyTaken => {}
            }
        }
        Err(contended())
    }

    /// Wakes the refund worker when a change gave it work.
    pub(super) fn ring_for_refunds(&self, change: &Change) {
        if change.requests_refund() {
            self.refunds_due.notify_one();
        }
    }

    /// When a pause that doubles with every check ends, at most the configured one.
    pub(super) fn pause_after(&self, checks: u32) -> TimeDelta {
        let doubled =
            2_i32.checked_pow(checks).and_then(|by| self.policy.recheck_after.checked_mul(by));
        doubled.unwrap_or(self.policy.recheck_max).min(self.policy.recheck_max)
    }
}
