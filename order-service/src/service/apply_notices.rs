//! Applying what payment-service tells by events: late, repeated and out of order.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tracing::instrument;

use super::settle_payment::warn_of_contradiction;
use super::{OrderService, ROUNDS, contended};
use crate::model::{Actor, Change, OrderError, OrderId, Outcome, PaymentCase, PaymentId};
use crate::repository::{EventEffect, Saved};

/// One event about a payment.
#[derive(Clone, Debug)]
pub struct PaymentNotice {
    /// Identity of the event; it is applied once.
    pub event_id: String,
    /// Which order.
    pub order_id: OrderId,
    /// Which payment.
    pub payment_id: PaymentId,
    /// What happened to it.
    pub news: News,
}

/// What happened to a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It came to its end.
    Settled(Outcome),
    /// Its money went back.
    Refunded,
}

impl OrderService {
    /// Applies events in their order, each at most once.
    ///
    /// Events of different orders share a transaction. A second event of the same order waits for
    /// the next one, because what it means depends on what the first one did.
    #[instrument(name = "order.apply_notices", skip_all, fields(events = notices.len()))]
    pub async fn apply_notices(&self, notices: &[PaymentNotice]) -> Result<(), OrderError> {
        for turn in turns(notices) {
            self.apply_turn(&turn).await?;
        }
        Ok(())
    }

    async fn apply_turn(&self, notices: &[&PaymentNotice]) -> Result<(), OrderError> {
        let ids: Vec<PaymentId> = notices.iter().map(|notice| notice.payment_id).collect();
        for _ in 0..ROUNDS {
            let now = self.now();
            let found = self.ports.orders.find_cases(&ids).await?;
            let cases: HashMap<PaymentId, PaymentCase> =
                found.into_iter().map(|case| (case.attempt.id, case)).collect();
            let effects: Vec<EventEffect> = notices
                .iter()
                .map(|notice| effect(notice, cases.get(&notice.payment_id), now))
                .collect();
            if self.ports.orders.save_events(&effects, now).await? == Saved::Done {
                note_gaps(notices, &cases);
                let changes = effects.iter().filter_map(|effect| effect.change.as_ref());
                changes.for_each(|change| self.ring_for_refunds(change));
                return Ok(());
            }
        }
        Err(contended())
    }
}

/// Tells of events that came before the one that they follow. They have no effect; nor is anything
/// lost by it, because recovery asks about an attempt until it is settled.
fn note_gaps(notices: &[&PaymentNotice], cases: &HashMap<PaymentId, PaymentCase>) {
    for notice in notices {
        if cases.get(&notice.payment_id).is_some_and(|case| leaves_a_gap(&notice.news, case)) {
            metrics::counter!("eh_event_gaps_total", "consumer" => "order-service").increment(1);
            tracing::warn!(payment.id = %notice.payment_id, "event came before the one it follows");
        }
    }
}

/// Whether there must be an event that did not come yet: a payment tells of its end, which is its
/// capture or decline, and only then of a refund. It tells of nothing in between, so that its
/// versions may skip without anything missing.
fn leaves_a_gap(news: &News, case: &PaymentCase) -> bool {
    *news == News::Refunded && case.attempt.outcome.is_none()
}

fn turns(notices: &[PaymentNotice]) -> Vec<Vec<&PaymentNotice>> {
    let mut turns: Vec<Vec<&PaymentNotice>> = Vec::new();
    let mut seen: HashMap<OrderId, usize> = HashMap::new();
    for notice in notices {
        let turn = seen.entry(notice.order_id).or_default();
        if turns.len() == *turn {
            turns.push(Vec::new());
        }
        turns[*turn].push(notice);
        *turn += 1;
    }
    turns
}

fn effect(notice: &PaymentNotice, case: Option<&PaymentCase>, now: DateTime<Utc>) -> EventEffect {
    if case.is_none() {
        tracing::warn!(payment.id = %notice.payment_id, "event of an unknown payment ignored");
    }
    let change = case.map(|case| change(notice, case, now)).filter(|change| !change.is_empty());
    EventEffect { event_id: notice.event_id.clone(), change }
}

