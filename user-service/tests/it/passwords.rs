//! Changing one's own password.

use chassis::error::{Kind, RemoteError};
use futures::future::join_all;
use proto::user::v1::{self as pb, UserStatus};
use tonic::{Extensions, Request};

use crate::harness::{Harness, PASSWORD, code, fields, refused};

const OTHER: &str = "another good one";

async fn change(harness: &Harness, id: &str, current: &str, new: &str) -> Result<(), RemoteError> {
    let message = pb::ChangePasswordRequest {
        current_password: current.to_owned(),
        new_password: new.to_owned(),
    };
    refused(harness.client().change_password(harness.by(id, message)).await).map(|_| ())
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_new_password_is_in_force_at_once_and_ends_sessions() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    assert_eq!(harness.identify(&alice.email, PASSWORD).await.unwrap().session_epoch, 1);
    change(&harness, &alice.id, PASSWORD, OTHER).await.unwrap();
    assert_eq!(code(harness.identify(&alice.email, PASSWORD).await), "CREDENTIALS_INVALID");
    let identity = harness.identify(&alice.email, OTHER).await.unwrap();
    assert_eq!((identity.user_id, identity.session_epoch), (alice.id.clone(), 2));
    assert_eq!(harness.access(&alice.id).await.unwrap().session_epoch, 2);
    assert_eq!(harness.get(&alice.id).await.version, 2);

    let events = harness.events().await;
    let last = events.last().unwrap();
    assert_eq!(last["id"], format!("user.password_changed:{}:2", alice.id));
    assert_eq!(last["data"]["version"], 2);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_wrong_current_password_changes_nothing() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    for wrong in ["", "wrong password", "Correct horse battery", &"x".repeat(4096)] {
        let refusal = change(&harness, &alice.id, wrong, OTHER).await.unwrap_err();
        assert_eq!(
            (refusal.reason.as_str(), refusal.kind),
            ("CURRENT_PASSWORD_WRONG", Kind::PermissionDenied)
        );
    }
    assert_eq!(harness.identify(&alice.email, PASSWORD).await.unwrap().session_epoch, 1);
    assert_eq!(harness.events_of(&alice.id).await, [format!("user.registered:{}:1", alice.id)]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn guessing_the_current_password_is_slowed_down_before_it_is_looked_at() {
    let harness = Harness::with(&[
        ("THROTTLE__PASSWORD_CHANGE__FREE", "2"),
        ("THROTTLE__PASSWORD_CHANGE__PAUSE_S", "600"),
    ])
    .await;
    let alice = harness.register("alice@example.com").await;
    let session = harness.by(&alice.id, ()).into_parts().0;
    let try_with = async |current: &str| {
        let message = pb::ChangePasswordRequest {
            current_password: current.to_owned(),
            new_password: OTHER.to_owned(),
        };
        let request = Request::from_parts(session.clone(), Extensions::default(), message);
        refused(harness.client().change_password(request).await).map(|_| ())
    };
    for _ in 0..2 {
        assert_eq!(code(try_with("wrong password").await), "CURRENT_PASSWORD_WRONG");
    }
    let refusal = try_with(PASSWORD).await.unwrap_err();
    assert_eq!(refusal.reason, "PASSWORD_THROTTLED", "the right one as well");
    assert!(refusal.retry_after.is_some());
    harness.identify(&alice.email, PASSWORD).await.unwrap();
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_new_password_has_to_be_a_good_one() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    for (bad, expected) in [
        ("short", "VALIDATION_FAILED"),
        (&*"x".repeat(129), "VALIDATION_FAILED"),
        ("password1", "PASSWORD_WEAK"),
        ("Alice@example.com", "PASSWORD_WEAK"),
    ] {
        let refusal = change(&harness, &alice.id, PASSWORD, bad).await.unwrap_err();
        assert_eq!((refusal.reason.as_str(), fields(&refusal)), (expected, vec!["new_password"]));
    }
    harness.identify(&alice.email, PASSWORD).await.unwrap();
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn of_changes_at_once_with_the_same_proof_one_is_done() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let wanted: Vec<_> = (0..5).map(|n| format!("a good password {n}")).collect();
    let calls = wanted.iter().map(|new| change(&harness, &alice.id, PASSWORD, new));
    let answers = join_all(calls).await;
    let winner = answers.iter().position(Result::is_ok).unwrap();
    let refusals: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert_eq!(refusals.len(), 4);
    assert!(refusals.iter().all(|refusal| refusal.reason == "CURRENT_PASSWORD_WRONG"));
    let identity = harness.identify(&alice.email, &wanted[winner]).await.unwrap();
    assert_eq!(identity.session_epoch, 2);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn only_the_owner_of_an_active_account_changes_its_password() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let nobody = chassis::id::new_id().to_string();
    assert_eq!(code(change(&harness, &nobody, PASSWORD, OTHER).await), "USER_NOT_FOUND");
    let anonymous = pb::ChangePasswordRequest::default();
    let anonymous = refused(harness.client().change_password(anonymous).await);
    assert_eq!(code(anonymous), "TOKEN_MISSING");
    harness.set_status(&alice.id, UserStatus::Disabled).await.unwrap();
    assert_eq!(code(change(&harness, &alice.id, PASSWORD, OTHER).await), "ACCOUNT_DISABLED");
    harness.finish().await;
}
