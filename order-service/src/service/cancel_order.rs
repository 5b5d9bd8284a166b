//! Cancelling an order that is not paid.

use tracing::instrument;

use super::{Answer, OrderService};
use crate::model::{
    Claim, Fingerprint, IdempotencyKey, Operation, OrderError, OrderId, Requester, Trigger,
};

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct CancelOrder {
    /// Who asks.
    pub requester: Requester,
    /// Which order.
    pub order_id: OrderId,
    /// The client's key for this call.
    pub key: IdempotencyKey,
}

impl OrderService {
    /// Cancels an order and puts its pieces back on the shelf. A payment that is captured all the
    /// same is given back.
    #[instrument(name = "order.cancel", skip_all, fields(order.id = %command.order_id))]
    pub async fn cancel_order(&self, command: CancelOrder) -> Result<Answer, OrderError> {
        let claim = Claim {
            user_id: command.requester.user_id,
            operation: Operation::CancelOrder,
            fingerprint: Fingerprint::of([command.order_id.to_string().as_str()]),
            key: command.key,
        };
        let target = (command.requester, command.order_id);
        self.change_once(&claim, target, |order, actor| {
            order.apply(Trigger::Cancel, actor, self.now())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OrderStatus, Role, UserId};
    use crate::service::testing::{World, create, key, owner_of};

    async fn unpaid(world: &World) -> CancelOrder {
        let placed = world.service.create_order(create("TEA", 2, "pm_declined")).await.unwrap();
        let requester = owner_of(&placed.order);
        CancelOrder { requester, order_id: placed.order.id, key: key() }
    }

    #[tokio::test]
    async fn cancelling_returns_the_stock_once() {
        let world = World::with_product("TEA", 1990, 10).await;
        let command = unpaid(&world).await;
        assert_eq!(world.stock("TEA").await, 8);
        let answer = world.service.cancel_order(command.clone()).await.unwrap();
        assert_eq!((answer.order.status, answer.replayed), (OrderStatus::Cancelled, false));
        let again = world.service.cancel_order(command).await.unwrap();
        assert_eq!((again.order, again.replayed), (answer.order, true));
        assert_eq!(world.stock("TEA").await, 10);
    }

    #[tokio::test]
    async fn a_paid_order_is_not_cancelled() {
        let world = World::with_product("TEA", 1990, 10).await;
        let placed = world.service.create_order(create("TEA", 1, "pm_ok")).await.unwrap();
        let requester = owner_of(&placed.order);
        let command = CancelOrder { requester, order_id: placed.order.id, key: key() };
        let refused = world.service.cancel_order(command).await;
        assert!(matches!(refused, Err(OrderError::StateConflict { .. })));
    }

    #[tokio::test]
    async fn a_stranger_sees_no_order_and_an_administrator_may_cancel_it() {
        let world = World::with_product("TEA", 1990, 10).await;
        let mut command = unpaid(&world).await;
        command.requester.user_id = UserId::generate();
        let refused = world.service.cancel_order(command.clone()).await;
        assert!(matches!(refused, Err(OrderError::OrderNotFound)));
        command.requester.role = Role::Admin;
        let answer = world.service.cancel_order(command).await.unwrap();
        assert_eq!(answer.order.status, OrderStatus::Cancelled);
    }
}