fn change(notice: &PaymentNotice, case: &PaymentCase, now: DateTime<Utc>) -> Change {
    let actor = Actor::system("payment-service");
    match &notice.news {
        News::Settled(outcome) => {
            warn_of_contradiction(case, outcome);
            case.settle(outcome, &actor, now)
        }
        News::Refunded => case.refunded(&actor, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Order, OrderStatus, fixtures};
    use crate::service::testing::{World, cancel, create};

    fn notice(order: &Order, version: u64, news: News) -> PaymentNotice {
        let payment_id = order.payment_id.unwrap();
        let event_id = format!("payment.event:{payment_id}:{version}");
        PaymentNotice { event_id, order_id: order.id, payment_id, news }
    }

    fn captured(order: &Order) -> PaymentNotice {
        notice(order, 2, News::Settled(Outcome::Captured))
    }

    #[tokio::test]
    async fn an_event_settles_what_the_call_could_not() {
        let world = World::with_product("TEA", 1990, 10).await;
        let order = world.service.create_order(create("TEA", 1, "pm_never")).await.unwrap().order;
        world.service.apply_notices(&[captured(&order)]).await.unwrap();
        assert_eq!(world.order(order.id).await.status, OrderStatus::Paid);
    }

    #[tokio::test]
    async fn a_repeated_event_has_no_second_effect() {
        let world = World::with_product("TEA", 1990, 10).await;
        let order = world.service.create_order(create("TEA", 1, "pm_never")).await.unwrap().order;
        let notices = [captured(&order), captured(&order)];
        world.service.apply_notices(&notices).await.unwrap();
        world.service.apply_notices(&notices).await.unwrap();
        assert_eq!(world.order(order.id).await.version, 2);
        assert_eq!(world.event_names(), ["order.created", "order.paid"]);
    }

    #[tokio::test]
    async fn a_late_capture_is_given_back_once() {
        let world = World::with_product("TEA", 1990, 10).await;
        let order = world.service.create_order(create("TEA", 1, "pm_never")).await.unwrap().order;
        world.service.cancel_order(cancel(&order)).await.unwrap();
        world.service.apply_notices(&[captured(&order)]).await.unwrap();
        world.service.request_refunds().await.unwrap();
        let again = notice(&order, 7, News::Settled(Outcome::Captured));
        world.service.apply_notices(&[again]).await.unwrap();
        world.service.request_refunds().await.unwrap();
        assert_eq!(world.payments.refunded(), [order.payment_id.unwrap()]);
        assert_eq!(world.order(order.id).await.status, OrderStatus::Cancelled);
    }

    #[tokio::test]
    async fn capture_and_refund_in_one_batch_are_applied_in_turn() {
        let world = World::with_product("TEA", 1990, 10).await;
        let order = world.service.create_order(create("TEA", 1, "pm_never")).await.unwrap().order;
        world.service.cancel_order(cancel(&order)).await.unwrap();
        let refunded = notice(&order, 3, News::Refunded);
        world.service.apply_notices(&[captured(&order), refunded]).await.unwrap();
        world.service.request_refunds().await.unwrap();
        assert!(world.payments.refunded().is_empty(), "the refund is known to be done");
    }

    #[tokio::test]
    async fn in_whatever_order_events_come_the_end_is_the_same() {
        for [a, b, c] in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let world = World::with_product("TEA", 1990, 10).await;
            let order = world.service.create_order(create("TEA", 1, "pm_never")).await.unwrap();
            let order = order.order;
            world.service.cancel_order(cancel(&order)).await.unwrap();
            let told = [captured(&order), captured(&order), notice(&order, 4, News::Refunded)];
            for at in [a, b, c] {
                world.service.apply_notices(std::slice::from_ref(&told[at])).await.unwrap();
            }
            world.service.request_refunds().await.unwrap();
            let case = world.case(order.payment_id.unwrap()).await;
            assert_eq!(case.attempt.outcome, Some(Outcome::Captured));
            assert!(case.refund.unwrap().done);
            assert!(world.payments.refunded().len() <= 1);
            assert_eq!(case.order.status, OrderStatus::Cancelled);
            assert_eq!(world.stock("TEA").await, 10);
        }
    }

    #[test]
    fn only_a_refund_before_its_capture_leaves_a_gap() {
        let mut case = fixtures::case_of(fixtures::order());
        assert!(leaves_a_gap(&News::Refunded, &case));
        assert!(!leaves_a_gap(&News::Settled(Outcome::Captured), &case));
        case.attempt.outcome = Some(Outcome::Captured);
        assert!(!leaves_a_gap(&News::Refunded, &case));
        assert!(!leaves_a_gap(&News::Settled(Outcome::Captured), &case));
    }

    #[tokio::test]
    async fn contradicting_and_unknown_events_change_nothing() {
        let world = World::with_product("TEA", 1990, 10).await;
        let order = world.service.create_order(create("TEA", 1, "pm_ok")).await.unwrap().order;
        let declined = notice(&order, 9, News::Settled(fixtures::declined()));
        let mut unknown = captured(&order);
        unknown.payment_id = PaymentId::generate();
        unknown.event_id = "payment.succeeded:unknown".to_owned();
        let unasked = notice(&order, 10, News::Refunded);
        world.service.apply_notices(&[declined, unknown, unasked]).await.unwrap();
        assert_eq!(world.order(order.id).await, order);
    }
}
