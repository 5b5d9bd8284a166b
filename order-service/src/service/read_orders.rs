//! Reading orders.

use tracing::instrument;

use super::OrderService;
use crate::model::{
    Explanation, Order, OrderError, OrderId, OrderStatus, Requester, Timeline, UserId,
};
use crate::repository::OrderQuery;

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    /// What the page shows.
    pub items: Vec<T>,
    /// Whether the list goes on after it.
    pub more: bool,
}

impl<T> Listing<T> {
    /// Cuts a page off a list that was read one item further than the page.
    pub(super) fn cut(mut items: Vec<T>, size: u32) -> Self {
        let more = items.len() > size as usize;
        items.truncate(size as usize);
        Self { items, more }
    }

    /// The item after which the list goes on.
    pub fn last(&self) -> Option<&T> {
        self.items.last().filter(|_| self.more)
    }
}

/// What happened to an order, and why it is in its state.
#[derive(Clone, Debug)]
pub struct Told {
    /// What happened.
    pub timeline: Timeline,
    /// Why the order is in its state.
    pub explanation: Option<Explanation>,
}

/// Which of their orders a user wants to see.
#[derive(Clone, Copy, Debug)]
pub struct ListOrders {
    /// Whose orders.
    pub user_id: UserId,
    /// Only those in this state.
    pub status: Option<OrderStatus>,
    /// Only those before this one.
    pub before: Option<OrderId>,
    /// How many at most.
    pub size: u32,
}

impl OrderService {
    /// Gets an order.
    #[instrument(name = "order.get", skip_all, fields(order.id = %id))]
    pub async fn get_order(&self, requester: Requester, id: OrderId) -> Result<Order, OrderError> {
        Ok(self.get_order_for(requester, id).await?.0)
    }

    /// Lists a user's orders, newest first.
    #[instrument(name = "order.list", skip_all)]
    pub async fn list_orders(&self, list: ListOrders) -> Result<Listing<Order>, OrderError> {
        let query = OrderQuery {
            user_id: list.user_id,
            status: list.status,
            before: list.before,
            limit: list.size + 1,
        };
        Ok(Listing::cut(self.ports.orders.list_orders(&query).await?, list.size))
    }

    /// Tells what happened to an order, and why it is in its state.
    #[instrument(name = "order.timeline", skip_all, fields(order.id = %id))]
    pub async fn get_timeline(
        &self,
        requester: Requester,
        id: OrderId,
    ) -> Result<Told, OrderError> {
        let (order, _) = self.get_order_for(requester, id).await?;
        let timeline = self.ports.orders.find_timeline(id, self.policy.timeline_max).await?;
        let explanation = Explanation::of(&timeline.entries, order.expires_at, self.now());
        Ok(Told { timeline, explanation })
    }

    /// Lists orders whose payment is unsettled for longer than usual, oldest first.
    #[instrument(name = "order.list_stuck", skip_all)]
    pub async fn list_stuck(
        &self,
        after: Option<OrderId>,
        size: u32,
    ) -> Result<Listing<Order>, OrderError> {
        let since = self.now() - self.policy.stuck_after;
        Ok(Listing::cut(self.ports.work.list_stuck(since, after, size + 1).await?, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing::{World, create, owner_of};

    #[tokio::test]
    async fn only_a_full_page_has_a_next_one() {
        assert_eq!(Listing::cut(vec![1, 2, 3], 2).last(), Some(&2));
        assert_eq!(Listing::cut(vec![1, 2], 2).last(), None);
        assert_eq!(Listing::<i32>::cut(vec![], 2).last(), None);
    }

    #[tokio::test]
    async fn the_timeline_tells_transitions_and_attempts() {
        let world = World::with_product("TEA", 1990, 10).await;
        let order =
            world.service.create_order(create("TEA", 1, "pm_declined")).await.unwrap().order;
        let told = world.service.get_timeline(owner_of(&order), order.id).await.unwrap();
        assert_eq!(told.explanation.unwrap().code, "PAYMENT_DECLINED");
        let entries = told.timeline.entries;
        let told: Vec<_> = entries.iter().map(|e| (e.kind.as_str(), e.to.as_str())).collect();
        let expected = [
            ("transition", "CREATED"),
            ("transition", "PAYMENT_FAILED"),
            ("payment_attempt", "PENDING"),
            ("payment_attempt", "FAILED"),
        ];
        assert_eq!(told, expected);
    }

    #[tokio::test]
    async fn an_order_is_stuck_when_its_payment_takes_too_long() {
        let world = World::with_product("TEA", 1990, 10).await;
        let order = world.service.create_order(create("TEA", 1, "pm_never")).await.unwrap().order;
        assert!(world.service.list_stuck(None, 20).await.unwrap().items.is_empty());
        world.advance(world.policy().stuck_after);
        let stuck = world.service.list_stuck(None, 20).await.unwrap();
        assert_eq!(stuck.items, [order]);
    }
}
