//! Placing an order: price it, reserve its stock, and try to take the money.

use chrono::{DateTime, Utc};
use tracing::instrument;

use super::{Answer, OrderService, ROUNDS, contended};
use crate::model::{
    Cart, Claim, Fingerprint, IdempotencyKey, Operation, OrderError, OrderId, PaymentId,
    PaymentMethod, Placement, UserId,
};
use crate::repository::Placed;

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct CreateOrder {
    /// Who asks.
    pub user_id: UserId,
    /// What is ordered.
    pub cart: Cart,
    /// How it is paid.
    pub method: PaymentMethod,
    /// The client's key for this call.
    pub key: IdempotencyKey,
}

impl OrderService {
    /// Places an order and tries to pay it.
    ///
    /// The order is stored before payment-service is called, with all that a later worker needs to
    /// finish the work: whatever happens to this call from there on, nothing is lost or done twice.
    /// While the payment is unsettled the answer is the order in state CREATED.
    #[instrument(name = "order.create", skip_all, fields(user.id = %command.user_id))]
    pub async fn create_order(&self, command: CreateOrder) -> Result<Answer, OrderError> {
        let placement = self.placement(command, self.now());
        for _ in 0..ROUNDS {
            match self.ports.orders.place(&placement).await? {
                Placed::Fresh(case) => return self.pay_and_answer(*case, &placement.claim).await,
                Placed::KeyTaken => return self.replay(&placement.claim).await,
                Placed::Stale => {}
            }
        }
        Err(contended())
    }

    pub(super) fn placement(&self, command: CreateOrder, now: DateTime<Utc>) -> Placement {
        Placement {
            order_id: OrderId::generate(),
            user_id: command.user_id,
            payment_id: PaymentId::generate(),
            now,
            expires_at: now + self.policy.order_ttl,
            check_at: now + self.policy.recheck_after,
            claim: command.claim(),
            lease_until: now + self.policy.claim_lease,
            open_max: self.policy.open_per_user_max,
            cart: command.cart,
            method: command.method,
        }
    }
}

