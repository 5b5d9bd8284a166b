//! Trying to pay an order again.

use tracing::instrument;

use super::answer::Known;
use super::{Answer, OrderService, ROUNDS, contended};
use crate::model::{
    Actor, Attempt, Claim, Fingerprint, IdempotencyKey, KeyUse, Operation, OrderError, OrderId,
    PaymentCase, PaymentId, PaymentMethod, Requester,
};
use crate::repository::Saved;

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct PayOrder {
    /// Who asks.
    pub requester: Requester,
    /// Which order.
    pub order_id: OrderId,
    /// How it is paid this time.
    pub method: PaymentMethod,
    /// The client's key for this call.
    pub key: IdempotencyKey,
}

impl OrderService {
    /// Starts another attempt to pay an order whose last attempt was declined.
    #[instrument(name = "order.pay", skip_all, fields(order.id = %command.order_id))]
    pub async fn pay_order(&self, command: PayOrder) -> Result<Answer, OrderError> {
        let claim = command.claim();
        for _ in 0..ROUNDS {
            // The order before the key, as in `change_once`.
            let found = self.get_order_for(command.requester, command.order_id).await;
            match self.look_up(&claim).await? {
                Known::Answered(answer) => return Ok(answer),
                Known::Abandoned(payment_id) => {
                    return self.finish_payment(payment_id, &claim).await;
                }
                Known::Nothing => {}
            }
            let (order, actor) = found?;
            let attempt = self.attempt(&command, actor);
            let change = order.start_attempt(attempt.clone())?;
            let lease_until = change.at + self.policy.claim_lease;
            let key = KeyUse::Open { claim: &claim, lease_until };
            match self.ports.orders.save(&change, key).await? {
                Saved::Done => {
                    let case = PaymentCase { order: change.order, attempt, refund: None };
                    return self.pay_and_answer(case, &claim).await;
                }
                Saved::Stale | Saved::KeyTaken => {}
            }
        }
        Err(contended())
    }

    fn attempt(&self, command: &PayOrder, actor: Actor) -> Attempt {
        let now = self.now();
        Attempt {
            id: PaymentId::generate(),
            order_id: command.order_id,
            method: command.method.clone(),
            actor,
            outcome: None,
            checks: 0,
            check_at: now + self.policy.recheck_after,
            created_at: now,
        }
    }
}

impl PayOrder {
    fn claim(&self) -> Claim {
        let order_id = self.order_id.to_string();
        Claim {
            user_id: self.requester.user_id,
            operation: Operation::PayOrder,
            key: self.key.clone(),
            fingerprint: Fingerprint::of([order_id.as_str(), self.method.as_str()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::model::OrderStatus;
    use crate::service::testing::{World, create, key, owner_of};

    async fn declined(world: &World) -> PayOrder {
        let placed = world.service.create_order(create("TEA", 1, "pm_declined")).await.unwrap();
        PayOrder {
            requester: owner_of(&placed.order),
            order_id: placed.order.id,
            method: PaymentMethod::parse("pm_ok").unwrap(),
            key: key(),
        }
    }

    #[tokio::test]
    async fn a_second_attempt_can_pay_the_order() {
        let world = World::with_product("TEA", 1990, 10).await;
        let command = declined(&world).await;
        let answer = world.service.pay_order(command.clone()).await.unwrap();
        assert_eq!(answer.order.status, OrderStatus::Paid);
        assert_eq!(answer.order.failure_reason, None);
        let again = world.service.pay_order(command).await.unwrap();
        assert_eq!((again.order, again.replayed), (answer.order, true));
        assert_eq!(world.payments.captured(), 1);
    }

    #[tokio::test]
    async fn a_second_decline_is_told_anew() {
        let world = World::with_product("TEA", 1990, 10).await;
        let mut command = declined(&world).await;
        command.method = PaymentMethod::parse("pm_declined").unwrap();
        let answer = world.service.pay_order(command).await.unwrap();
        assert_eq!((answer.order.status, answer.order.version), (OrderStatus::PaymentFailed, 3));
        let events = world.event_names();
        assert_eq!(events, ["order.created", "order.payment_failed", "order.payment_failed"]);
    }

    #[tokio::test]
    async fn an_unsettled_attempt_refuses_another_one() {
        let world = World::with_product("TEA", 1990, 10).await;
        let mut command = declined(&world).await;
        command.method = PaymentMethod::parse("pm_never").unwrap();
        world.service.pay_order(command.clone()).await.unwrap();
        command.key = key();
        let refused = world.service.pay_order(command.clone()).await;
        assert!(matches!(refused, Err(OrderError::PaymentInProgress)));
        // The refusal did not use the key up.
        let refused = world.service.pay_order(command).await;
        assert!(matches!(refused, Err(OrderError::PaymentInProgress)));
    }

    #[tokio::test]
    async fn an_order_whose_time_is_over_is_not_paid() {
        let world = World::with_product("TEA", 1990, 10).await;
        let command = declined(&world).await;
        world.advance(world.policy().order_ttl + TimeDelta::seconds(1));
        let refused = world.service.pay_order(command).await;
        assert!(matches!(refused, Err(OrderError::StateConflict { .. })));
        assert_eq!(world.payments.captured(), 0);
    }
}
