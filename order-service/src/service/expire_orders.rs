//! Letting go of orders that nobody paid.

use tracing::instrument;

use super::{OrderService, Progress, progress};
use crate::model::{Actor, KeyUse, OrderError, Trigger};

impl OrderService {
    /// Expires unpaid orders whose time is over and puts their pieces back on the shelf. Replicas
    /// may do so at once: the guard lets one of them through.
    #[instrument(name = "order.expire", skip_all)]
    pub async fn expire_orders(&self) -> Result<Progress, OrderError> {
        let now = self.now();
        let overdue = self.ports.work.list_overdue(now, self.policy.batch).await?;
        let actor = Actor::system("expiry");
        for order in &overdue {
            let change = order.apply(Trigger::Expire, &actor, now)?;
            // Paid or cancelled a moment ago: then there is nothing to expire.
            let _either_way = self.ports.orders.save(&change, KeyUse::None).await?;
        }
        Ok(progress(overdue.len(), self.policy.batch))
    }
}

#[cfg(test)]
mod tests {
    use crate::model::OrderStatus;
    use crate::service::testing::{World, create};

    #[tokio::test]
    async fn an_unpaid_order_expires_and_returns_its_stock_once() {
        let world = World::with_product("TEA", 1990, 10).await;
        let paid = world.service.create_order(create("TEA", 1, "pm_ok")).await.unwrap().order;
        let unpaid =
            world.service.create_order(create("TEA", 2, "pm_declined")).await.unwrap().order;
        let waiting = world.service.create_order(create("TEA", 3, "pm_never")).await.unwrap().order;
        world.service.expire_orders().await.unwrap();
        assert_eq!(world.order(unpaid.id).await.status, OrderStatus::PaymentFailed);
        world.advance(world.policy().order_ttl);
        world.service.expire_orders().await.unwrap();
        world.service.expire_orders().await.unwrap();
        assert_eq!(world.order(unpaid.id).await.status, OrderStatus::Expired);
        assert_eq!(world.order(waiting.id).await.status, OrderStatus::Expired);
        assert_eq!(world.order(paid.id).await.status, OrderStatus::Paid);
        assert_eq!(world.stock("TEA").await, 9);
    }
}