impl CreateOrder {
    fn claim(&self) -> Claim {
        let quantities: Vec<(&str, String)> = self
            .cart
            .lines()
            .iter()
            .map(|line| (line.sku.as_str(), line.quantity.to_string()))
            .collect();
        let lines = quantities.iter().flat_map(|(sku, quantity)| [*sku, quantity.as_str()]);
        Claim {
            user_id: self.user_id,
            operation: Operation::CreateOrder,
            key: self.key.clone(),
            fingerprint: Fingerprint::of(lines.chain([self.method.as_str()])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OrderStatus, Outcome};
    use crate::service::testing::{World, cancel, create, key};

    #[tokio::test]
    async fn an_approved_order_is_paid_at_once() {
        let world = World::with_product("TEA", 1990, 10).await;
        let answer = world.service.create_order(create("TEA", 2, "pm_ok")).await.unwrap();
        assert_eq!(answer.order.status, OrderStatus::Paid);
        assert_eq!((answer.order.version, answer.replayed), (2, false));
        assert_eq!(world.stock("TEA").await, 8);
        assert_eq!(world.event_names(), ["order.created", "order.paid"]);
    }

    #[tokio::test]
    async fn a_declined_order_keeps_its_stock_and_tells_why() {
        let world = World::with_product("TEA", 1990, 10).await;
        let answer = world.service.create_order(create("TEA", 2, "pm_declined")).await.unwrap();
        assert_eq!(answer.order.status, OrderStatus::PaymentFailed);
        assert_eq!(answer.order.failure_reason.as_deref(), Some("card_declined"));
        assert_eq!(world.stock("TEA").await, 8);
    }

    #[tokio::test]
    async fn an_undecided_or_unknown_payment_leaves_the_order_created() {
        let world = World::with_product("TEA", 1990, 10).await;
        for method in ["pm_never", "pm_timeout"] {
            let answer = world.service.create_order(create("TEA", 1, method)).await.unwrap();
            assert_eq!(answer.order.status, OrderStatus::Created, "{method}");
        }
    }

    #[tokio::test]
    async fn a_refused_order_leaves_nothing_behind() {
        let world = World::with_product("TEA", 1990, 1).await;
        let mut command = create("TEA", 2, "pm_ok");
        let refused = world.service.create_order(command.clone()).await;
        assert!(matches!(refused, Err(OrderError::OutOfStock { line: 0 })));
        assert_eq!(world.stock("TEA").await, 1);
        assert!(world.event_names().is_empty());
        // The key is free again, even for another request.
        command.cart = Cart::parse(&[("TEA", 1)]).unwrap();
        assert!(!world.service.create_order(command).await.unwrap().replayed);
    }

    #[tokio::test]
    async fn nobody_holds_more_stock_by_unpaid_orders_than_the_quota_lets() {
        let world = World::with_product("TEA", 1990, 1_000).await;
        let command = create("TEA", 1, "pm_declined");
        let another = || CreateOrder { key: key(), ..command.clone() };
        let first = world.service.create_order(command.clone()).await.unwrap();
        let max = world.policy().open_per_user_max;
        for _ in 1..max {
            world.service.create_order(another()).await.unwrap();
        }
        let refused = world.service.create_order(another()).await;
        assert!(matches!(refused, Err(OrderError::QuotaExceeded { .. })), "{refused:?}");
        assert_eq!(world.stock("TEA").await, 1_000 - max);
        // What was done is answered as before, and others order as before.
        assert!(world.service.create_order(command.clone()).await.unwrap().replayed);
        world.service.create_order(create("TEA", 1, "pm_ok")).await.unwrap();
        world.service.cancel_order(cancel(&first.order)).await.unwrap();
        world.service.create_order(CreateOrder { key: key(), ..command }).await.unwrap();
    }

    #[tokio::test]
    async fn the_same_key_gets_the_same_answer() {
        let world = World::with_product("TEA", 1990, 10).await;
        let command = create("TEA", 1, "pm_ok");
        let first = world.service.create_order(command.clone()).await.unwrap();
        let again = world.service.create_order(command).await.unwrap();
        assert!(again.replayed);
        assert_eq!(again.order, first.order);
        assert_eq!(world.payments.captured(), 1);
        assert_eq!(world.stock("TEA").await, 9);
    }

    #[tokio::test]
    async fn another_request_under_the_same_key_is_refused() {
        let world = World::with_product("TEA", 1990, 10).await;
        let command = create("TEA", 1, "pm_ok");
        world.service.create_order(command.clone()).await.unwrap();
        for other in [
            CreateOrder { cart: Cart::parse(&[("TEA", 2)]).unwrap(), ..command.clone() },
            CreateOrder { method: PaymentMethod::parse("pm_other").unwrap(), ..command.clone() },
        ] {
            let refused = world.service.create_order(other).await;
            assert!(matches!(refused, Err(OrderError::IdempotencyKeyReused)));
        }
    }

    #[tokio::test]
    async fn the_key_of_another_user_is_another_key() {
        let world = World::with_product("TEA", 1990, 10).await;
        let command = create("TEA", 1, "pm_ok");
        world.service.create_order(command.clone()).await.unwrap();
        let other = CreateOrder { user_id: UserId::generate(), ..command };
        assert!(!world.service.create_order(other).await.unwrap().replayed);
    }

    #[tokio::test]
    async fn a_call_that_still_runs_keeps_others_out_until_its_lease_is_over() {
        let world = World::with_product("TEA", 1990, 10).await;
        let command = create("TEA", 1, "pm_ok");
        let case = world.abandon(command.clone()).await;
        let refused = world.service.create_order(command.clone()).await;
        assert!(matches!(refused, Err(OrderError::IdempotencyInProgress)));
        world.advance(world.policy().claim_lease);
        let answer = world.service.create_order(command.clone()).await.unwrap();
        assert_eq!((answer.order.id, answer.order.status), (case.order.id, OrderStatus::Paid));
        assert_eq!(world.payments.captured(), 1);
        assert!(world.service.create_order(command).await.unwrap().replayed);
    }

    #[tokio::test]
    async fn a_call_that_was_lost_is_finished_without_a_payment_once_its_order_is_over() {
        let world = World::with_product("TEA", 1990, 10).await;
        let command = create("TEA", 1, "pm_ok");
        let case = world.abandon(command.clone()).await;
        world.service.cancel_order(cancel(&case.order)).await.unwrap();
        world.advance(world.policy().claim_lease);
        let answer = world.service.create_order(command).await.unwrap();
        assert_eq!((answer.order.id, answer.order.status), (case.order.id, OrderStatus::Cancelled));
        assert_eq!(world.payments.captured(), 0);
        let attempt = world.case(case.attempt.id).await.attempt;
        assert_eq!(attempt.outcome, Some(Outcome::declined("order_closed")));
    }
}
