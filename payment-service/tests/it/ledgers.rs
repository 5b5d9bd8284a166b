//! Looking back: callbacks of an order, and the comparison with the provider's ledger.

use proto::payment::v1::{self as pb, PaymentStatus};

use crate::harness::{Harness, Refusal, callback, refund_of, refused, request};

async fn callbacks(
    harness: &Harness,
    request: impl tonic::IntoRequest<pb::ListCallbacksRequest>,
) -> Result<Vec<pb::CallbackReceipt>, Refusal> {
    let reply = harness.client.clone().list_callbacks(request).await;
    refused(reply).map(|reply| reply.callbacks)
}

async fn compare(harness: &Harness, after: &str) -> Result<pb::GetReconciliationResponse, Refusal> {
    let message = pb::GetReconciliationRequest { after: after.to_owned() };
    let admin = request("pm_ok").user_id;
    let request = harness.authorized(message, &admin, &["admin"]);
    refused(harness.client.clone().get_reconciliation(request).await)
}

/// The classes with differences, of the whole ledger.
async fn found(harness: &Harness) -> Vec<(String, u64)> {
    let report = compare(harness, "").await.unwrap();
    assert_eq!(report.next, "");
    let classes = report.classes.into_iter().filter(|class| class.count > 0);
    classes.map(|class| (class.name, class.count)).collect()
}

async fn change(harness: &Harness, statement: &'static str) {
    assert_eq!(sqlx::query(statement).execute(&harness.pool).await.unwrap().rows_affected(), 1);
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_owner_and_administrators_see_what_the_provider_told() {
    let harness = Harness::start().await;
    let payment = harness.create(&request("pm_never")).await;
    for id in ["evt_1", "evt_1", "evt_2"] {
        harness.call_back(&callback(id, "payment.succeeded", &payment)).await.unwrap();
    }
    harness.until(&payment.id, PaymentStatus::Succeeded).await;
    let message = pb::ListCallbacksRequest { order_id: payment.order_id.clone() };
    let all = callbacks(&harness, harness.as_admin(message.clone())).await.unwrap();
    let mut told: Vec<_> =
        all.iter().map(|one| (one.callback_id.as_str(), one.ruling.as_str())).collect();
    told.sort_unstable();
    assert_eq!(told, [("evt_1", "APPLIED"), ("evt_1", "DUPLICATE"), ("evt_2", "DUPLICATE")]);
    assert!(all.iter().all(|one| one.r#type == "payment.succeeded" && one.deliveries == 1));
    assert!(all.iter().all(|one| one.payment_id == payment.id && one.received_at.is_some()));
    let stranger = request("pm_ok").user_id;
    for (user, roles, count) in [
        (&payment.user_id, &["customer"][..], 3),
        (&stranger, &["admin"][..], 3),
        (&stranger, &["customer"][..], 0),
    ] {
        let asked = harness.authorized(message.clone(), user, roles);
        assert_eq!(callbacks(&harness, asked).await.unwrap().len(), count);
    }
    let odd = pb::ListCallbacksRequest { order_id: "17".to_owned() };
    assert_eq!(callbacks(&harness, odd.clone()).await.unwrap_err().code(), "TOKEN_MISSING");
    let odd = callbacks(&harness, harness.as_admin(odd)).await;
    assert_eq!(odd.unwrap_err().code(), "ID_INVALID");
    // The provider never decided; without this the audit would find what was planted here.
    change(&harness, "UPDATE provider_charges SET captured = TRUE").await;
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_books_are_compared_with_the_providers_ledger() {
    let harness = Harness::start().await;
    for method in ["pm_ok", "pm_declined", "pm_never"] {
        harness.create(&request(method)).await;
    }
    let refunded = harness.create(&request("pm_ok")).await;
    harness.refund(refund_of(&refunded)).await.unwrap();
    harness.clock.advance(chrono::TimeDelta::minutes(3));
    let report = compare(&harness, "").await.unwrap();
    assert_eq!((report.compared, report.in_flight), (4, 0));
    assert_eq!(report.classes.len(), 11);
    assert_eq!(found(&harness).await, []);
    for (planted, undone, classes) in [
        (
            "UPDATE provider_charges SET amount = amount + 1 WHERE refund_id IS NOT NULL",
            "UPDATE provider_charges SET amount = amount - 1 WHERE refund_id IS NOT NULL",
            &["amount_differs"; 2][..],
        ),
        (
            "UPDATE payments SET status = 'FAILED' WHERE status = 'SUCCEEDED'",
            "UPDATE payments SET status = 'SUCCEEDED' \
             WHERE status = 'FAILED' AND failure_reason IS NULL",
            &["status_differs"],
        ),
        (
            "UPDATE ledger_entries SET account = 'lost' \
             WHERE account = 'provider_clearing' AND amount < 0",
            "UPDATE ledger_entries SET account = 'provider_clearing' WHERE account = 'lost'",
            &["ledger_differs"],
        ),
    ] {
        change(&harness, planted).await;
        let told: Vec<_> = found(&harness)
            .await
            .into_iter()
            .flat_map(|(name, count)| std::iter::repeat_n(name, usize::try_from(count).unwrap()))
            .collect();
        assert_eq!(told, classes, "{planted}");
        change(&harness, undone).await;
    }
    assert_eq!(found(&harness).await, []);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn only_administrators_compare_and_only_from_where_a_stretch_ended() {
    let harness = Harness::start().await;
    let customer = request("pm_ok").user_id;
    let message = pb::GetReconciliationRequest::default();
    for (asked, code) in [
        (harness.authorized(message.clone(), &customer, &["customer"]), "PERMISSION_DENIED"),
        (tonic::Request::new(message), "TOKEN_MISSING"),
    ] {
        let refusal = refused(harness.client.clone().get_reconciliation(asked).await).unwrap_err();
        assert_eq!(refusal.code(), code);
    }
    assert_eq!(compare(&harness, "17").await.unwrap_err().code(), "VALIDATION_FAILED");
    harness.finish().await;
}
