//! What is refused, and under which code.

use chassis::error::RemoteError;
use proto::notify::v1 as pb;
use tonic::{Code, Request, Status};

use crate::harness::Harness;

fn code<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    RemoteError::from_status(&answer.unwrap_err()).reason
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn nobody_reads_without_a_token_and_only_administrators_see_dead_letters() {
    let harness = Harness::start().await;
    let mut client = harness.client();
    let request = Request::new(pb::ListNotificationsRequest::default());
    assert_eq!(code(client.list_notifications(request).await), "TOKEN_MISSING");
    let request = harness.user(chassis::id::new_id(), pb::ListDeadLettersRequest::default());
    assert_eq!(code(client.list_dead_letters(request).await), "PERMISSION_DENIED");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn another_users_notification_does_not_exist() {
    let harness = Harness::start().await;
    let (owner, other) = (chassis::id::new_id(), chassis::id::new_id());
    harness.deliver("order.paid", owner).await;
    let list = harness.user(owner, pb::ListNotificationsRequest::default());
    let page = harness.client().list_notifications(list).await.unwrap().into_inner();
    let notification_id = page.notifications[0].id.clone();
    for (user, id) in [(other, notification_id), (owner, chassis::id::new_id().to_string())] {
        let mark = harness.user(user, pb::MarkReadRequest { notification_id: id });
        assert_eq!(code(harness.client().mark_read(mark).await), "NOTIFICATION_NOT_FOUND");
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn input_that_breaks_rules_is_refused_by_its_code() {
    let harness = Harness::start().await;
    let (mut client, user) = (harness.client(), chassis::id::new_id());
    let mark = harness.user(user, pb::MarkReadRequest { notification_id: "17".into() });
    assert_eq!(code(client.mark_read(mark).await), "ID_INVALID");
    let list = pb::ListNotificationsRequest { page_size: 101, ..Default::default() };
    assert_eq!(
        code(client.list_notifications(harness.user(user, list)).await),
        "VALIDATION_FAILED"
    );
    let list = pb::ListNotificationsRequest { page_token: "forged".into(), ..Default::default() };
    assert_eq!(code(client.list_notifications(harness.user(user, list)).await), "CURSOR_INVALID");
    let unknown = pb::Preference { event: "x".into(), channel: "in_app".into(), enabled: true };
    let put = pb::PutPreferencesRequest { preferences: vec![unknown] };
    assert_eq!(code(client.put_preferences(harness.user(user, put)).await), "VALIDATION_FAILED");
    let show = pb::GetDeadLetterRequest { dead_letter_id: chassis::id::new_id().to_string() };
    assert_eq!(code(client.get_dead_letter(harness.admin(show)).await), "DEAD_LETTER_NOT_FOUND");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn too_many_preferences_are_one_fault_and_too_large_ones_are_not_read() {
    let harness = Harness::start().await;
    let user = chassis::id::new_id();
    let put = async |preferences| {
        let put = pb::PutPreferencesRequest { preferences };
        harness.client().put_preferences(harness.user(user, put)).await.unwrap_err()
    };
    let unknown = pb::Preference { event: "x".into(), channel: "in_app".into(), enabled: true };
    let refused = RemoteError::from_status(&put(vec![unknown.clone(); 1_000]).await);
    let faults: Vec<_> = refused.violations.iter().map(|v| (&*v.field, &*v.reason)).collect();
    assert_eq!(faults, [("preferences", "TOO_MANY")]);
    let large = pb::Preference { event: "x".repeat(1 << 20), ..unknown };
    assert_eq!(put(vec![large]).await.code(), Code::ResourceExhausted);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_page_token_of_another_user_is_refused() {
    let harness = Harness::start().await;
    let (owner, other) = (chassis::id::new_id(), chassis::id::new_id());
    harness.deliver("order.created", owner).await;
    harness.deliver("order.paid", owner).await;
    let list = pb::ListNotificationsRequest { page_size: 1, ..Default::default() };
    let page = harness.client().list_notifications(harness.user(owner, list)).await.unwrap();
    let page_token = page.into_inner().next_page_token;
    let list = pb::ListNotificationsRequest { page_size: 1, page_token, ..Default::default() };
    let stolen = harness.client().list_notifications(harness.user(other, list)).await;
    assert_eq!(code(stolen), "CURSOR_INVALID");
    harness.finish().await;
}
