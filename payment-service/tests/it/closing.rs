//! Attempts whose order no longer awaits their payment.

use proto::payment::v1::{CreatePaymentRequest, PaymentStatus};

use crate::harness::{Harness, request};

const CHARGES: &str = "SELECT COUNT(*) FROM provider_charges";

/// The same attempt, which is only to be settled.
fn closing(start: &CreatePaymentRequest) -> CreatePaymentRequest {
    CreatePaymentRequest { only_settle: true, ..start.clone() }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_attempt_that_was_never_received_is_closed_and_told() {
    let harness = Harness::start().await;
    let start = request("pm_ok");
    let closed = harness.create(&closing(&start)).await;
    assert_eq!((closed.status(), closed.version), (PaymentStatus::Failed, 1));
    assert_eq!(closed.failure_reason, "order_closed");
    // A call that was still under way comes too late, and so does everything else.
    for again in [closing(&start), start] {
        assert_eq!(harness.create(&again).await, closed);
    }
    assert_eq!(harness.reconcile_later().await, 0);
    assert_eq!(harness.get(&closed.id).await, closed);
    assert_eq!(harness.count(CHARGES).await, 0);
    let [event] = &harness.events().await[..] else { panic!("one event") };
    assert_eq!(event["id"], format!("payment.failed:{}:1", closed.id));
    assert_eq!(event["data"]["failure_reason"], "order_closed");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_attempt_that_was_started_is_only_read() {
    let harness = Harness::start().await;
    for method in ["pm_ok", "pm_declined", "pm_never", "pm_timeout"] {
        let start = request(method);
        let started = harness.create(&start).await;
        assert_eq!(harness.create(&closing(&start)).await, started, "{method}");
    }
    // What was under way goes on: the money is taken, and who closed the order gives it back.
    let start = request("pm_pending_then_ok");
    harness.create(&start).await;
    harness.create(&closing(&start)).await;
    let settled = harness.until(&start.attempt_id, PaymentStatus::Succeeded).await;
    assert_eq!(harness.create(&closing(&start)).await, settled);
    let other = CreatePaymentRequest { order_id: request("pm_ok").order_id, ..closing(&start) };
    assert_eq!(harness.try_create(other).await.unwrap_err().code(), "AMOUNT_MISMATCH");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn either_the_start_or_the_end_of_an_attempt_is_recorded() {
    let harness = Harness::start().await;
    for _ in 0..25 {
        let start = request("pm_ok");
        let (message, end) = (start.clone(), closing(&start));
        let (started, closed) = tokio::join!(harness.create(&message), harness.create(&end));
        let payment = harness.get(&start.attempt_id).await;
        if payment.version == 1 {
            assert_eq!((payment.status(), &started), (PaymentStatus::Failed, &closed));
        } else {
            assert_eq!((payment.status(), payment.version), (PaymentStatus::Succeeded, 2));
        }
    }
    harness.finish().await;
}
