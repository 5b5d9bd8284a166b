//! Reading payments.

use proto::payment::v1 as pb;
use tonic::Request;

use crate::harness::{Harness, refused, request};

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn users_see_their_own_payments_and_administrators_all() {
    let harness = Harness::start().await;
    let payment = harness.create(&request("pm_ok")).await;
    let stranger = request("pm_ok").user_id;
    for (user, roles, visible) in [
        (&payment.user_id, &["customer"][..], true),
        (&stranger, &["customer", "admin"][..], true),
        (&stranger, &["customer"][..], false),
    ] {
        let message = pb::GetPaymentRequest { payment_id: payment.id.clone() };
        let request = harness.authorized(message, user, roles);
        match refused(harness.client.clone().get_payment(request).await) {
            Ok(reply) => assert!(visible && reply.payment.as_ref() == Some(&payment)),
            Err(refusal) => assert!(!visible && refusal.code() == "PAYMENT_NOT_FOUND"),
        }
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_payment_comes_with_every_attempt_of_its_order() {
    let harness = Harness::start().await;
    let first = request("pm_declined");
    harness.create(&first).await;
    harness.create(&request("pm_ok")).await;
    harness.clock.advance(chrono::TimeDelta::seconds(1));
    let second = pb::CreatePaymentRequest {
        attempt_id: request("pm_ok").attempt_id,
        payment_method: "pm_ok".to_owned(),
        ..first.clone()
    };
    harness.create(&second).await;
    let message = pb::GetPaymentRequest { payment_id: second.attempt_id.clone() };
    let asked = harness.as_admin(message);
    let reply = refused(harness.client.clone().get_payment(asked).await).unwrap();
    assert_eq!(reply.payment.unwrap().id, second.attempt_id);
    let attempts: Vec<_> = reply.attempts.iter().map(|attempt| attempt.id.as_str()).collect();
    assert_eq!(attempts, [&first.attempt_id, &second.attempt_id]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn unknown_ids_and_bad_tokens_are_refused() {
    let harness = Harness::start().await;
    let get = |id: &str| pb::GetPaymentRequest { payment_id: id.to_owned() };
    let unknown = request("pm_ok").attempt_id;
    let mut forged = Request::new(get(&unknown));
    forged.metadata_mut().insert("authorization", "Bearer not.a.token".parse().unwrap());
    for (request, code) in [
        (harness.as_admin(get(&unknown)), "PAYMENT_NOT_FOUND"),
        (harness.as_admin(get("17")), "ID_INVALID"),
        (Request::new(get(&unknown)), "TOKEN_MISSING"),
        (forged, "TOKEN_INVALID"),
    ] {
        let refusal = refused(harness.client.clone().get_payment(request).await).unwrap_err();
        assert_eq!(refusal.code(), code);
    }
    harness.finish().await;
}
