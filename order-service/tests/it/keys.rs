//! Idempotency keys in every operation that takes one: whose they are, and what they stand for.

use chassis::error::Kind;
use proto::order::v1::{self as pb, OrderStatus};
use proto::payment::v1::PaymentStatus;

use crate::calls::{cancel_of, cart, code, payment_of, refund_of};
use crate::harness::{Harness, TEA, User};
use crate::idempotency::again;
use crate::payments::Mood;

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_answer_that_left_something_open_is_repeated_though_it_is_settled() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let create = cart(&[(TEA, 1)], "pm_never");
    let created = harness.create(alice, create.clone()).await.unwrap();
    assert_eq!(created.order.status(), OrderStatus::Created);
    harness.payments.decide(&created.order.payment_id, PaymentStatus::Failed);
    harness.recover_later().await;
    let pay = payment_of(&created.order, "pm_never");
    let paying = harness.pay(alice, pay.clone()).await.unwrap();
    harness.payments.decide(&paying.order.payment_id, PaymentStatus::Succeeded);
    harness.recover_later().await;
    harness.ship(harness.admin, &created.order.id).await.unwrap();
    assert_eq!(harness.create(alice, create).await, Ok(again(&created)));
    assert_eq!(harness.pay(alice, pay).await, Ok(again(&paying)));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_key_is_bound_to_whoever_uses_it_in_every_operation() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_declined").await;
    let pay = payment_of(&order, "pm_declined");
    let (own, admins) =
        (harness.pay(alice, pay.clone()).await, harness.pay(harness.admin, pay).await);
    assert_eq!((own.unwrap().order.version, admins.unwrap().order.version), (3, 4));
    let cancel = cancel_of(&order);
    harness.cancel(alice, cancel.clone()).await.unwrap();
    assert_eq!(code(harness.cancel(harness.admin, cancel).await), "ORDER_STATE_CONFLICT");
    let refund = refund_of(&harness.place(alice, "pm_ok").await);
    harness.refund(alice, refund.clone()).await.unwrap();
    assert_eq!(code(harness.refund(harness.admin, refund).await), "ORDER_STATE_CONFLICT");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn another_request_is_refused_while_the_first_one_runs() {
    let (harness, alice) = (Harness::start().await, User::customer());
    let order = harness.place(alice, "pm_declined").await;
    let request = payment_of(&order, "pm_ok");
    let other = pb::PayOrderRequest { payment_method: "pm_other".to_owned(), ..request.clone() };
    let calls = harness.payments.calls();
    harness.payments.set_mood(Mood::Held);
    let (first, refusals) = tokio::join!(harness.pay(alice, request.clone()), async {
        harness.payments.until_calls(calls + 1).await;
        let refusals = (harness.pay(alice, other).await, harness.pay(alice, request.clone()).await);
        harness.payments.set_mood(Mood::Well);
        refusals
    });
    assert_eq!(code(refusals.0), "IDEMPOTENCY_KEY_REUSED");
    let running = refusals.1.unwrap_err();
    assert_eq!((&*running.reason, running.kind), ("IDEMPOTENCY_IN_PROGRESS", Kind::Aborted));
    assert_eq!(running.retry_after.map(|pause| pause.as_secs()), Some(1));
    assert_eq!(first.unwrap().order.status(), OrderStatus::Paid);
    harness.finish().await;
}
