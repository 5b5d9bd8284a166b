//! Looking up what the provider told about the payments of an order.

use tracing::instrument;

use crate::model::{CallbackReceipt, OrderId, PaymentError};
use crate::repository::review::CallbackFilter;
use crate::service::{Actor, PaymentService};

/// Asks for the callbacks about an order's payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListCallbacks {
    /// Who asks.
    pub actor: Actor,
    /// Which order.
    pub order_id: OrderId,
}

impl PaymentService {
    /// Lists the latest callbacks about the payments of an order, up to a bound, oldest first. Of
    /// another user's payments there are none.
    #[instrument(name = "payment.list_callbacks", skip_all, fields(order.id = %query.order_id))]
    pub async fn list_callbacks(
        &self,
        query: ListCallbacks,
    ) -> Result<Vec<CallbackReceipt>, PaymentError> {
        let user_id = match query.actor {
            Actor::User(user) => Some(user),
            Actor::Admin | Actor::Service => None,
        };
        let filter = CallbackFilter { order_id: query.order_id, user_id };
        self.repository.list_callbacks(filter, self.policy.callbacks_max).await
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::client::scripted::Step;
    use crate::model::{Outcome, Payment, UserId};
    use crate::testing::{Bench, callback, create, policy};

    async fn pending(bench: &Bench) -> Payment {
        bench.provider.then(Step::Answer(Outcome::Pending));
        bench.service.create_payment(create("pm_pending_then_ok")).await.unwrap()
    }

    async fn send(bench: &Bench, id: &str, kind: &str, payment: &Payment) {
        let body = callback(id, kind, payment).to_string().into_bytes();
        bench.service.handle_callback(bench.signed(body)).await.unwrap();
        bench.clock.advance(TimeDelta::seconds(1));
    }

    #[tokio::test]
    async fn the_callbacks_of_an_order_come_oldest_first_with_what_became_of_them() {
        let bench = Bench::new([]);
        let (payment, other) = (pending(&bench).await, pending(&bench).await);
        send(&bench, "evt_2", "payment.pending", &payment).await;
        send(&bench, "evt_1", "payment.succeeded", &payment).await;
        send(&bench, "evt_1", "payment.succeeded", &payment).await;
        send(&bench, "evt_1", "payment.succeeded", &payment).await;
        send(&bench, "evt_3", "payment.succeeded", &other).await;
        let query = ListCallbacks { actor: Actor::Admin, order_id: payment.terms().order_id };
        let found = bench.service.list_callbacks(query).await.unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.id.as_str(), one.kind.as_deref(), one.ruling.as_str(), one.deliveries))
            .collect();
        assert_eq!(
            told,
            [
                ("evt_2", Some("payment.pending"), "DUPLICATE", 1),
                ("evt_1", Some("payment.succeeded"), "APPLIED", 1),
                ("evt_1", Some("payment.succeeded"), "DUPLICATE", 2),
            ]
        );
        assert_eq!(found[2].last_received_at - found[2].received_at, TimeDelta::seconds(1));
    }

    #[tokio::test]
    async fn strangers_learn_nothing() {
        let bench = Bench::new([]);
        let payment = pending(&bench).await;
        send(&bench, "evt_1", "payment.succeeded", &payment).await;
        let order_id = payment.terms().order_id;
        for (actor, count) in [
            (Actor::User(payment.terms().user_id), 1),
            (Actor::Admin, 1),
            (Actor::Service, 1),
            (Actor::User(UserId::generate()), 0),
        ] {
            let query = ListCallbacks { actor, order_id };
            let found = bench.service.list_callbacks(query).await.unwrap();
            assert_eq!(found.len(), count, "{actor:?}");
        }
    }

    #[tokio::test]
    async fn the_list_is_bounded_and_holds_the_latest() {
        let bench = Bench::new([]);
        let payment = pending(&bench).await;
        let max = policy().callbacks_max;
        for at in 0..=max {
            send(&bench, &format!("evt_{at}"), "payment.pending", &payment).await;
        }
        let query = ListCallbacks { actor: Actor::Admin, order_id: payment.terms().order_id };
        let found = bench.service.list_callbacks(query).await.unwrap();
        assert_eq!(found.len(), max as usize);
        assert_eq!(found[0].id, "evt_1");
        assert_eq!(found[found.len() - 1].id, format!("evt_{max}"));
    }
}
