//! What administrators do with events that could not be processed.

use chassis::messaging::{DeadMessage, Graveyard, Signer};
use notify_service::api::dead_letters::DeadLetterKeeper;
use proto::notify::v1 as pb;

use crate::harness::{Harness, envelope};

fn message(payload: &[u8]) -> DeadMessage {
    DeadMessage {
        routing_key: "order.paid".into(),
        reason: "rejected".into(),
        payload: payload.to_vec(),
        deaths: 1,
        died_at: 0,
    }
}

async fn bury(harness: &Harness, payload: &[u8]) -> String {
    keep(harness, message(payload)).await.id
}

async fn keep(harness: &Harness, message: DeadMessage) -> pb::DeadLetter {
    DeadLetterKeeper::new(harness.service.clone()).bury(message).await.unwrap();
    let request = harness.admin(pb::ListDeadLettersRequest::default());
    let page = harness.client().list_dead_letters(request).await.unwrap().into_inner();
    page.dead_letters[0].clone()
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_letter_of_any_shape_is_buried() {
    let harness = Harness::start().await;
    let mut event = envelope("order.paid", chassis::id::new_id());
    let usual = keep(&harness, message(event.to_json().unwrap().as_bytes())).await;
    assert_eq!(usual.event_id, event.id);
    for id in ["a".repeat(161), "größe".to_owned(), "\u{0}".to_owned(), "👍".repeat(200)] {
        event.id = id;
        let odd = keep(&harness, message(event.to_json().unwrap().as_bytes())).await;
        assert_eq!(odd.event_id, "");
    }
    let long = DeadMessage {
        routing_key: "👍".repeat(300),
        reason: "👍".repeat(300),
        ..message(&vec![b'['; (1 << 24) + 1])
    };
    let letter = keep(&harness, long).await;
    assert_eq!(letter.routing_key, "👍".repeat(255));
    assert!(letter.reason.ends_with("👍; kept 1048576 of 16777217 bytes"), "{}", letter.reason);
    let show = harness.admin(pb::GetDeadLetterRequest { dead_letter_id: letter.id });
    let shown = harness.client().get_dead_letter(show).await.unwrap().into_inner();
    assert_eq!(shown.payload, vec![b'['; 1 << 20]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_replayed_letter_is_told_and_closed() {
    let harness = Harness::start().await;
    let user = chassis::id::new_id();
    let payload = Signer::for_anybody().sign(&envelope("order.paid", user).to_json().unwrap());
    let dead_letter_id = bury(&harness, payload.as_bytes()).await;
    let show = harness.admin(pb::GetDeadLetterRequest { dead_letter_id: dead_letter_id.clone() });
    let shown = harness.client().get_dead_letter(show).await.unwrap().into_inner();
    assert_eq!(shown.payload, payload.as_bytes());
    let replay = harness.admin(pb::ReplayDeadLetterRequest { dead_letter_id });
    let replayed = harness.client().replay_dead_letter(replay).await.unwrap().into_inner();
    assert_eq!(replayed.dead_letter.unwrap().status(), pb::DeadLetterStatus::Replayed);
    let list = harness.user(user, pb::ListNotificationsRequest::default());
    let inbox = harness.client().list_notifications(list).await.unwrap().into_inner();
    assert_eq!(inbox.notifications.len(), 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_discarded_letter_keeps_who_discarded_it_and_why() {
    let harness = Harness::start().await;
    let dead_letter_id = bury(&harness, b"\xff not an event").await;
    let reason = "no event at all".to_owned();
    let discard = pb::DiscardDeadLetterRequest { dead_letter_id, reason: reason.clone() };
    let discard = harness.admin(discard);
    let discarded = harness.client().discard_dead_letter(discard).await.unwrap().into_inner();
    let letter = discarded.dead_letter.unwrap();
    assert_eq!(letter.status(), pb::DeadLetterStatus::Discarded);
    assert_eq!(letter.decided_by, uuid::Uuid::from_u128(1).to_string());
    let show = harness.admin(pb::GetDeadLetterRequest { dead_letter_id: letter.id });
    let shown = harness.client().get_dead_letter(show).await.unwrap().into_inner();
    assert_eq!(shown.dead_letter.unwrap().decision_reason, reason);
    let open = pb::ListDeadLettersRequest {
        status: pb::DeadLetterStatus::Open.into(),
        ..pb::ListDeadLettersRequest::default()
    };
    let open = harness.client().list_dead_letters(harness.admin(open)).await.unwrap();
    assert!(open.into_inner().dead_letters.is_empty());
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_letter_that_is_no_producers_event_cannot_be_replayed_and_stays_open() {
    let harness = Harness::start().await;
    let user = chassis::id::new_id();
    let unsigned = envelope("order.paid", user).to_json().unwrap();
    let signed = Signer::for_anybody().sign(&unsigned);
    let altered = signed.replace("05.678Z", "06.678Z");
    assert_ne!(signed, altered);
    for payload in ["{", &unsigned, &altered] {
        cannot_be_replayed(&harness, payload.as_bytes()).await;
    }
    let list = harness.user(user, pb::ListNotificationsRequest::default());
    let inbox = harness.client().list_notifications(list).await.unwrap().into_inner();
    assert!(inbox.notifications.is_empty());
    harness.finish().await;
}

async fn cannot_be_replayed(harness: &Harness, payload: &[u8]) {
    let dead_letter_id = bury(harness, payload).await;
    let replay = pb::ReplayDeadLetterRequest { dead_letter_id: dead_letter_id.clone() };
    let refused = harness.client().replay_dead_letter(harness.admin(replay)).await.unwrap_err();
    let refused = chassis::error::RemoteError::from_status(&refused);
    assert_eq!(refused.reason, "REPLAY_FAILED");
    let show = harness.admin(pb::GetDeadLetterRequest { dead_letter_id });
    let shown = harness.client().get_dead_letter(show).await.unwrap().into_inner();
    assert_eq!(shown.dead_letter.unwrap().status(), pb::DeadLetterStatus::Open);
}
