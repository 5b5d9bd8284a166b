//! Starting payments.

use chassis::error::Kind;
use proto::payment::v1::{self as pb, PaymentStatus};

use crate::harness::{Harness, request};

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_method_decides_the_outcome() {
    let harness = Harness::start().await;
    for (method, status, reason) in [
        ("pm_ok", PaymentStatus::Succeeded, ""),
        ("pm_declined", PaymentStatus::Failed, "card_declined"),
        ("pm_insufficient_funds", PaymentStatus::Failed, "insufficient_funds"),
        ("pm_never", PaymentStatus::Pending, ""),
        ("pm_timeout", PaymentStatus::Initiated, ""),
        ("pm_from_elsewhere", PaymentStatus::Failed, "unknown_payment_method"),
    ] {
        let payment = harness.create(&request(method)).await;
        assert_eq!(payment.status(), status, "{method}");
        assert_eq!(payment.failure_reason, reason, "{method}");
        let version = if status == PaymentStatus::Initiated { 1 } else { 2 };
        assert_eq!(payment.version, version, "{method}");
        assert_eq!(payment.provider_reference.is_empty(), status == PaymentStatus::Initiated);
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_pending_payment_is_settled_by_a_signed_callback() {
    let harness = Harness::start().await;
    for (method, status) in [
        ("pm_pending_then_ok", PaymentStatus::Succeeded),
        ("pm_pending_then_failed", PaymentStatus::Failed),
    ] {
        let payment = harness.create(&request(method)).await;
        assert_eq!(payment.status(), PaymentStatus::Pending);
        harness.until(&payment.id, status).await;
    }
    assert_eq!(harness.count("SELECT COUNT(*) FROM callbacks WHERE ruling = 'APPLIED'").await, 2);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_provider_that_repeats_itself_captures_once() {
    let harness = Harness::start().await;
    let payment = harness.create(&request("pm_duplicate_callback")).await;
    assert_eq!(payment.status(), PaymentStatus::Succeeded);
    // Five deliveries: one of them may have been faster than the answer.
    while harness.count("SELECT CAST(COALESCE(SUM(deliveries), 0) AS SIGNED) FROM callbacks").await
        < 5
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(harness.get(&payment.id).await.version, 2);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_repetition_answers_with_the_same_payment() {
    let harness = Harness::start().await;
    let request = request("pm_ok");
    let first = harness.create(&request).await;
    assert_eq!(harness.create(&request).await, first);
    assert_eq!(harness.count("SELECT COUNT(*) FROM provider_charges").await, 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn twenty_repetitions_at_once_charge_once() {
    let harness = Harness::start().await;
    let request = request("pm_ok");
    let calls = (0..20).map(|_| harness.create(&request));
    let payments = futures::future::join_all(calls).await;
    assert!(payments.iter().all(|payment| payment.id == request.attempt_id));
    let settled = harness.until(&request.attempt_id, PaymentStatus::Succeeded).await;
    assert_eq!(settled.version, 2);
    assert_eq!(harness.count("SELECT COUNT(*) FROM provider_charges").await, 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn other_terms_under_the_same_attempt_are_refused() {
    let harness = Harness::start().await;
    let first = request("pm_ok");
    harness.create(&first).await;
    let other = || request("pm_ok");
    let changed = |change: &dyn Fn(&mut pb::CreatePaymentRequest)| {
        let mut changed = first.clone();
        change(&mut changed);
        changed
    };
    for differing in [
        changed(&|wire| wire.order_id = other().order_id),
        changed(&|wire| wire.user_id = other().user_id),
        changed(&|wire| wire.amount.as_mut().unwrap().amount += 1),
        changed(&|wire| wire.amount.as_mut().unwrap().currency = "USD".to_owned()),
        changed(&|wire| wire.payment_method = "pm_never".to_owned()),
    ] {
        let refusal = harness.try_create(differing).await.unwrap_err();
        assert_eq!(refusal.code(), "AMOUNT_MISMATCH");
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn input_that_breaks_rules_has_no_effect() {
    let harness = Harness::start().await;
    let refusal = harness
        .try_create(pb::CreatePaymentRequest { attempt_id: "17".to_owned(), ..request("pm_ok") })
        .await
        .unwrap_err();
    assert_eq!((refusal.code(), refusal.0.kind), ("ID_INVALID", Kind::Malformed));

    let odd = pb::CreatePaymentRequest { amount: None, ..request("4111111111111111") };
    let refusal = harness.try_create(odd).await.unwrap_err();
    assert_eq!(refusal.code(), "VALIDATION_FAILED");
    let fields: Vec<_> = refusal.0.violations.iter().map(|found| found.field.as_str()).collect();
    assert_eq!(fields, ["amount.amount", "amount.currency", "payment_method"]);
    assert_eq!(harness.count("SELECT COUNT(*) FROM payments").await, 0);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn nobody_pays_in_another_name() {
    let harness = Harness::start().await;
    let message = request("pm_ok");
    let stranger = request("pm_ok").user_id;
    let by_stranger = harness.authorized(message.clone(), &stranger, &["customer"]);
    assert_eq!(harness.try_create(by_stranger).await.unwrap_err().code(), "PERMISSION_DENIED");
    let owner = message.user_id.clone();
    let by_owner = harness.authorized(message, &owner, &["customer"]);
    harness.try_create(by_owner).await.unwrap();
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn events_are_told_once_and_by_their_schema() {
    let harness = Harness::start().await;
    let captured = harness.create(&request("pm_ok")).await;
    let declined = harness.create(&request("pm_declined")).await;
    harness.create(&request("pm_never")).await;
    let events = harness.events().await;
    let ids: Vec<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(
        ids,
        [
            format!("payment.succeeded:{}:2", captured.id),
            format!("payment.failed:{}:2", declined.id),
        ]
    );
    let data = &events[1]["data"];
    assert_eq!(data["order_id"], declined.order_id);
    assert_eq!(data["user_id"], declined.user_id);
    assert_eq!(data["failure_reason"], "card_declined");
    assert_eq!(data["amount"]["amount"], 19_900);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn without_a_database_the_service_is_unavailable() {
    let harness = Harness::start().await;
    harness.pool.close().await;
    let refusal = harness.try_create(request("pm_ok")).await.unwrap_err();
    assert_eq!((refusal.code(), refusal.0.kind), ("SERVICE_UNAVAILABLE", Kind::Unavailable));
}
