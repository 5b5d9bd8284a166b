//! Two who want different things of one order at the same moment: one of them wins.

use chassis::error::RemoteError;
use chassis::messaging::Handler;
use futures::future::join_all;
use order_service::api::consumer::PaymentEvents;
use proto::order::v1::{self as pb, OrderStatus};
use proto::payment::v1::PaymentStatus;

use crate::calls::{Answer, cancel_of, code, payment_of, refund_of};
use crate::harness::{Harness, STOCK, TEA, User};
use crate::notices::event;
use crate::payments::Mood;

/// How often a race is run: who wins is up to the machine.
const RACES: usize = 25;

/// Whether a call won; a loser was told that the order is elsewhere by now.
fn won(answer: Result<Answer, RemoteError>) -> bool {
    answer.map_err(|refusal| assert_eq!(refusal.reason, "ORDER_STATE_CONFLICT")).is_ok()
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn either_a_cancellation_or_a_capture_wins() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let consumer = PaymentEvents::new(harness.replica());
    for _ in 0..RACES {
        let order = harness.place(alice, "pm_never").await;
        harness.payments.decide(&order.payment_id, PaymentStatus::Succeeded);
        let capture = [event("payment.succeeded", &order, 3)];
        let (cancelled, applied) =
            tokio::join!(harness.cancel(alice, cancel_of(&order)), consumer.handle(&capture));
        applied.unwrap();
        harness.service.request_refunds().await.unwrap();
        let (expected, money) = if won(cancelled) {
            (OrderStatus::Cancelled, PaymentStatus::Refunded)
        } else {
            (OrderStatus::Paid, PaymentStatus::Succeeded)
        };
        let settled = harness.get(&order.id).await;
        assert_eq!((settled.status(), settled.version), (expected, 2));
        assert_eq!(harness.payments.find(&order.payment_id).unwrap().status(), money);
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn either_a_cancellation_or_the_answer_of_a_call_wins() {
    let (harness, alice) = (Harness::start().await, User::customer());
    for _ in 0..RACES {
        let declined = harness.place(alice, "pm_declined").await;
        let calls = harness.payments.calls();
        harness.payments.set_mood(Mood::Held);
        let (paid, cancelled) =
            tokio::join!(harness.pay(alice, payment_of(&declined, "pm_ok")), async {
                harness.payments.until_calls(calls + 1).await;
                harness.payments.set_mood(Mood::Well);
                harness.cancel(alice, cancel_of(&declined)).await
            });
        harness.service.request_refunds().await.unwrap();
        let (paid, order) = (paid.unwrap().order, harness.get(&declined.id).await);
        let (expected, money) = if won(cancelled) {
            (OrderStatus::Cancelled, PaymentStatus::Refunded)
        } else {
            (OrderStatus::Paid, PaymentStatus::Succeeded)
        };
        assert_eq!((order.status(), paid.status(), order.version), (expected, expected, 3));
        let payment = harness.payments.find(&paid.payment_id).unwrap();
        assert_eq!((payment.status(), &payment.id), (money, &order.payment_id));
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_cancellation_knows_of_the_attempt_beside_it() {
    let (harness, alice) = (Harness::start().await, User::customer());
    for _ in 0..RACES {
        let declined = harness.place(alice, "pm_declined").await;
        let (cancelled, paid) = tokio::join!(
            harness.cancel(alice, cancel_of(&declined)),
            harness.pay(alice, payment_of(&declined, "pm_never")),
        );
        // Both may be done: the attempt first, and then the cancellation of what waits for it.
        let (cancelled, attempted) = (won(cancelled), won(paid));
        assert!(cancelled, "an attempt that is undecided does not save an order");
        let attempts = harness.timeline(alice, &declined.id).await.unwrap();
        let started =
            |entry: &&pb::TimelineEntry| entry.kind == "payment_attempt" && entry.from.is_empty();
        let attempts = attempts.iter().filter(started).count();
        assert_eq!(attempts, if attempted { 2 } else { 1 });
        assert_eq!(harness.get(&declined.id).await.version, 3);
    }
    assert_eq!(harness.stock(TEA).await, STOCK);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn of_many_attempts_one_pays() {
    let (harness, alice) = (Harness::start().await, User::customer());
    for _ in 0..RACES {
        let declined = harness.place(alice, "pm_declined").await;
        let pay = |_| harness.pay(alice, payment_of(&declined, "pm_ok"));
        let answers = join_all((0..6).map(pay)).await;
        let (paid, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(paid.len(), 1);
        for refusal in refused.into_iter().map(code) {
            assert!(["PAYMENT_IN_PROGRESS", "ORDER_STATE_CONFLICT"].contains(&&*refusal));
        }
        let order = harness.get(&declined.id).await;
        assert_eq!((order.status(), order.version), (OrderStatus::Paid, 3));
    }
    assert_eq!(harness.payments.that_are(PaymentStatus::Succeeded).len(), RACES);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn either_expiry_a_cancellation_or_a_capture_wins() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let (consumer, replica) = (PaymentEvents::new(harness.replica()), harness.replica());
    let mut sold = 0;
    for _ in 0..RACES {
        let order = harness.place(alice, "pm_never").await;
        harness.advance(harness.policy.order_ttl);
        harness.payments.decide(&order.payment_id, PaymentStatus::Succeeded);
        let capture = [event("payment.succeeded", &order, 3)];
        let (expired, cancelled, applied) = tokio::join!(
            replica.expire_orders(),
            harness.cancel(alice, cancel_of(&order)),
            consumer.handle(&capture),
        );
        expired.unwrap();
        applied.unwrap();
        harness.service.request_refunds().await.unwrap();
        let settled = harness.get(&order.id).await;
        assert_eq!(settled.version, 2);
        assert_eq!(won(cancelled), settled.status() == OrderStatus::Cancelled);
        let is_sold = settled.status() == OrderStatus::Paid;
        let money = if is_sold { PaymentStatus::Succeeded } else { PaymentStatus::Refunded };
        assert_eq!(harness.payments.find(&order.payment_id).unwrap().status(), money);
        sold += u32::from(is_sold);
    }
    assert_eq!(harness.stock(TEA).await, STOCK - sold);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn either_shipping_or_a_refund_wins() {
    let (harness, alice) = (Harness::start().await, User::customer());
    for _ in 0..RACES {
        let order = harness.place(alice, "pm_ok").await;
        let (shipped, refunding) = tokio::join!(
            harness.ship(harness.admin, &order.id),
            harness.refund(alice, refund_of(&order)),
        );
        let settled = harness.get(&order.id).await;
        let refunding = won(refunding);
        let expected = if refunding { OrderStatus::Refunding } else { OrderStatus::Shipped };
        assert_eq!((settled.status(), settled.version), (expected, 3));
        assert_eq!(shipped.is_ok(), expected == OrderStatus::Shipped);
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn under_many_keys_a_refund_or_cancellation_happens_once() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let paid = harness.place(alice, "pm_ok").await;
    let refunds = join_all((0..10).map(|_| harness.refund(alice, refund_of(&paid)))).await;
    assert_eq!(refunds.into_iter().map(won).filter(|won| *won).count(), 1);
    harness.service.request_refunds().await.unwrap();
    assert_eq!(harness.payments.find(&paid.payment_id).unwrap().refunds.len(), 1);
    let declined = harness.place(alice, "pm_declined").await;
    let cancels = join_all((0..10).map(|_| harness.cancel(alice, cancel_of(&declined)))).await;
    assert_eq!(cancels.into_iter().map(won).filter(|won| *won).count(), 1);
    assert_eq!(harness.stock(TEA).await, STOCK);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_event_recovery_and_the_answer_of_a_call_settle_once() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let (consumer, replica) = (PaymentEvents::new(harness.replica()), harness.replica());
    for _ in 0..RACES {
        let declined = harness.place(alice, "pm_declined").await;
        let calls = harness.payments.calls();
        harness.payments.set_mood(Mood::Held);
        let pay = harness.pay(alice, payment_of(&declined, "pm_ok"));
        let (paid, applied, recovered) = tokio::join!(
            pay,
            async {
                harness.payments.until_calls(calls + 1).await;
                harness.payments.set_mood(Mood::Well);
                let waiting: pb::Order = harness.get(&declined.id).await;
                consumer.handle(&[event("payment.succeeded", &waiting, 3)]).await
            },
            async {
                harness.payments.until_calls(calls + 1).await;
                harness.advance(harness.policy.recheck_after);
                replica.recover_payments().await
            }
        );
        applied.unwrap();
        recovered.unwrap();
        let order = harness.get(&declined.id).await;
        assert_eq!((order.status(), order.version), (OrderStatus::Paid, 3));
        assert_eq!(paid.unwrap().order.status(), OrderStatus::Paid);
    }
    assert_eq!(harness.payments.that_are(PaymentStatus::Succeeded).len(), RACES);
    harness.finish().await;
}
