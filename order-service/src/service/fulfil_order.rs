//! Shipping and completing: what administrators say about a paid order.

use tracing::instrument;

use super::{OrderService, ROUNDS, contended};
use crate::model::{KeyUse, Order, OrderError, OrderId, Requester, Trigger};
use crate::repository::Saved;

impl OrderService {
    /// Marks a paid order as shipped.
    #[instrument(name = "order.ship", skip_all, fields(order.id = %id))]
    pub async fn ship_order(&self, requester: Requester, id: OrderId) -> Result<Order, OrderError> {
        self.advance_order(requester, id, Trigger::Ship).await
    }

    /// Marks a shipped order as completed.
    #[instrument(name = "order.complete", skip_all, fields(order.id = %id))]
    pub async fn complete_order(
        &self,
        requester: Requester,
        id: OrderId,
    ) -> Result<Order, OrderError> {
        self.advance_order(requester, id, Trigger::Complete).await
    }

    async fn advance_order(
        &self,
        requester: Requester,
        id: OrderId,
        trigger: Trigger,
    ) -> Result<Order, OrderError> {
        for _ in 0..ROUNDS {
            let (order, actor) = self.get_order_for(requester, id).await?;
            let change = order.apply(trigger, &actor, self.now())?;
            if self.ports.orders.save(&change, KeyUse::None).await? == Saved::Done {
                return Ok(change.order);
            }
        }
        Err(contended())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OrderStatus;
    use crate::service::testing::{World, admin, create};

    #[tokio::test]
    async fn a_paid_order_is_shipped_then_completed() {
        let world = World::with_product("TEA", 1990, 10).await;
        let id = world.service.create_order(create("TEA", 1, "pm_ok")).await.unwrap().order.id;
        let early = world.service.complete_order(admin(), id).await;
        assert!(matches!(early, Err(OrderError::StateConflict { .. })));
        let shipped = world.service.ship_order(admin(), id).await.unwrap();
        assert_eq!(shipped.status, OrderStatus::Shipped);
        let completed = world.service.complete_order(admin(), id).await.unwrap();
        assert_eq!((completed.status, completed.version), (OrderStatus::Completed, 4));
    }
}
