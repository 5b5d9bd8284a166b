//! Races from a barrier, run many times over: whoever wins, one wins, and money and stock are right
//! afterwards.

use chassis::error::{Kind, RemoteError};
use chassis::messaging::Handler;
use chrono::TimeDelta;
use futures::future::join_all;
use order_service::api::consumer::PaymentEvents;
use proto::order::v1::OrderStatus;
use proto::payment::v1::PaymentStatus;
use tokio::sync::Barrier;

use crate::calls::{Answer, cancel_of, cart, payment_of};
use crate::harness::{Harness, PRICE, TEA, User};
use crate::idempotency::{again, answered_or_running};
use crate::notices::event;
use crate::payments::Mood;

/// Names the environment variable that says how often each race is run.
const RACES: &str = "EH_TEST_RACES";

/// How often each race is run: a hundred times, unless told otherwise.
#[expect(clippy::disallowed_methods, reason = "whoever releases asks for more")]
fn races() -> u32 {
    std::env::var(RACES).map_or(100, |races| races.parse().unwrap())
}

/// Pieces of tea that no number of races sells.
const PLENTY: u32 = 1_000_000;

async fn shop() -> Harness {
    let harness = Harness::start().await;
    harness.shelve(TEA, PRICE, PLENTY).await;
    harness
}

/// Whether a call won; a loser is told so by a conflict (409), and by nothing else.
fn won(answer: Result<Answer, RemoteError>) -> Option<Answer> {
    answer
        .map_err(|refusal| {
            assert_eq!(refusal.kind, Kind::FailedPrecondition, "{refusal:?}");
            let conflicts = ["ORDER_STATE_CONFLICT", "PAYMENT_IN_PROGRESS"];
            assert!(conflicts.contains(&&*refusal.reason), "{refusal:?}");
        })
        .ok()
}

/// Waits for everybody, then does `work`.
async fn after<T>(barrier: &Barrier, work: impl Future<Output = T>) -> T {
    barrier.wait().await;
    work.await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_cancellation_and_a_capture_that_meet_have_one_winner() {
    let (harness, alice) = (shop().await, User::customer());
    let (consumer, start) = (PaymentEvents::new(harness.replica()), Barrier::new(2));
    let mut sold = 0;
    for _ in 0..races() {
        let order = harness.place(alice, "pm_never").await;
        harness.payments.decide(&order.payment_id, PaymentStatus::Succeeded);
        let capture = [event("payment.succeeded", &order, 3)];
        let (cancelled, applied) = tokio::join!(
            after(&start, harness.cancel(alice, cancel_of(&order))),
            after(&start, consumer.handle(&capture)),
        );
        applied.unwrap();
        harness.service.request_refunds().await.unwrap();
        let is_sold = won(cancelled).is_none();
        let (expected, money) = if is_sold {
            (OrderStatus::Paid, PaymentStatus::Succeeded)
        } else {
            (OrderStatus::Cancelled, PaymentStatus::Refunded)
        };
        let settled = harness.get(&order.id).await;
        assert_eq!((settled.status(), settled.version), (expected, 2));
        assert_eq!(harness.payments.find(&order.payment_id).unwrap().status(), money);
        sold += u32::from(is_sold);
    }
    assert_eq!(harness.stock(TEA).await, PLENTY - sold);
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs MySQL: cargo ehub test"]
async fn two_payments_that_meet_have_one_winner() {
    let (harness, alice) = (shop().await, User::customer());
    let (start, races) = (Barrier::new(2), races());
    let mut sold = 0;
    for _ in 0..races {
        let declined = harness.place(alice, "pm_declined").await;
        let pay = || after(&start, harness.pay(alice, payment_of(&declined, "pm_ok")));
        let (one, other) = tokio::join!(pay(), pay());
        let winners: Vec<Answer> = [one, other].into_iter().filter_map(won).collect();
        assert_eq!(winners.len(), 1);
        let order = harness.get(&declined.id).await;
        assert_eq!((order.status(), order.version), (OrderStatus::Paid, 3));
        assert_eq!(order.payment_id, winners[0].order.payment_id);
        sold += 1;
    }
    let captured = harness.payments.that_are(PaymentStatus::Succeeded);
    assert_eq!(captured.len(), races as usize);
    assert_eq!(harness.stock(TEA).await, PLENTY - sold);
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_payment_and_the_expiry_that_meet_have_one_winner() {
    let (harness, alice) = (shop().await, User::customer());
    let (replica, start, last_moment) =
        (harness.replica(), Barrier::new(2), TimeDelta::milliseconds(1));
    let mut sold = 0;
    for race in 0..races() {
        let declined = harness.place(alice, "pm_declined").await;
        harness.advance(harness.policy.order_ttl - last_moment);
        let (calls, is_late) = (harness.payments.calls(), race % 2 == 1);
        if is_late {
            harness.payments.set_mood(Mood::Held);
        }
        let (paid, expired) = tokio::join!(
            after(&start, harness.pay(alice, payment_of(&declined, "pm_ok"))),
            after(&start, async {
                // Expiry meets the answer of payment-service, or the start of the attempt a bit
                // earlier or later.
                if is_late {
                    harness.payments.until_calls(calls + 1).await;
                }
                for _ in 0..race / 2 % 4 {
                    harness.get(&declined.id).await;
                }
                harness.payments.set_mood(Mood::Well);
                harness.advance(last_moment);
                replica.expire_orders().await
            }),
        );
        expired.unwrap();
        // Expiry that lost to the start of an attempt comes again.
        replica.expire_orders().await.unwrap();
        harness.service.request_refunds().await.unwrap();
        let order = harness.get(&declined.id).await;
        assert_eq!(order.version, 3);
        let is_sold = order.status() == OrderStatus::Paid;
        assert!(is_sold || order.status() == OrderStatus::Expired);
        let paid = won(paid);
        assert!(paid.is_some() || !is_sold, "who is refused did not pay");
        if let Some(paid) = paid {
            // The attempt began in time; what the order says is what became of its money.
            assert_eq!(paid.order.status(), order.status());
            let money = if is_sold { PaymentStatus::Succeeded } else { PaymentStatus::Refunded };
            let payment = harness.payments.find(&paid.order.payment_id).unwrap();
            assert_eq!(payment.status(), money);
        }
        sold += u32::from(is_sold);
    }
    assert_eq!(harness.stock(TEA).await, PLENTY - sold);
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs MySQL: cargo ehub test"]
async fn fifty_equal_calls_that_meet_place_one_order() {
    let (harness, alice) = (shop().await, User::customer());
    let start = Barrier::new(50);
    let mut sold = 0;
    for race in 1..=races() {
        let request = cart(&[(TEA, 1)], "pm_ok");
        let call = |_| after(&start, harness.create(alice, request.clone()));
        let answered = answered_or_running(join_all((0..50).map(call)).await);
        let last = harness.create(alice, request.clone()).await.unwrap();
        assert_eq!(last, again(&answered[0]));
        assert!(answered.iter().all(|answer| answer.order == last.order));
        assert_eq!(harness.payments.calls(), race as usize);
        sold += 1;
    }
    let orders = harness.count("SELECT COUNT(*) FROM orders").await;
    assert_eq!(orders, i64::from(races()));
    assert_eq!(harness.stock(TEA).await, PLENTY - sold);
    harness.finish().await;
}
