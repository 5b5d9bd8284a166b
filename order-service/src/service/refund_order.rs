//! Asking for the money of a paid order back.

use tracing::instrument;

use super::{Answer, OrderService};
use crate::model::{Claim, Fingerprint, IdempotencyKey, Operation, OrderError, OrderId, Requester};

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct RefundOrder {
    /// Who asks.
    pub requester: Requester,
    /// Which order.
    pub order_id: OrderId,
    /// The client's key for this call.
    pub key: IdempotencyKey,
}

impl OrderService {
    /// Moves a paid order to REFUNDING. The refund itself is the refund worker's: it goes on until
    /// the money is back, whatever happens to this call.
    #[instrument(name = "order.refund", skip_all, fields(order.id = %command.order_id))]
    pub async fn refund_order(&self, command: RefundOrder) -> Result<Answer, OrderError> {
        let claim = Claim {
            user_id: command.requester.user_id,
            operation: Operation::RefundOrder,
            fingerprint: Fingerprint::of([command.order_id.to_string().as_str()]),
            key: command.key,
        };
        let target = (command.requester, command.order_id);
        self.change_once(&claim, target, |order, actor| order.ask_refund(actor, self.now())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OrderStatus;
    use crate::service::testing::{World, create, key, owner_of};

    #[tokio::test]
    async fn a_paid_order_is_refunded_once() {
        let world = World::with_product("TEA", 1990, 10).await;
        let placed = world.service.create_order(create("TEA", 1, "pm_ok")).await.unwrap();
        let requester = owner_of(&placed.order);
        let command = RefundOrder { requester, order_id: placed.order.id, key: key() };
        let answer = world.service.refund_order(command.clone()).await.unwrap();
        assert_eq!(answer.order.status, OrderStatus::Refunding);
        world.service.request_refunds().await.unwrap();
        world.service.request_refunds().await.unwrap();
        assert_eq!(world.order(placed.order.id).await.status, OrderStatus::Refunded);
        assert_eq!(world.payments.refunded(), [placed.order.payment_id.unwrap()]);
        let again = world.service.refund_order(command).await.unwrap();
        assert_eq!((again.order, again.replayed), (answer.order, true));
    }

    #[tokio::test]
    async fn an_unpaid_order_is_not_refunded() {
        let world = World::with_product("TEA", 1990, 10).await;
        let placed = world.service.create_order(create("TEA", 1, "pm_declined")).await.unwrap();
        let requester = owner_of(&placed.order);
        let command = RefundOrder { requester, order_id: placed.order.id, key: key() };
        let refused = world.service.refund_order(command).await;
        assert!(matches!(refused, Err(OrderError::StateConflict { .. })));
    }
}
