//! The inbox, its pages, read marks and preferences.

use proto::notify::v1 as pb;
use serde_json::json;

use crate::harness::{Harness, told};

fn list(page_size: i32, page_token: &str) -> pb::ListNotificationsRequest {
    pb::ListNotificationsRequest { page_size, page_token: page_token.into(), unread_only: false }
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_inbox_is_read_page_by_page() {
    let harness = Harness::start().await;
    let user = chassis::id::new_id();
    for event in ["user.registered", "order.created", "order.paid"] {
        harness.deliver(event, user).await;
    }
    let (mut events, mut token) = (Vec::new(), String::new());
    loop {
        let request = harness.user(user, list(2, &token));
        let page = harness.client().list_notifications(request).await.unwrap().into_inner();
        events.extend(page.notifications.into_iter().map(|n| n.event));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(events, ["order.paid", "order.created", "user.registered"]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_redelivered_event_is_told_once() {
    let harness = Harness::start().await;
    let user = chassis::id::new_id();
    let envelope = harness.deliver("order.paid", user).await;
    let handler = notify_service::api::consumer::EventHandler::new(harness.service.clone());
    let batch = vec![envelope.clone(), envelope];
    chassis::messaging::Handler::handle(&handler, &batch).await.unwrap();
    let request = harness.user(user, list(0, ""));
    let page = harness.client().list_notifications(request).await.unwrap().into_inner();
    assert_eq!(page.notifications.len(), 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_read_mark_takes_a_notification_out_of_the_unread() {
    let harness = Harness::start().await;
    let user = chassis::id::new_id();
    harness.deliver("order.paid", user).await;
    let unread = pb::ListNotificationsRequest { unread_only: true, ..list(0, "") };
    let page = harness.client().list_notifications(harness.user(user, unread.clone())).await;
    let notification_id = page.unwrap().into_inner().notifications[0].id.clone();
    let mark = harness.user(user, pb::MarkReadRequest { notification_id });
    let marked = harness.client().mark_read(mark).await.unwrap().into_inner();
    assert!(marked.notification.unwrap().read_at.is_some());
    let page = harness.client().list_notifications(harness.user(user, unread)).await;
    assert!(page.unwrap().into_inner().notifications.is_empty());
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_muted_event_is_not_told() {
    let harness = Harness::start().await;
    let user = chassis::id::new_id();
    let muted =
        pb::Preference { event: "order.shipped".into(), channel: "in_app".into(), enabled: false };
    let put = pb::PutPreferencesRequest { preferences: vec![muted.clone()] };
    let stored = harness.client().put_preferences(harness.user(user, put)).await.unwrap();
    assert!(stored.into_inner().preferences.contains(&muted));
    harness.deliver("order.shipped", user).await;
    let request = harness.user(user, list(0, ""));
    let page = harness.client().list_notifications(request).await.unwrap().into_inner();
    assert!(page.notifications.is_empty());
    let read = harness.user(user, pb::GetPreferencesRequest {});
    let read = harness.client().get_preferences(read).await.unwrap().into_inner();
    assert_eq!(read.preferences.iter().filter(|p| !p.enabled).count(), 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_changed_language_is_written_in_and_not_told_of() {
    let harness = Harness::start().await;
    let user = chassis::id::new_id();
    let introduce = async |event: &str, version: u64, locale: &str| {
        let data = json!({
            "user_id": user, "version": version, "display_name": "Ada", "locale": locale,
        });
        harness.handle(&[told(event, user, version, data)]).await;
    };
    introduce("user.registered", 1, "en").await;
    harness.deliver("order.created", user).await;
    introduce("user.profile_updated", 3, "zh-CN").await;
    introduce("user.profile_updated", 2, "en").await;
    harness.deliver("order.paid", user).await;
    let request = harness.user(user, list(0, ""));
    let page = harness.client().list_notifications(request).await.unwrap().into_inner();
    let titles: Vec<_> = page.notifications.iter().map(|n| n.title.as_str()).collect();
    assert_eq!(titles, ["订单已支付", "Order placed", "Welcome"]);
    harness.finish().await;
}
