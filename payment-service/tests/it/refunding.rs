//! Refunds.

use proto::payment::v1::{PaymentStatus, RefundPaymentRequest, RefundStatus};

use crate::harness::{Harness, refund_of, request};

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_refund_returns_the_money_and_is_told() {
    let harness = Harness::start().await;
    let payment = harness.create(&request("pm_ok")).await;
    let wanted = refund_of(&payment);
    let refunded = harness.refund(wanted.clone()).await.unwrap();
    assert_eq!(refunded.status(), PaymentStatus::Refunded);
    let refund = &refunded.refunds[0];
    assert_eq!((&refund.id, &refund.reason), (&wanted.refund_id, &wanted.reason));
    assert_eq!(refund.status(), RefundStatus::Succeeded);
    assert_eq!(refund.amount, payment.amount);

    let events = harness.events().await;
    let last = events.last().unwrap();
    assert_eq!(last["type"], "enterprisehub.payment.refunded.v1");
    assert_eq!(last["data"]["refund_id"], wanted.refund_id);
    let balance = "SELECT CAST(SUM(amount) AS SIGNED) FROM ledger_entries \
                   WHERE account = 'provider_clearing'";
    assert_eq!(harness.count(balance).await, 0);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_repetition_refunds_once_also_at_the_same_time() {
    let harness = Harness::start().await;
    let payment = harness.create(&request("pm_ok")).await;
    let wanted = refund_of(&payment);
    let calls = (0..20).map(|_| harness.refund(wanted.clone()));
    for answer in futures::future::join_all(calls).await {
        let status = answer.unwrap().status();
        assert!(matches!(status, PaymentStatus::Refunding | PaymentStatus::Refunded));
    }
    let settled = harness.refund(wanted).await.unwrap();
    assert_eq!((settled.status(), settled.version), (PaymentStatus::Refunded, 4));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn of_two_refunds_at_once_one_is_refused() {
    let harness = Harness::start().await;
    let payment = harness.create(&request("pm_ok")).await;
    let calls = (0..8).map(|_| harness.refund(refund_of(&payment)));
    let answers = futures::future::join_all(calls).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1);
    for refusal in refused {
        assert_eq!(refusal.unwrap_err().code(), "PAYMENT_STATE_CONFLICT");
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_cannot_be_refunded_is_refused() {
    let harness = Harness::start().await;
    for method in ["pm_declined", "pm_never", "pm_timeout"] {
        let payment = harness.create(&request(method)).await;
        let refusal = harness.refund(refund_of(&payment)).await.unwrap_err();
        assert_eq!(refusal.code(), "PAYMENT_STATE_CONFLICT", "{method}");
    }
    let (first, second) =
        (harness.create(&request("pm_ok")).await, harness.create(&request("pm_ok")).await);
    let taken = refund_of(&first);
    harness.refund(taken.clone()).await.unwrap();
    let reused = RefundPaymentRequest { refund_id: taken.refund_id, ..refund_of(&second) };
    assert_eq!(harness.refund(reused).await.unwrap_err().code(), "PAYMENT_STATE_CONFLICT");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn odd_requests_and_strangers_are_refused() {
    let harness = Harness::start().await;
    let payment = harness.create(&request("pm_ok")).await;
    let good = refund_of(&payment);
    for (odd, code) in [
        (RefundPaymentRequest { refund_id: String::new(), ..good.clone() }, "ID_INVALID"),
        (RefundPaymentRequest { reason: String::new(), ..good.clone() }, "VALIDATION_FAILED"),
        (
            RefundPaymentRequest { payment_id: good.refund_id.clone(), ..good.clone() },
            "PAYMENT_NOT_FOUND",
        ),
    ] {
        assert_eq!(harness.refund(odd).await.unwrap_err().code(), code);
    }
    let stranger = request("pm_ok").user_id;
    let by_stranger = harness.authorized(good, &stranger, &["customer"]);
    assert_eq!(harness.refund(by_stranger).await.unwrap_err().code(), "PAYMENT_NOT_FOUND");
    harness.finish().await;
}
