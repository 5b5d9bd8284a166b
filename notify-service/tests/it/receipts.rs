//! What arrived, as those see it who ask about one order.

use proto::notify::v1 as pb;
use serde_json::json;
use tonic::Code;
use uuid::Uuid;

use crate::harness::{Harness, told};

fn about(subject: Uuid) -> pb::ListEventReceiptsRequest {
    pb::ListEventReceiptsRequest { subject: subject.to_string() }
}

/// An event of an order, at a version.
fn step(event: &str, (order, user): (Uuid, Uuid), version: u64) -> chassis::messaging::Envelope {
    let total = json!({"amount": 1990, "currency": "CNY"});
    let data = json!({"order_id": order, "user_id": user, "version": version,
        "status": "PAID", "total": total});
    told(event, order, version, data)
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn deliveries_are_counted_and_late_ones_are_told_too() {
    let harness = Harness::start().await;
    let ids = (chassis::id::new_id(), chassis::id::new_id());
    let (created, paid) = (step("order.created", ids, 1), step("order.paid", ids, 2));
    // The later one first, then both, then the first one once more.
    harness.handle(std::slice::from_ref(&paid)).await;
    harness.handle(&[created.clone(), paid]).await;
    harness.handle(&[created.clone(), created]).await;
    let request = harness.user(ids.1, about(ids.0));
    let reply = harness.client().list_event_receipts(request).await.unwrap().into_inner();
    let seen: Vec<_> = reply
        .receipts
        .iter()
        .map(|one| (one.r#type.as_str(), one.version, one.deliveries, one.notices.len()))
        .collect();
    assert_eq!(seen, [("order.created", 1, 3, 1), ("order.paid", 2, 2, 1)]);
    assert_eq!(reply.receipts[0].notices[0].channel, "in_app");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_muted_event_has_arrived_all_the_same() {
    let harness = Harness::start().await;
    let (order, user) = (chassis::id::new_id(), chassis::id::new_id());
    let mute = pb::PutPreferencesRequest {
        preferences: vec![pb::Preference {
            event: "order.paid".to_owned(),
            channel: "in_app".to_owned(),
            enabled: false,
        }],
    };
    harness.client().put_preferences(harness.user(user, mute)).await.unwrap();
    harness.handle(&[step("order.paid", (order, user), 2)]).await;
    let request = harness.user(user, about(order));
    let reply = harness.client().list_event_receipts(request).await.unwrap().into_inner();
    assert_eq!((reply.receipts.len(), reply.receipts[0].notices.len()), (1, 0));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn only_the_recipient_and_administrators_see_what_arrived() {
    let harness = Harness::start().await;
    let ids = (chassis::id::new_id(), chassis::id::new_id());
    harness.handle(&[step("order.paid", ids, 2)]).await;
    let stranger = harness.user(chassis::id::new_id(), about(ids.0));
    let seen = harness.client().list_event_receipts(stranger).await.unwrap().into_inner();
    assert!(seen.receipts.is_empty());
    let seen = harness.client().list_event_receipts(harness.admin(about(ids.0))).await;
    assert_eq!(seen.unwrap().into_inner().receipts.len(), 1);
    let odd = pb::ListEventReceiptsRequest { subject: "17".to_owned() };
    let refused = harness.client().list_event_receipts(harness.user(ids.1, odd)).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    harness.finish().await;
}
