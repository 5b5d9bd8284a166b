//! One effect and one answer per user, operation and key.

use chassis::error::{Kind, RemoteError};
use futures::future::join_all;
use proto::order::v1::{self as pb, OrderStatus};
use proto::payment::v1::PaymentStatus;

use crate::calls::{Answer, cancel_of, cart, code, payment_of, refund_of};
use crate::harness::{Harness, STOCK, TEA, User};
use crate::payments::Mood;

const ORDERS: &str = "SELECT COUNT(*) FROM orders";

/// What the first call answered, as a repetition answers it.
pub(crate) fn again(first: &Answer) -> Answer {
    Answer { replayed: true, ..first.clone() }
}

/// The answers to equal calls: one is the first, the others repeat it or are told that it runs.
pub(crate) fn answered_or_running(answers: Vec<Result<Answer, RemoteError>>) -> Vec<Answer> {
    let (answered, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!(refused.into_iter().all(|refusal| code(refusal) == "IDEMPOTENCY_IN_PROGRESS"));
    let answered: Vec<_> = answered.into_iter().map(Result::unwrap).collect();
    assert_eq!(answered.iter().filter(|answer| !answer.replayed).count(), 1);
    answered
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_repeated_call_is_answered_as_at_first_whatever_happened_since() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let create = cart(&[(TEA, 2)], "pm_declined");
    let created = harness.create(alice, create.clone()).await.unwrap();
    let pay = payment_of(&created.order, "pm_ok");
    let paid = harness.pay(alice, pay.clone()).await.unwrap();
    let refund = refund_of(&created.order);
    let refunding = harness.refund(alice, refund.clone()).await.unwrap();
    assert!(![&created, &paid, &refunding].iter().any(|answer| answer.replayed));
    harness.service.request_refunds().await.unwrap();
    let calls = harness.payments.calls();

    assert_eq!(harness.create(alice, create).await, Ok(again(&created)));
    assert_eq!(harness.pay(alice, pay).await, Ok(again(&paid)));
    assert_eq!(harness.refund(alice, refund).await, Ok(again(&refunding)));
    let given_up = harness.place(alice, "pm_never").await;
    let cancel = cancel_of(&given_up);
    let cancelled = harness.cancel(alice, cancel.clone()).await.unwrap();
    assert_eq!(harness.cancel(alice, cancel).await, Ok(again(&cancelled)));
    assert_eq!(harness.payments.calls(), calls + 1);
    assert_eq!((harness.count(ORDERS).await, harness.stock(TEA).await), (2, STOCK));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn another_request_under_a_used_key_is_refused() {
    let (harness, alice) = (Harness::start().await, User::customer());
    harness.shelve("CUP", 500, 5).await;
    let create = cart(&[(TEA, 1)], "pm_declined");
    let key = || create.idempotency_key.clone();
    let order = harness.create(alice, create.clone()).await.unwrap().order;
    for other in [
        cart(&[(TEA, 2)], "pm_declined"),
        cart(&[("CUP", 1)], "pm_declined"),
        cart(&[(TEA, 1), ("CUP", 1)], "pm_declined"),
        cart(&[(TEA, 1)], "pm_ok"),
    ] {
        let other = pb::CreateOrderRequest { idempotency_key: key(), ..other };
        let refusal = harness.create(alice, other).await.unwrap_err();
        assert_eq!(
            (refusal.reason.as_str(), refusal.kind),
            ("IDEMPOTENCY_KEY_REUSED", Kind::InvalidArgument)
        );
    }
    let another = harness.place(alice, "pm_declined").await;
    let pay = pb::PayOrderRequest { idempotency_key: key(), ..payment_of(&order, "pm_ok") };
    harness.pay(alice, pay.clone()).await.unwrap();
    let elsewhere = pb::PayOrderRequest { order_id: another.id.clone(), ..pay.clone() };
    assert_eq!(code(harness.pay(alice, elsewhere).await), "IDEMPOTENCY_KEY_REUSED");
    let otherwise = pb::PayOrderRequest { payment_method: "pm_other".to_owned(), ..pay };
    assert_eq!(code(harness.pay(alice, otherwise).await), "IDEMPOTENCY_KEY_REUSED");

    let cancel = pb::CancelOrderRequest { idempotency_key: key(), ..cancel_of(&another) };
    harness.cancel(alice, cancel.clone()).await.unwrap();
    let elsewhere = pb::CancelOrderRequest { order_id: order.id.clone(), ..cancel };
    assert_eq!(code(harness.cancel(alice, elsewhere).await), "IDEMPOTENCY_KEY_REUSED");
    let refund = pb::RefundOrderRequest { idempotency_key: key(), ..refund_of(&order) };
    harness.refund(alice, refund.clone()).await.unwrap();
    let elsewhere = pb::RefundOrderRequest { order_id: another.id.clone(), ..refund };
    assert_eq!(code(harness.refund(alice, elsewhere).await), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(harness.count(ORDERS).await, 2);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_key_of_another_user_is_another_key() {
    let harness = Harness::start().await;
    let request = cart(&[(TEA, 1)], "pm_ok");
    let one = harness.create(User::customer(), request.clone()).await.unwrap();
    let other = harness.create(User::customer(), request).await.unwrap();
    assert_ne!(one.order.id, other.order.id);
    assert!(!one.replayed && !other.replayed);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_refused_call_does_not_use_its_key_up() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let refused = cart(&[(TEA, 1), ("NONE", 1)], "pm_ok");
    assert_eq!(code(harness.create(alice, refused.clone()).await), "PRODUCT_UNKNOWN");
    let good = pb::CreateOrderRequest {
        idempotency_key: refused.idempotency_key,
        ..cart(&[(TEA, 1)], "pm_ok")
    };
    let order = harness.create(alice, good).await.unwrap().order;
    let too_late = cancel_of(&order);
    assert_eq!(code(harness.cancel(alice, too_late).await), "ORDER_STATE_CONFLICT");
    assert_eq!(harness.count("SELECT COUNT(*) FROM idempotency_claims").await, 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_call_that_runs_keeps_its_repetitions_out() {
    let (harness, alice) = (Harness::start().await, User::customer());
    harness.payments.set_mood(Mood::Held);
    let request = cart(&[(TEA, 1)], "pm_ok");
    let (first, refusal) = tokio::join!(harness.create(alice, request.clone()), async {
        harness.payments.until_calls(1).await;
        let refusal = harness.create(alice, request.clone()).await.unwrap_err();
        harness.payments.set_mood(Mood::Well);
        refusal
    });
    assert_eq!((refusal.reason.as_str(), refusal.kind), ("IDEMPOTENCY_IN_PROGRESS", Kind::Aborted));
    assert_eq!(refusal.retry_after.map(|pause| pause.as_secs()), Some(1));
    let first = first.unwrap();
    assert_eq!(first.order.status(), OrderStatus::Paid);
    assert_eq!(harness.create(alice, request).await, Ok(again(&first)));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn twenty_equal_calls_at_once_place_one_order() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let request = cart(&[(TEA, 1)], "pm_ok");
    let answers = join_all((0..20).map(|_| harness.create(alice, request.clone()))).await;
    let answered = answered_or_running(answers);
    let last = harness.create(alice, request).await.unwrap();
    assert!(answered.iter().all(|answer| answer.order == last.order));
    assert_eq!((harness.count(ORDERS).await, harness.stock(TEA).await), (1, STOCK - 1));
    assert_eq!(harness.payments.calls(), 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn twenty_equal_calls_that_cannot_be_done_are_all_told_so() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let request = cart(&[(TEA, 1), ("NONE", 1)], "pm_ok");
    let refusals = join_all((0..20).map(|_| harness.create(alice, request.clone()))).await;
    let told = refusals.into_iter().map(code).filter(|code| code != "SERVICE_UNAVAILABLE");
    let told: Vec<String> = told.collect();
    assert!(!told.is_empty() && told.iter().all(|code| code == "PRODUCT_UNKNOWN"), "{told:?}");
    // The database ends all but one of those that wait for the same key when it becomes free. Whoever
    // loses again and again is put off, and told when they come back.
    for _ in told.len()..20 {
        assert_eq!(code(harness.create(alice, request.clone()).await), "PRODUCT_UNKNOWN");
    }
    assert_eq!((harness.count(ORDERS).await, harness.stock(TEA).await), (0, STOCK));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn twenty_equal_cancellations_at_once_are_one() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_declined").await;
    let request = cancel_of(&order);
    let answers = join_all((0..20).map(|_| harness.cancel(alice, request.clone()))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    assert!(answers.iter().all(|answer| answer.order == answers[0].order));
    assert_eq!(harness.stock(TEA).await, STOCK);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn twenty_equal_attempts_at_once_are_one() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_declined").await;
    let request = payment_of(&order, "pm_ok");
    let answers = join_all((0..20).map(|_| harness.pay(alice, request.clone()))).await;
    let answered = answered_or_running(answers);
    let last = harness.pay(alice, request).await.unwrap();
    assert_eq!((last.order.status(), last.replayed), (OrderStatus::Paid, true));
    assert!(answered.iter().all(|answer| answer.order == last.order));
    assert_eq!(harness.payments.calls(), 2);
    harness.finish().await;
}

/// Gives a call up once payment-service works on it.
async fn abandon<T>(harness: &Harness, call: impl Future<Output = T>) {
    let calls = harness.payments.calls();
    harness.payments.set_mood(Mood::Held);
    tokio::select! {
        _ = call => panic!("nobody can have answered"),
        () = harness.payments.until_calls(calls + 1) => {}
    }
    // The service gave up as well when nobody waits for payment-service any more.
    harness.payments.until_idle().await;
    harness.payments.set_mood(Mood::Well);
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_a_lost_call_began_is_finished_by_a_repetition_after_its_lease() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let request = cart(&[(TEA, 1)], "pm_ok");
    abandon(&harness, harness.create(alice, request.clone())).await;
    assert_eq!(code(harness.create(alice, request.clone()).await), "IDEMPOTENCY_IN_PROGRESS");
    harness.advance(harness.policy.claim_lease);
    let finished = harness.create(alice, request.clone()).await.unwrap();
    assert_eq!((finished.order.status(), finished.replayed), (OrderStatus::Paid, false));
    assert_eq!(harness.create(alice, request).await, Ok(again(&finished)));
    assert_eq!(harness.count(ORDERS).await, 1);
    assert_eq!(harness.payments.that_are(PaymentStatus::Succeeded), [finished.order.payment_id]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_lost_call_that_was_settled_meanwhile_needs_only_its_answer() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let create = cart(&[(TEA, 1)], "pm_declined");
    abandon(&harness, harness.create(alice, create.clone())).await;
    harness.recover_later().await;
    let calls = harness.payments.calls();
    let created = harness.create(alice, create.clone()).await.unwrap();
    assert_eq!((created.order.status(), created.replayed), (OrderStatus::PaymentFailed, false));
    assert_eq!(harness.create(alice, create).await, Ok(again(&created)));
    assert_eq!(harness.payments.calls(), calls);

    let pay = payment_of(&created.order, "pm_ok");
    abandon(&harness, harness.pay(alice, pay.clone())).await;
    assert_eq!(code(harness.pay(alice, pay.clone()).await), "IDEMPOTENCY_IN_PROGRESS");
    harness.recover_later().await;
    let paid = harness.pay(alice, pay.clone()).await.unwrap();
    assert_eq!((paid.order.status(), paid.replayed), (OrderStatus::Paid, false));
    assert_eq!(harness.pay(alice, pay).await, Ok(again(&paid)));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn of_those_who_find_a_lost_call_one_finishes_it() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_declined").await;
    let request = payment_of(&order, "pm_ok");
    abandon(&harness, harness.pay(alice, request.clone())).await;
    harness.advance(harness.policy.claim_lease);
    let calls = harness.payments.calls();
    let answers = join_all((0..20).map(|_| harness.pay(alice, request.clone()))).await;
    let answered = answered_or_running(answers);
    assert!(answered.iter().all(|answer| answer.order.status() == OrderStatus::Paid));
    assert_eq!(harness.payments.calls(), calls + 1);
    harness.finish().await;
}
