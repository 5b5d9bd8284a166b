//! Money that the provider takes for a payment that has failed.

use payment_service::service::Walk;
use proto::payment::v1::{self as pb, PaymentStatus, RefundStatus};

use crate::harness::{Harness, callback, request};

const CAPTURE: &str = "UPDATE provider_charges SET captured = TRUE, decline_reason = NULL";
const BALANCES: &str = "SELECT COUNT(*) FROM (SELECT account FROM ledger_entries \
                        GROUP BY account HAVING SUM(amount) <> 0) AS odd";

/// A payment that was declined, and that the provider captures after all.
async fn captured_late(harness: &Harness) -> pb::Payment {
    let payment = harness.create(&request("pm_declined")).await;
    assert_eq!(payment.status(), PaymentStatus::Failed);
    sqlx::query(CAPTURE).execute(&harness.pool).await.unwrap();
    payment
}

async fn is_given_back(harness: &Harness, payment: &pb::Payment) {
    let after = harness.get(&payment.id).await;
    assert_eq!((after.status(), after.version), (PaymentStatus::Failed, payment.version));
    let [refund] = &after.refunds[..] else { panic!("one refund") };
    assert_eq!(refund.status(), RefundStatus::Succeeded);
    assert_eq!((refund.reason.as_str(), &refund.amount), ("surplus_capture", &payment.amount));
    assert_eq!(harness.count(BALANCES).await, 0);
    let refunded = "SELECT COUNT(*) FROM provider_charges WHERE refund_id IS NOT NULL";
    assert_eq!(harness.count(refunded).await, 1);
    let events = harness.events().await;
    assert_eq!(events.len(), 1, "nobody is told of a success or a refund");
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_callback_that_tells_of_it_brings_the_money_back_once() {
    let harness = Harness::start().await;
    let payment = captured_late(&harness).await;
    let body = callback("evt_1", "payment.succeeded", &payment);
    let calls = (0..20).map(|_| harness.call_back(&body));
    for answer in futures::future::join_all(calls).await {
        answer.unwrap();
    }
    let (one, other) = (harness.replica(), harness.replica());
    let (one, other) = tokio::join!(one.reconcile(), other.reconcile());
    assert_eq!(one.unwrap().looked_at + other.unwrap().looked_at, 1);
    is_given_back(&harness, &payment).await;
    harness.call_back(&callback("evt_2", "payment.succeeded", &payment)).await.unwrap();
    assert_eq!(harness.reconcile_later().await, 0);
    is_given_back(&harness, &payment).await;
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_walk_through_the_ledger_finds_it_without_a_callback() {
    let harness = Harness::start().await;
    let payment = captured_late(&harness).await;
    let (one, other) = (harness.replica(), harness.replica());
    let (mut first, mut second) = (Walk::default(), Walk::default());
    let (one, other) = tokio::join!(one.walk_ledger(&mut first), other.walk_ledger(&mut second));
    assert!(one.unwrap().surplus + other.unwrap().surplus >= 1);
    harness.reconcile_later().await;
    is_given_back(&harness, &payment).await;
    harness.finish().await;
}
