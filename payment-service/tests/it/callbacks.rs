//! Callbacks of the provider.

use chassis::clock::Clock;
use chrono::TimeDelta;
use payment_service::model::CallbackKeys;
use proto::payment::v1::{self as pb, PaymentStatus};
use serde_json::json;

use crate::harness::{Harness, KEYS, callback, refused, request};

/// A payment whose outcome only a callback will bring: nobody delivers the provider's own.
async fn pending(harness: &Harness) -> pb::Payment {
    let request = request("pm_pending_then_ok");
    // A replica's provider has no courier, so its callback is lost.
    let command = payment_service::service::CreatePayment {
        actor: payment_service::service::Actor::Service,
        attempt_id: request.attempt_id.parse().unwrap(),
        terms: payment_service::model::Terms {
            order_id: request.order_id.parse().unwrap(),
            user_id: request.user_id.parse().unwrap(),
            amount: payment_service::model::Money::parse("amount", 19_900, "CNY").unwrap(),
            method: payment_service::model::PaymentMethod::parse("m", "pm_pending_then_ok")
                .unwrap(),
        },
        unless_known: payment_service::service::UnlessKnown::Start,
    };
    harness.replica().create_payment(command).await.unwrap();
    harness.get(&request.attempt_id).await
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_hundred_deliveries_one_after_the_other_move_once() {
    let harness = Harness::start().await;
    let payment = pending(&harness).await;
    let body = callback("evt_1", "payment.succeeded", &payment).to_string().into_bytes();
    let signature = harness.keys.sign(&body, harness.clock.now());
    for _ in 0..100 {
        harness.send(body.clone(), &signature).await.unwrap();
    }
    let settled = harness.get(&payment.id).await;
    assert_eq!((settled.status(), settled.version), (PaymentStatus::Succeeded, 3));
    let repeated = "SELECT CAST(deliveries AS SIGNED) FROM callbacks WHERE ruling = 'DUPLICATE'";
    assert_eq!(harness.count(repeated).await, 99);
    assert_eq!(harness.events().await.len(), 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn fifty_deliveries_at_once_move_once() {
    let harness = Harness::start().await;
    let payment = pending(&harness).await;
    let body = callback("evt_1", "payment.succeeded", &payment);
    let other = callback("evt_2", "payment.succeeded", &payment);
    let calls = (0..50).map(|at| harness.call_back(if at % 2 == 0 { &body } else { &other }));
    for answer in futures::future::join_all(calls).await {
        answer.unwrap();
    }
    let settled = harness.get(&payment.id).await;
    assert_eq!((settled.status(), settled.version), (PaymentStatus::Succeeded, 3));
    assert_eq!(harness.count("SELECT COUNT(*) FROM callbacks WHERE ruling = 'APPLIED'").await, 1);
    assert_eq!(harness.events().await.len(), 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_settled_state_wins_over_what_comes_later() {
    let harness = Harness::start().await;
    let payment = pending(&harness).await;
    harness.call_back(&callback("evt_1", "payment.succeeded", &payment)).await.unwrap();
    harness.call_back(&callback("evt_2", "payment.failed", &payment)).await.unwrap();
    harness.call_back(&callback("evt_3", "payment.pending", &payment)).await.unwrap();
    let settled = harness.get(&payment.id).await;
    assert_eq!((settled.status(), settled.version), (PaymentStatus::Succeeded, 3));
    let contradictions = "SELECT COUNT(*) FROM callbacks WHERE ruling = 'CONTRADICTION'";
    assert_eq!(harness.count(contradictions).await, 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_callback_that_differs_changes_nothing() {
    let harness = Harness::start().await;
    let payment = pending(&harness).await;
    let differing = |member: &str, value: serde_json::Value| {
        let mut body = callback("evt_1", "payment.succeeded", &payment);
        body[member] = value;
        body
    };
    let unknown = request("pm_ok").attempt_id;
    for (body, code) in [
        (differing("amount", json!(1)), "AMOUNT_MISMATCH"),
        (differing("currency", json!("USD")), "AMOUNT_MISMATCH"),
        (differing("reference", json!(unknown)), "PAYMENT_NOT_FOUND"),
        (differing("reference", json!("ch_17")), "PAYMENT_NOT_FOUND"),
        (differing("amount", json!("19900")), "CALLBACK_INVALID"),
        (json!([]), "CALLBACK_INVALID"),
    ] {
        assert_eq!(harness.call_back(&body).await.unwrap_err().code(), code, "{body}");
    }
    harness.call_back(&json!({"id": "evt_9", "type": "payout.created"})).await.unwrap();
    assert_eq!(harness.get(&payment.id).await, payment);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn only_a_good_and_recent_signature_is_believed() {
    let harness = Harness::start().await;
    let payment = pending(&harness).await;
    let body = callback("evt_1", "payment.succeeded", &payment).to_string().into_bytes();
    let now = harness.clock.now();
    let good = harness.keys.sign(&body, now);
    let foreign = CallbackKeys::new([b"somebody-else's-key-0123456789abcdef".as_slice()]).unwrap();
    let token = harness.issuer.token(payment.user_id.parse().unwrap(), &["admin"]);
    for (signature, code) in [
        (String::new(), "SIGNATURE_MISSING"),
        (good.replace("v1=", "v0="), "SIGNATURE_MISSING"),
        (format!("Bearer {token}"), "SIGNATURE_MISSING"),
        (foreign.sign(&body, now), "SIGNATURE_INVALID"),
        (harness.keys.sign(b"{}", now), "SIGNATURE_INVALID"),
        (good.replace(&format!("t={}", now.timestamp()), "t=1767323100"), "SIGNATURE_INVALID"),
        (format!("{good}{}", ",v1=00".repeat(1_000)), "SIGNATURE_MALFORMED"),
        (harness.keys.sign(&body, now - TimeDelta::seconds(301)), "TIMESTAMP_OUT_OF_RANGE"),
        (harness.keys.sign(&body, now + TimeDelta::seconds(301)), "TIMESTAMP_OUT_OF_RANGE"),
    ] {
        let refusal = harness.send(body.clone(), &signature).await.unwrap_err();
        assert_eq!(refusal.code(), code, "{signature:.60}");
    }
    assert_eq!(harness.get(&payment.id).await, payment);
    assert_eq!(harness.count("SELECT COUNT(*) FROM callbacks").await, 0);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_key_can_be_replaced_without_a_gap() {
    let harness = Harness::start().await;
    let payment = pending(&harness).await;
    let body = callback("evt_1", "payment.succeeded", &payment).to_string().into_bytes();
    let retired = CallbackKeys::new([KEYS[1].as_bytes()]).unwrap();
    harness.send(body.clone(), &retired.sign(&body, harness.clock.now())).await.unwrap();
    assert_eq!(harness.get(&payment.id).await.status(), PaymentStatus::Succeeded);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_token_that_comes_with_a_callback_is_not_looked_at() {
    let harness = Harness::start().await;
    let body = json!({"id": "evt_1", "type": "payout.created"}).to_string().into_bytes();
    let signature = harness.keys.sign(&body, harness.clock.now());
    let mut request = tonic::Request::new(pb::HandleCallbackRequest { body, signature });
    request.metadata_mut().insert("authorization", "Bearer expired".parse().unwrap());
    refused(harness.client.clone().handle_callback(request).await).unwrap();
    harness.finish().await;
}
