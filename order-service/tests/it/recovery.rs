//! Payments that nobody settled, and what the workers make of them.

use std::collections::HashSet;
use std::sync::Arc;

use chassis::error::{RemoteError, codes};
use futures::future::join_all;
use order_service::service::{OrderService, Progress};
use proto::order::v1::{self as pb, OrderStatus};
use proto::payment::v1::PaymentStatus;

use crate::calls::{Answer, cancel_of, cart, code, fields, payment_of, refund_of, refused};
use crate::harness::{Harness, STOCK, TEA, User};
use crate::notices::event;
use crate::payments::Mood;

const PAID: &str = "SELECT COUNT(*) FROM orders WHERE status = 'PAID' AND version = 2";

/// Does what is due until nothing is.
async fn recover_all(service: Arc<OrderService>) {
    while service.recover_payments().await.unwrap() == Progress::More {}
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_payment_whose_outcome_is_unknown_is_asked_about_not_repeated() {
    let harness = Harness::with(&[("UPSTREAM__TIMEOUT_MS", "1000")]).await;
    let (alice, request) = (User::customer(), cart(&[(TEA, 1)], "pm_ok"));
    harness.payments.set_mood(Mood::Mute);
    let answer = harness.create(alice, request.clone()).await.unwrap();
    let order = answer.order.clone();
    assert_eq!((order.status(), order.version), (OrderStatus::Created, 1));
    assert_eq!(harness.payments.that_are(PaymentStatus::Succeeded), [&*order.payment_id]);
    harness.payments.set_mood(Mood::Well);
    harness.service.recover_payments().await.unwrap();
    assert_eq!(harness.get(&order.id).await, order, "too early to ask");
    harness.recover_later().await;
    let paid = harness.get(&order.id).await;
    assert_eq!((paid.status(), paid.version), (OrderStatus::Paid, 2));
    assert_eq!(harness.payments.that_are(PaymentStatus::Succeeded), [&*order.payment_id]);
    let timeline = harness.timeline(harness.admin, &order.id).await.unwrap();
    let step = timeline.iter().find(|entry| entry.to == "PAID").unwrap();
    assert_eq!(step.actor, "system:recovery");
    // The answer was given and stays: what became of the order is for those who read it.
    let again = Answer { replayed: true, ..answer };
    assert_eq!(harness.create(alice, request).await, Ok(again));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_order_outlasts_the_absence_of_payment_service() {
    let (harness, alice) = (Harness::start().await, User::customer());
    harness.payments.set_mood(Mood::Failing(codes::SERVICE_UNAVAILABLE));
    let order = harness.place(alice, "pm_ok").await;
    let declined = harness.place(alice, "pm_declined").await;
    assert_eq!((order.status(), declined.status()), (OrderStatus::Created, OrderStatus::Created));
    harness.recover_later().await;
    assert_eq!(harness.get(&order.id).await, order);
    harness.payments.set_mood(Mood::Well);
    harness.recover_later().await;
    assert_eq!(harness.get(&order.id).await.status(), OrderStatus::Paid);
    let declined = harness.get(&declined.id).await;
    assert_eq!(declined.status(), OrderStatus::PaymentFailed);
    harness.pay(alice, payment_of(&declined, "pm_ok")).await.unwrap();
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_payment_that_never_arrived_is_not_made_once_its_order_is_over() {
    let (harness, alice) = (Harness::start().await, User::customer());
    harness.payments.set_mood(Mood::Failing(codes::SERVICE_UNAVAILABLE));
    let request = cart(&[(TEA, 1)], "pm_ok");
    let cancelled = harness.create(alice, request.clone()).await.unwrap().order;
    let expired = harness.place(alice, "pm_ok").await;
    harness.cancel(alice, cancel_of(&cancelled)).await.unwrap();
    harness.expire_later().await;
    harness.payments.set_mood(Mood::Well);
    harness.service.recover_payments().await.unwrap();
    assert_eq!(harness.payments.that_are(PaymentStatus::Succeeded), [""; 0]);
    for (order, status) in [(&cancelled, OrderStatus::Cancelled), (&expired, OrderStatus::Expired)]
    {
        assert_eq!(harness.get(&order.id).await.status(), status);
        let timeline = harness.timeline(alice, &order.id).await.unwrap();
        let attempt = timeline.iter().rfind(|entry| entry.kind == "payment_attempt").unwrap();
        assert_eq!((&*attempt.to, &*attempt.cause), ("FAILED", "order_closed"));
    }
    assert_eq!(harness.stock(TEA).await, STOCK);
    // The event of the same end comes too, and changes nothing.
    harness.deliver(&[event("payment.failed", &cancelled, 1)]).await;
    let calls = harness.payments.calls();
    harness.advance(harness.policy.recheck_max);
    harness.service.recover_payments().await.unwrap();
    assert_eq!(harness.payments.calls(), calls, "nothing is left to ask about");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_undecided_payment_is_asked_about_less_and_less_until_it_is_decided() {
    let harness = Harness::start().await;
    let order = harness.place(User::customer(), "pm_never").await;
    let mut asked = Vec::new();
    for _ in 0..8 {
        let before = harness.payments.calls();
        harness.recover_later().await;
        asked.push(harness.payments.calls() - before);
    }
    assert_eq!(asked, [1, 1, 0, 1, 0, 0, 0, 1]);
    assert_eq!(harness.get(&order.id).await, order);
    harness.payments.decide(&order.payment_id, PaymentStatus::Succeeded);
    harness.advance(harness.policy.recheck_max);
    harness.service.recover_payments().await.unwrap();
    assert_eq!(harness.get(&order.id).await.status(), OrderStatus::Paid);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_late_capture_that_no_event_told_of_is_found_and_given_back() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_never").await;
    let cancelled = harness.cancel(alice, cancel_of(&order)).await.unwrap().order;
    harness.payments.decide(&order.payment_id, PaymentStatus::Succeeded);
    harness.recover_later().await;
    harness.service.request_refunds().await.unwrap();
    assert_eq!(harness.payments.that_are(PaymentStatus::Refunded), [&*order.payment_id]);
    assert_eq!(harness.get(&order.id).await, cancelled);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn replicas_share_the_payments_and_ask_about_each_once() {
    const STUCK: usize = 60;
    let harness = Harness::with(&[("WORKERS__BATCH", "7")]).await;
    harness.payments.set_mood(Mood::Empty);
    let alice = User::customer();
    let orders = join_all((0..STUCK).map(|_| harness.place(alice, "pm_ok"))).await;
    harness.payments.set_mood(Mood::Well);
    let before = harness.payments.calls();
    harness.advance(harness.policy.recheck_after);
    tokio::join!(recover_all(harness.replica()), recover_all(harness.replica()));
    assert_eq!(harness.payments.calls() - before, STUCK);
    let paid: HashSet<_> =
        harness.payments.that_are(PaymentStatus::Succeeded).into_iter().collect();
    assert_eq!(paid, orders.into_iter().map(|order| order.payment_id).collect());
    assert_eq!(harness.count(PAID).await, i64::try_from(STUCK).unwrap());
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn replicas_share_the_refunds_and_ask_for_each_once() {
    const PAID: usize = 30;
    let (harness, alice) = (Harness::with(&[("WORKERS__BATCH", "7")]).await, User::customer());
    for _ in 0..PAID {
        let order = harness.place(alice, "pm_ok").await;
        harness.refund(alice, refund_of(&order)).await.unwrap();
    }
    let before = harness.payments.calls();
    let work = |service: Arc<OrderService>| async move {
        while service.request_refunds().await.unwrap() == Progress::More {}
    };
    tokio::join!(work(harness.replica()), work(harness.replica()));
    assert_eq!(harness.payments.calls() - before, PAID);
    assert_eq!(harness.payments.that_are(PaymentStatus::Refunded).len(), PAID);
    let refunded = "SELECT COUNT(*) FROM orders WHERE status = 'REFUNDED' AND version = 4";
    assert_eq!(harness.count(refunded).await, i64::try_from(PAID).unwrap());
    harness.finish().await;
}

/// A page of the orders whose payment takes too long.
async fn stuck(
    harness: &Harness,
    user: User,
    page_size: i32,
    page_token: &str,
) -> Result<(Vec<pb::Order>, String), RemoteError> {
    let request = pb::ListStuckOrdersRequest { page_size, page_token: page_token.to_owned() };
    let page = refused(harness.client().list_stuck_orders(harness.by(user, request)).await)?;
    Ok((page.orders, page.next_page_token))
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn administrators_see_what_is_stuck_oldest_first() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let mut expected = Vec::new();
    for _ in 0..3 {
        expected.push(harness.place(alice, "pm_never").await);
        harness.place(alice, "pm_ok").await;
        harness.place(alice, "pm_declined").await;
    }
    assert_eq!(stuck(&harness, harness.admin, 0, "").await.unwrap().0, []);
    harness.advance(harness.policy.stuck_after);
    let young = harness.place(alice, "pm_never").await;
    let (first, token) = stuck(&harness, harness.admin, 2, "").await.unwrap();
    let (rest, end) = stuck(&harness, harness.admin, 2, &token).await.unwrap();
    assert_eq!(([first, rest].concat(), end.as_str()), (expected.clone(), ""));

    assert_eq!(code(stuck(&harness, alice, 2, "").await), "PERMISSION_DENIED");
    assert_eq!(code(stuck(&harness, harness.admin, 2, &token[1..]).await), "CURSOR_INVALID");
    let refusal = stuck(&harness, harness.admin, 101, "").await.unwrap_err();
    assert_eq!((&*refusal.reason, fields(&refusal)), ("VALIDATION_FAILED", vec!["page_size"]));
    harness.payments.decide(&expected[1].payment_id, PaymentStatus::Succeeded);
    harness.recover_later().await;
    let left = stuck(&harness, harness.admin, 0, "").await.unwrap().0;
    assert_eq!(left, [expected[0].clone(), expected[2].clone()]);
    harness.advance(harness.policy.stuck_after);
    assert_eq!(stuck(&harness, harness.admin, 0, "").await.unwrap().0.last(), Some(&young));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn money_that_came_and_went_unnoticed_does_not_pay_the_order() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_never").await;
    harness.payments.decide(&order.payment_id, PaymentStatus::Refunded);
    harness.deliver(&[event("payment.refunded", &order, 5)]).await;
    harness.recover_later().await;
    let failed = harness.get(&order.id).await;
    assert_eq!(failed.status(), OrderStatus::PaymentFailed);
    assert_eq!(failed.failure_reason, "money_returned");
    // What comes late does not either.
    harness.deliver(&[event("payment.succeeded", &order, 3)]).await;
    assert_eq!(harness.get(&order.id).await, failed);
    let paid = harness.pay(alice, payment_of(&order, "pm_ok")).await.unwrap().order;
    assert_eq!(paid.status(), OrderStatus::Paid);
    harness.finish().await;
}
