//! Asking about payments that nobody settled.

use chassis::error::Chain;
use futures::future::join_all;
use tracing::instrument;

use super::settle_payment::warn_of_contradiction;
use super::{OrderService, Progress, progress};
use crate::client::PaymentStanding;
use crate::model::{Actor, KeyUse, OrderError, PaymentCase};

impl OrderService {
    /// Asks payment-service about attempts that are unsettled for too long, by starting them again
    /// under their identity: one that was never received is made now, any other one is only told
    /// of. Once their order no longer awaits payment, nothing is made any more.
    #[instrument(name = "order.recover_payments", skip_all)]
    pub async fn recover_payments(&self) -> Result<Progress, OrderError> {
        let lease = self.lease();
        let cases = self.ports.work.lease_attempts(lease).await?;
        let leased = cases.len();
        join_all(cases.into_iter().map(|case| async {
            let payment_id = case.attempt.id;
            if let Err(error) = self.recover_payment(case).await {
                tracing::warn!(payment.id = %payment_id, error = %Chain(&error), "payment not recovered");
            }
        }))
        .await;
        Ok(progress(leased, lease.limit))
    }

    async fn recover_payment(&self, case: PaymentCase) -> Result<(), OrderError> {
        match self.ask(&case).await {
            Ok(PaymentStanding::Settled(outcome)) => {
                let actor = Actor::system("recovery");
                let settled = self.decide(case, KeyUse::None, |case, now| {
                    warn_of_contradiction(case, &outcome);
                    case.settle(&outcome, &actor, now)
                });
                settled.await?;
            }
            // The provider takes its time, and payment-service will tell: ask less and less often.
            Ok(PaymentStanding::Pending) => {
                let until = self.now() + self.pause_after(case.attempt.checks);
                self.ports.work.postpone_attempt(case.attempt.id, until).await?;
            }
            // It comes up again when the lease is over.
            Err(unknown) => {
                tracing::warn!(payment.id = %case.attempt.id, error = %Chain(&unknown), "payment unsettled");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{OrderStatus, Outcome};
    use crate::service::Progress;
    use crate::service::testing::{World, cancel, create};

    #[tokio::test]
    async fn a_payment_whose_answer_was_lost_is_found_not_repeated() {
        let world = World::with_product("TEA", 1990, 10).await;
        let order = world.service.create_order(create("TEA", 1, "pm_timeout")).await.unwrap().order;
        world.service.recover_payments().await.unwrap();
        assert_eq!(world.order(order.id).await.status, OrderStatus::Created, "too early to ask");
        world.advance(world.policy().recheck_after);
        world.service.recover_payments().await.unwrap();
        assert_eq!(world.order(order.id).await.status, OrderStatus::Paid);
        assert_eq!(world.payments.captured(), 1);
    }

    #[tokio::test]
    async fn an_order_survives_the_absence_of_payment_service() {
        let world = World::with_product("TEA", 1990, 10).await;
        world.payments.disconnect();
        let order = world.service.create_order(create("TEA", 1, "pm_ok")).await.unwrap().order;
        assert_eq!(order.status, OrderStatus::Created);
        world.advance(world.policy().recheck_after);
        world.service.recover_payments().await.unwrap();
        assert_eq!(world.order(order.id).await.status, OrderStatus::Created);
        world.payments.reconnect();
        world.advance(world.policy().recheck_after);
        world.service.recover_payments().await.unwrap();
        assert_eq!(world.order(order.id).await.status, OrderStatus::Paid);
    }

    #[tokio::test]
    async fn a_payment_that_never_arrived_is_not_made_once_its_order_is_over() {
        let world = World::with_product("TEA", 1990, 10).await;
        world.payments.disconnect();
        let cancelled = world.service.create_order(create("TEA", 1, "pm_ok")).await.unwrap().order;
        let expired = world.service.create_order(create("TEA", 1, "pm_ok")).await.unwrap().order;
        world.service.cancel_order(cancel(&cancelled)).await.unwrap();
        world.advance(world.policy().order_ttl);
        world.service.expire_orders().await.unwrap();
        world.payments.reconnect();
        world.service.recover_payments().await.unwrap();
        assert_eq!(world.payments.captured(), 0);
        for (order, status) in
            [(cancelled, OrderStatus::Cancelled), (expired, OrderStatus::Expired)]
        {
            assert_eq!(world.order(order.id).await.status, status);
            let attempt = world.case(order.payment_id.unwrap()).await.attempt;
            assert_eq!(attempt.outcome, Some(Outcome::declined("order_closed")));
        }
        let calls = world.payments.calls();
        world.advance(world.policy().recheck_max);
        world.service.recover_payments().await.unwrap();
        assert_eq!(world.payments.calls(), calls, "nothing is left to ask about");
    }

    #[tokio::test]
    async fn no_more_is_taken_on_than_is_asked_about_at_once() {
        let world = World::with_product("TEA", 1990, 100).await;
        world.payments.disconnect();
        for _ in 0..20 {
            world.service.create_order(create("TEA", 1, "pm_ok")).await.unwrap();
        }
        world.payments.reconnect();
        world.advance(world.policy().recheck_after);
        let mut captured = Vec::new();
        for progress in [Progress::More, Progress::More, Progress::Idle] {
            assert_eq!(world.service.recover_payments().await.unwrap(), progress);
            captured.push(world.payments.captured());
        }
        assert_eq!(captured, [8, 16, 20]);
    }

    #[tokio::test]
    async fn an_undecided_payment_is_asked_about_less_and_less() {
        let world = World::with_product("TEA", 1990, 10).await;
        let order = world.service.create_order(create("TEA", 1, "pm_never")).await.unwrap().order;
        let mut asked = Vec::new();
        for _ in 0..8 {
            world.advance(world.policy().recheck_after);
            let before = world.payments.calls();
            world.service.recover_payments().await.unwrap();
            asked.push(world.payments.calls() - before);
        }
        assert_eq!(asked, [1, 1, 0, 1, 0, 0, 0, 1]);
        world.payments.decide(order.payment_id.unwrap(), Outcome::Captured);
        world.advance(world.policy().recheck_max);
        world.service.recover_payments().await.unwrap();
        assert_eq!(world.order(order.id).await.status, OrderStatus::Paid);
    }

    #[tokio::test]
    async fn pauses_are_bounded() {
        let world = World::with_product("TEA", 1990, 10).await;
        for checks in [6, 31, 32, u32::MAX] {
            assert_eq!(world.service.pause_after(checks), world.policy().recheck_max);
        }
    }
}
