//! Reading accounts, and changing one's own profile.

use chassis::error::{Kind, RemoteError};
use chrono::TimeDelta;
use futures::future::join_all;
use proto::user::v1::{self as pb, UserStatus};
use serde_json::json;
use tonic::Request;

use crate::harness::{Harness, code, fields, refused};

fn rename(name: &str, expected_version: Option<u64>) -> pb::UpdateProfileRequest {
    pb::UpdateProfileRequest { display_name: Some(name.to_owned()), locale: None, expected_version }
}

async fn update(
    harness: &Harness,
    id: &str,
    message: pb::UpdateProfileRequest,
) -> Result<pb::User, RemoteError> {
    let reply = harness.client().update_profile(harness.by(id, message)).await;
    Ok(refused(reply)?.user.unwrap())
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_customer_sees_their_own_account_and_an_administrator_all() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let bob = harness.register("bob@example.com").await;
    let of = |id: &str| pb::GetUserRequest { user_id: id.to_owned() };
    let own = harness.client().get_user(harness.by(&alice.id, of(&alice.id))).await;
    assert_eq!(refused(own).unwrap().user, Some(alice.clone()));
    assert_eq!(harness.get(&bob.id).await, bob);

    let unknown = chassis::id::new_id().to_string();
    for (request, expected) in [
        (harness.by(&alice.id, of(&bob.id)), "USER_NOT_FOUND"),
        (harness.by(&alice.id, of(&unknown)), "USER_NOT_FOUND"),
        (harness.by_admin(of(&unknown)), "USER_NOT_FOUND"),
        (harness.by_admin(of("17")), "ID_INVALID"),
        (Request::new(of(&alice.id)), "TOKEN_MISSING"),
    ] {
        assert_eq!(code(refused(harness.client().get_user(request).await)), expected);
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_change_raises_the_version_and_leaves_the_rest() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    harness.clock.advance(TimeDelta::seconds(90));
    let renamed = update(&harness, &alice.id, rename("Al", Some(1))).await.unwrap();
    assert_eq!((renamed.display_name.as_str(), renamed.version), ("Al", 2));
    assert_eq!((&renamed.email, &renamed.locale), (&alice.email, &alice.locale));
    assert_eq!(renamed.created_at, alice.created_at);
    let later = renamed.updated_at.unwrap().seconds - alice.updated_at.unwrap().seconds;
    assert_eq!(later, 90);
    assert_eq!(harness.get(&alice.id).await, renamed);
    assert_eq!(harness.access(&alice.id).await.unwrap().session_epoch, 1, "sessions go on");

    let locale =
        pb::UpdateProfileRequest { locale: Some("zh-CN".to_owned()), ..Default::default() };
    let moved = update(&harness, &alice.id, locale).await.unwrap();
    assert_eq!((moved.locale.as_str(), moved.display_name.as_str()), ("zh-CN", "Al"));
    assert_eq!(moved.version, 3);
    assert_eq!(update(&harness, &alice.id, rename("Al", Some(3))).await.unwrap(), moved);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_change_is_told_once_with_the_language_and_without_the_name() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let locale =
        pb::UpdateProfileRequest { locale: Some("zh-CN".to_owned()), ..rename("Al", None) };
    for _ in 0..2 {
        update(&harness, &alice.id, locale.clone()).await.unwrap();
    }
    update(&harness, &alice.id, rename("Ali", Some(1))).await.unwrap_err();
    let events = harness.events().await;
    let about: Vec<_> = events.iter().filter(|event| event["subject"] == alice.id).collect();
    let ids: Vec<_> = about.iter().map(|event| event["id"].as_str().unwrap()).collect();
    let updated = format!("user.profile_updated:{}:2", alice.id);
    assert_eq!(ids, [format!("user.registered:{}:1", alice.id), updated]);
    let data = json!({ "user_id": alice.id, "version": 2, "locale": "zh-CN" });
    assert_eq!(about[1]["data"], data);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_change_meant_for_another_version_is_refused() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let current = update(&harness, &alice.id, rename("Al", Some(1))).await.unwrap();
    for version in [0, 1, 3, u64::MAX] {
        let refusal = update(&harness, &alice.id, rename("Ali", Some(version))).await.unwrap_err();
        assert_eq!(
            (refusal.reason.as_str(), refusal.kind),
            ("VERSION_MISMATCH", Kind::PreconditionFailed)
        );
    }
    // Whoever is refused for the version reads again, so that what else is wrong goes first.
    let locale = Some("tlh".to_owned());
    let spoilt = pb::UpdateProfileRequest { locale, ..rename("Ali", Some(1)) };
    let refusal = update(&harness, &alice.id, spoilt).await.unwrap_err();
    assert_eq!((refusal.reason.as_str(), fields(&refusal)), ("VALIDATION_FAILED", vec!["locale"]));
    assert_eq!(harness.get(&alice.id).await, current);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn of_sixteen_changes_of_one_version_one_is_done() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let calls =
        (0..16).map(|n| update(&harness, &alice.id, rename(&format!("Alice {n}"), Some(1))));
    let (done, refused): (Vec<_>, Vec<_>) =
        join_all(calls).await.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (1, 15));
    assert!(refused.into_iter().all(|refusal| code(refusal) == "VERSION_MISMATCH"));
    assert_eq!(Ok(harness.get(&alice.id).await), done.into_iter().next().unwrap());
    assert_eq!(harness.events_of(&alice.id).await.len(), 2, "a refused change is not told");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn changes_at_once_that_expect_no_version_are_all_done() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let calls = (0..5).map(|n| update(&harness, &alice.id, rename(&format!("Alice {n}"), None)));
    let mut versions: Vec<_> =
        join_all(calls).await.into_iter().map(|user| user.unwrap().version).collect();
    versions.sort_unstable();
    assert_eq!(versions, [2, 3, 4, 5, 6]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn odd_changes_and_those_of_disabled_accounts_are_refused() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let odd = pb::UpdateProfileRequest { locale: Some("fr".to_owned()), ..rename(" Alice", None) };
    let refusal = update(&harness, &alice.id, odd).await.unwrap_err();
    assert_eq!(refusal.reason, "VALIDATION_FAILED");
    assert_eq!(fields(&refusal), ["display_name", "locale"]);

    let nobody = chassis::id::new_id().to_string();
    assert_eq!(code(update(&harness, &nobody, rename("Al", None)).await), "USER_NOT_FOUND");
    let anonymous = harness.client().update_profile(rename("Al", None)).await;
    assert_eq!(code(refused(anonymous)), "TOKEN_MISSING");

    harness.set_status(&alice.id, UserStatus::Disabled).await.unwrap();
    let refusal = update(&harness, &alice.id, rename("Al", None)).await.unwrap_err();
    assert_eq!(
        (refusal.reason.as_str(), refusal.kind),
        ("ACCOUNT_DISABLED", Kind::Unauthenticated)
    );
    assert_eq!(harness.get(&alice.id).await.display_name, alice.display_name);
    harness.finish().await;
}
