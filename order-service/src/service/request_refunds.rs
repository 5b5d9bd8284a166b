//! Giving money back.

use chassis::error::Chain;
use chassis::failpoint;
use futures::future::join_all;
use tracing::instrument;

use super::{OrderService, Progress, progress};
use crate::client::RefundStanding;
use crate::model::{Actor, KeyUse, OrderError, Refund};

impl OrderService {
    /// Asks payment-service for refunds that are due, until the money is back. Idempotent by the
    /// identity of the refund.
    #[instrument(name = "order.request_refunds", skip_all)]
    pub async fn request_refunds(&self) -> Result<Progress, OrderError> {
        let lease = self.lease();
        let refunds = self.ports.work.lease_refunds(lease).await?;
        join_all(refunds.iter().map(|refund| async {
            if let Err(error) = self.request_refund(refund).await {
                tracing::warn!(refund.id = %refund.id, error = %Chain(&error), "refund not requested");
            }
        }))
        .await;
        Ok(progress(refunds.len(), lease.limit))
    }

    async fn request_refund(&self, refund: &Refund) -> Result<(), OrderError> {
        let answer = self.ports.payments.refund(refund).await;
        if answer.is_ok() {
            failpoint!("order.refund.answered");
        }
        match answer {
            Ok(RefundStanding::Done) => {
                let case = self.get_case(refund.payment_id).await?;
                let actor = Actor::system("refunds");
                let settled =
                    self.decide(case, KeyUse::None, |case, now| case.refunded(&actor, now));
                settled.await?;
            }
            // The provider takes its time, and payment-service will tell: ask less and less often.
            Ok(RefundStanding::Pending) => {
                let until = self.now() + self.pause_after(refund.checks);
                self.ports.work.postpone_refund(refund.id, until).await?;
            }
            // It comes up again when the lease is over.
            Err(unknown) => {
                tracing::warn!(refund.id = %refund.id, error = %Chain(&unknown), "refund unsettled");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::model::OrderStatus;
    use crate::service::testing::{World, create, key, owner_of};
    use crate::service::{Progress, RefundOrder};

    /// Orders whose refund was asked for.
    async fn refunding(world: &World, orders: usize) -> Vec<crate::model::Order> {
        let mut asked = Vec::new();
        for _ in 0..orders {
            let order = world.service.create_order(create("TEA", 2, "pm_ok")).await.unwrap().order;
            let (requester, order_id) = (owner_of(&order), order.id);
            let command = RefundOrder { requester, order_id, key: key() };
            asked.push(world.service.refund_order(command).await.unwrap().order);
        }
        asked
    }

    #[tokio::test]
    async fn a_refund_that_takes_its_time_is_asked_about_less_and_less() {
        let world = World::with_product("TEA", 1990, 10).await;
        let order = refunding(&world, 1).await.remove(0);
        world.payments.hold_refunds();
        let mut asked = Vec::new();
        for _ in 0..8 {
            let before = world.payments.calls();
            world.service.request_refunds().await.unwrap();
            asked.push(world.payments.calls() - before);
            world.advance(world.policy().recheck_after);
        }
        assert_eq!(asked, [1, 1, 0, 1, 0, 0, 0, 1]);
        world.payments.release_refunds();
        world.advance(world.policy().recheck_max);
        world.service.request_refunds().await.unwrap();
        assert_eq!(world.order(order.id).await.status, OrderStatus::Refunded);
    }

    #[tokio::test]
    async fn the_stock_is_back_with_the_money_and_not_before() {
        let world = World::with_product("TEA", 1990, 10).await;
        refunding(&world, 1).await;
        assert_eq!(world.stock("TEA").await, 8);
        world.service.request_refunds().await.unwrap();
        world.service.request_refunds().await.unwrap();
        assert_eq!(world.stock("TEA").await, 10);
    }

    #[tokio::test]
    async fn no_more_is_taken_on_than_is_asked_for_at_once() {
        let world = World::with_product("TEA", 1990, 100).await;
        refunding(&world, 20).await;
        let mut refunded = Vec::new();
        for progress in [Progress::More, Progress::More, Progress::Idle] {
            assert_eq!(world.service.request_refunds().await.unwrap(), progress);
            refunded.push(world.payments.refunded().len());
        }
        assert_eq!(refunded, [8, 16, 20]);
    }
}
