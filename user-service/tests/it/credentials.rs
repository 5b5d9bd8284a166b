//! What auth-service asks: whose credentials these are, and what an account may do.

use chassis::error::Kind;
use proto::user::v1::UserStatus;

use crate::harness::{ADMIN, Harness, PASSWORD, code};

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_right_credentials_name_their_account() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let identity = harness.identify("ALICE@example.com", PASSWORD).await.unwrap();
    assert_eq!((&identity.user_id, identity.session_epoch), (&alice.id, 1));
    assert_eq!(identity.roles, ["customer"]);
    assert_eq!(harness.identify(ADMIN, PASSWORD).await.unwrap().roles, ["admin", "customer"]);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_unknown_address_and_a_wrong_password_are_answered_alike() {
    let harness = Harness::start().await;
    harness.register("alice@example.com").await;
    let mut answers = Vec::new();
    for (email, password) in [
        ("alice@example.com", "wrong password"),
        ("alice@example.com", &*PASSWORD.to_uppercase()),
        ("alice@example.com", ""),
        ("alice@example.com", &*"x".repeat(4096)),
        ("bob@example.com", PASSWORD),
        ("no address at all", PASSWORD),
        ("", ""),
        ("alice@example.com' OR '1'='1", PASSWORD),
        (&*"a".repeat(100_000), PASSWORD),
    ] {
        answers.push(harness.identify(email, password).await.unwrap_err());
    }
    let first = &answers[0];
    assert_eq!((first.reason.as_str(), first.kind), ("CREDENTIALS_INVALID", Kind::Unauthenticated));
    assert!(answers.iter().all(|answer| answer == first), "{answers:?}");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn only_the_right_password_learns_that_an_account_is_disabled() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    harness.set_status(&alice.id, UserStatus::Disabled).await.unwrap();
    assert_eq!(code(harness.identify(&alice.email, PASSWORD).await), "ACCOUNT_DISABLED");
    assert_eq!(code(harness.identify(&alice.email, "wrong one").await), "CREDENTIALS_INVALID");
    harness.set_status(&alice.id, UserStatus::Active).await.unwrap();
    assert_eq!(harness.identify(&alice.email, PASSWORD).await.unwrap().session_epoch, 2);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_an_account_may_do_is_answered_as_it_is_now() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let access = harness.access(&alice.id).await.unwrap();
    assert_eq!((access.status(), access.session_epoch), (UserStatus::Active, 1));
    harness.set_roles(&alice.id, &["admin"]).await.unwrap();
    harness.set_status(&alice.id, UserStatus::Disabled).await.unwrap();
    let access = harness.access(&alice.id).await.unwrap();
    assert_eq!((access.status(), access.session_epoch), (UserStatus::Disabled, 2));
    assert_eq!(access.roles, ["admin"]);
    let unknown = chassis::id::new_id().to_string();
    assert_eq!(code(harness.access(&unknown).await), "USER_NOT_FOUND");
    assert_eq!(code(harness.access("me").await), "ID_INVALID");
    harness.finish().await;
}
