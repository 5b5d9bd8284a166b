//! Registering accounts.

use chassis::error::Kind;
use futures::future::join_all;
use proto::user::v1::{self as pb, UserStatus};
use tonic::Request;

use crate::harness::{Harness, PASSWORD, fields, registration};

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_registered_account_is_an_active_customer_and_is_told() {
    let harness = Harness::start().await;
    let request = pb::RegisterRequest {
        display_name: "爱丽丝 Zoe\u{308}".to_owned(),
        locale: Some("zh-CN".to_owned()),
        ..registration("Alice@Example.com")
    };
    let user = harness.try_register(request).await.unwrap();
    assert_eq!(
        (user.email.as_str(), user.display_name.as_str()),
        ("Alice@Example.com", "爱丽丝 Zoë")
    );
    assert_eq!(
        (user.status(), &user.roles[..]),
        (UserStatus::Active, &["customer".to_owned()][..])
    );
    assert_eq!((user.locale.as_str(), user.version), ("zh-CN", 1));
    assert_eq!(user.created_at, user.updated_at);
    assert_eq!(harness.get(&user.id).await, user);

    let events = harness.events().await;
    let told = events.iter().find(|event| event["subject"] == user.id).unwrap();
    assert_eq!(told["id"], format!("user.registered:{}:1", user.id));
    assert_eq!(told["data"]["display_name"], "爱丽丝 Zoë");
    assert_eq!(told["data"]["locale"], "zh-CN");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn every_field_at_fault_is_named_and_nothing_is_kept() {
    let harness = Harness::start().await;
    let odd = pb::RegisterRequest {
        email: "alice@localhost".to_owned(),
        password: "seven77".to_owned(),
        display_name: "Al\u{202E}ice".to_owned(),
        locale: Some("de".to_owned()),
    };
    let refusal = harness.try_register(odd).await.unwrap_err();
    assert_eq!(
        (refusal.reason.as_str(), refusal.kind),
        ("VALIDATION_FAILED", Kind::InvalidArgument)
    );
    assert_eq!(fields(&refusal), ["email", "password", "display_name", "locale"]);
    let described = |text: &str| !text.is_empty() && !text.contains("seven77");
    assert!(refusal.violations.iter().all(|found| described(&found.description)));

    let good = registration("alice@example.com");
    for (field, odd) in [
        (
            "email",
            pb::RegisterRequest {
                email: format!("{}@example.com", "a".repeat(65)),
                ..good.clone()
            },
        ),
        ("email", pb::RegisterRequest { email: "alice@example.com\n".to_owned(), ..good.clone() }),
        ("email", pb::RegisterRequest { email: "аlice@example.com".to_owned(), ..good.clone() }),
        ("password", pb::RegisterRequest { password: "x".repeat(129), ..good.clone() }),
        ("display_name", pb::RegisterRequest { display_name: "名".repeat(65), ..good.clone() }),
    ] {
        assert_eq!(fields(&harness.try_register(odd).await.unwrap_err()), [field]);
    }
    assert_eq!(harness.count("SELECT COUNT(*) FROM users").await, 1, "the administrator alone");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_guessable_password_is_refused_by_its_own_code() {
    let harness = Harness::start().await;
    for password in ["Password123", "ALICE@example.com", "alice liddell"] {
        let request = pb::RegisterRequest {
            password: password.to_owned(),
            ..registration("alice@example.com")
        };
        let refusal = harness.try_register(request).await.unwrap_err();
        assert_eq!(
            (refusal.reason.as_str(), refusal.kind),
            ("PASSWORD_WEAK", Kind::InvalidArgument)
        );
        assert_eq!(fields(&refusal), ["password"]);
    }
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn another_spelling_of_an_address_is_the_same_address() {
    let harness = Harness::start().await;
    let user = harness.register("Éva+shop@Example.com").await;
    for spelling in
        ["éva+shop@example.com", "E\u{301}VA+SHOP@EXAMPLE.COM", "Éva+ｓｈｏｐ@example.com"]
    {
        let refusal = harness.try_register(registration(spelling)).await.unwrap_err();
        assert_eq!(
            (refusal.reason.as_str(), refusal.kind),
            ("ACCOUNT_EXISTS", Kind::AlreadyExists)
        );
        assert_eq!(harness.identify(spelling, PASSWORD).await.unwrap().user_id, user.id);
    }
    harness.register("eva+shop@example.com").await;
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn of_sixteen_registrations_at_once_one_wins() {
    let harness = Harness::start().await;
    harness.events().await;
    let spellings = ["alice@example.com", "ALICE@example.com", "Alice@EXAMPLE.com"];
    let calls = (0..16).map(|n| harness.try_register(registration(spellings[n % 3])));
    let (won, lost): (Vec<_>, Vec<_>) = join_all(calls).await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 15));
    assert!(lost.into_iter().all(|refusal| refusal.unwrap_err().reason == "ACCOUNT_EXISTS"));
    let winner = won.into_iter().next().unwrap().unwrap();
    assert_eq!(harness.count("SELECT COUNT(*) FROM users").await, 2);
    assert_eq!(harness.events().await.len(), 2, "the account, and the proof of its address");
    assert_eq!(harness.get(&winner.id).await, winner);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn whoever_registers_needs_no_token_not_even_a_good_one() {
    let harness = Harness::start().await;
    let mut request = Request::new(registration("alice@example.com"));
    request.metadata_mut().insert("authorization", "Bearer an.old.token".parse().unwrap());
    harness.client().register(request).await.unwrap();
    harness.finish().await;
}
