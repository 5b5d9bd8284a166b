//! One-time tokens: proving an address, and putting another password in force.

use chassis::config::Secret;
use chassis::error::{Kind, RemoteError};
use chassis::opaque::OpaqueToken;
use chassis::sealing::{Sealer, Use};
use chrono::TimeDelta;
use futures::future::join_all;
use proto::user::v1::{self as pb, UserStatus};
use serde_json::Value;
use tonic::Request;

use crate::harness::{Harness, MAIL_KEY, PASSWORD, code, fields, refused};

const OTHER: &str = "another good one";
const VERIFICATION: &str = "user.verification_requested";
const RECOVERY: &str = "user.recovery_requested";

/// What somebody receives by mail.
struct Mailed {
    event: String,
    address: String,
    token: String,
}

/// Opens what was told since the last look, as notify-service does.
async fn mailed(harness: &Harness) -> Vec<Mailed> {
    let (salt, purpose) = proto::events::SEALED;
    let sealer = Sealer::new(&Secret::new(MAIL_KEY), Use { salt, purpose }).unwrap();
    let events = harness.events().await;
    let links = events.iter().filter(|event| event["data"]["sealed"].is_string());
    links.map(|event| open(&sealer, event)).collect()
}

fn open(sealer: &Sealer, event: &Value) -> Mailed {
    use base64::Engine as _;
    let id = event["id"].as_str().unwrap();
    let sealed = event["data"]["sealed"].as_str().unwrap();
    let sealed = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(sealed).unwrap();
    let told: Value = serde_json::from_slice(&sealer.open(id, &sealed).unwrap()).unwrap();
    Mailed {
        event: id.split(':').next().unwrap().to_owned(),
        address: told["address"].as_str().unwrap().to_owned(),
        token: told["token"].as_str().unwrap().to_owned(),
    }
}

async fn verify(harness: &Harness, token: &str) -> Result<(), RemoteError> {
    let request = pb::VerifyEmailRequest { token: token.to_owned() };
    refused(harness.client().verify_email(request).await).map(|_| ())
}

async fn ask_for_proof(harness: &Harness, id: &str) -> Result<(), RemoteError> {
    let request = harness.by(id, pb::RequestEmailVerificationRequest {});
    refused(harness.client().request_email_verification(request).await).map(|_| ())
}

async fn ask_for_recovery(harness: &Harness, email: &str) -> Result<(), RemoteError> {
    let request = pb::RequestPasswordRecoveryRequest { email: email.to_owned() };
    refused(harness.client().request_password_recovery(request).await).map(|_| ())
}

async fn recover(harness: &Harness, token: &str, new: &str) -> Result<(), RemoteError> {
    let (token, new_password) = (token.to_owned(), new.to_owned());
    let request = pb::RecoverPasswordRequest { token, new_password };
    refused(harness.client().recover_password(request).await).map(|_| ())
}

/// Asks for another password and has the request answered.
async fn lost_password(harness: &Harness, email: &str) -> Mailed {
    harness.events().await;
    ask_for_recovery(harness, email).await.unwrap();
    harness.answer_recovery_requests().await;
    mailed(harness).await.pop().unwrap()
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_registration_is_sent_a_token_that_proves_the_address_once() {
    let harness = Harness::start().await;
    harness.events().await;
    let alice = harness.register("Alice@Example.com").await;
    assert_eq!(alice.email_verified_at, None);
    let sent = mailed(&harness).await.pop().unwrap();
    assert_eq!((sent.event.as_str(), sent.address.as_str()), (VERIFICATION, "Alice@example.com"));
    verify(&harness, &sent.token).await.unwrap();
    let verified = harness.get(&alice.id).await;
    assert!(verified.email_verified_at.is_some());
    assert_eq!(verified.version, 2);
    let refusal = verify(&harness, &sent.token).await.unwrap_err();
    assert_eq!(
        (refusal.reason.as_str(), refusal.kind),
        ("USER_TOKEN_INVALID", Kind::InvalidArgument)
    );
    ask_for_proof(&harness, &alice.id).await.unwrap();
    assert!(mailed(&harness).await.is_empty(), "there is nothing left to prove");
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn what_is_stored_is_no_token() {
    let harness = Harness::start().await;
    harness.events().await;
    harness.register("alice@example.com").await;
    let sent = mailed(&harness).await.pop().unwrap();
    let like = format!("%{}%", sent.token);
    let found: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM one_time_tokens WHERE HEX(digest) LIKE ? OR digest LIKE ?",
    )
    .bind(&like)
    .bind(&like)
    .fetch_one(&harness.pool)
    .await
    .unwrap();
    assert_eq!(found, 0);
    let digest = OpaqueToken::parse(&sent.token).unwrap().digest();
    let known: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM one_time_tokens WHERE digest = ?")
        .bind(digest.as_slice())
        .fetch_one(&harness.pool)
        .await
        .unwrap();
    assert_eq!(known, 1);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_lost_password_is_replaced_and_every_session_ends() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let sent = lost_password(&harness, "ALICE@example.com").await;
    assert_eq!((sent.event.as_str(), sent.address.as_str()), (RECOVERY, "alice@example.com"));
    recover(&harness, &sent.token, OTHER).await.unwrap();
    assert_eq!(code(harness.identify(&alice.email, PASSWORD).await), "CREDENTIALS_INVALID");
    assert_eq!(harness.identify(&alice.email, OTHER).await.unwrap().session_epoch, 2);
    let access = harness.access(&alice.id).await.unwrap();
    assert_eq!((access.session_epoch, access.kept_session_id.as_str()), (2, ""));
    assert!(harness.get(&alice.id).await.email_verified_at.is_some());
    assert_eq!(
        harness.events_of(&alice.id).await,
        [format!("user.password_changed:{}:2", alice.id)]
    );
    assert_eq!(
        code(recover(&harness, &sent.token, "a third good one").await),
        "USER_TOKEN_INVALID"
    );
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn of_uses_at_once_one_is_done() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let sent = lost_password(&harness, "alice@example.com").await;
    let wanted: Vec<_> = (0..5).map(|n| format!("a good password {n}")).collect();
    let answers = join_all(wanted.iter().map(|new| recover(&harness, &sent.token, new))).await;
    let winner = answers.iter().position(Result::is_ok).unwrap();
    let refusals: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert_eq!(refusals.len(), 4);
    assert!(refusals.iter().all(|refusal| refusal.reason == "USER_TOKEN_INVALID"), "{refusals:?}");
    let identity = harness.identify(&alice.email, &wanted[winner]).await.unwrap();
    assert_eq!(identity.session_epoch, 2);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_token_is_good_for_its_purpose_and_its_time() {
    let harness = Harness::start().await;
    harness.events().await;
    let alice = harness.register("alice@example.com").await;
    let proof = mailed(&harness).await.pop().unwrap();
    let link = lost_password(&harness, "alice@example.com").await;
    let other = OpaqueToken::generate().unwrap();
    for wrong in [&proof.token, other.expose(), "", "x", &"é".repeat(21)] {
        assert_eq!(code(recover(&harness, wrong, OTHER).await), "USER_TOKEN_INVALID");
    }
    for wrong in [&link.token, other.expose(), "", "x", &"A".repeat(100_000)] {
        assert_eq!(code(verify(&harness, wrong).await), "USER_TOKEN_INVALID");
    }
    harness.clock.advance(TimeDelta::minutes(30));
    assert_eq!(code(recover(&harness, &link.token, OTHER).await), "USER_TOKEN_INVALID");
    harness.clock.advance(TimeDelta::hours(24) - TimeDelta::minutes(30));
    assert_eq!(code(verify(&harness, &proof.token).await), "USER_TOKEN_INVALID");
    assert_eq!(harness.get(&alice.id).await, alice);
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_recovered_password_has_to_be_a_good_one_and_the_token_outlives_a_bad_one() {
    let harness = Harness::start().await;
    harness.register("alice@example.com").await;
    let sent = lost_password(&harness, "alice@example.com").await;
    for (bad, expected) in [
        ("short", "VALIDATION_FAILED"),
        (&*"x".repeat(129), "VALIDATION_FAILED"),
        ("password1", "PASSWORD_WEAK"),
        ("Alice@example.com", "PASSWORD_WEAK"),
    ] {
        let refusal = recover(&harness, &sent.token, bad).await.unwrap_err();
        assert_eq!((refusal.reason.as_str(), fields(&refusal)), (expected, vec!["new_password"]));
    }
    recover(&harness, &sent.token, OTHER).await.unwrap();
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn nobody_learns_whether_an_address_has_an_account() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    let disabled = harness.register("disabled@example.com").await;
    harness.set_status(&disabled.id, UserStatus::Disabled).await.unwrap();
    harness.events().await;
    for unknown in ["bob@example.com", "disabled@example.com", "no address", ""] {
        ask_for_recovery(&harness, unknown).await.unwrap();
    }
    ask_for_recovery(&harness, &alice.email).await.unwrap();
    assert_eq!(harness.count("SELECT COUNT(*) FROM recovery_requests").await, 5);
    harness.answer_recovery_requests().await;
    let sent = mailed(&harness).await;
    assert_eq!(sent.iter().map(|one| one.address.as_str()).collect::<Vec<_>>(), [&alice.email]);
    assert_eq!(harness.count("SELECT COUNT(*) FROM recovery_requests").await, 0);
    let long = ask_for_recovery(&harness, &"x".repeat(255)).await.unwrap_err();
    assert_eq!((long.reason.as_str(), fields(&long)), ("VALIDATION_FAILED", vec!["email"]));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn mail_is_asked_for_so_often() {
    let harness = Harness::start().await;
    let alice = harness.register("alice@example.com").await;
    for _ in 0..3 {
        ask_for_proof(&harness, &alice.id).await.unwrap();
        for address in ["alice@example.com", "nobody@example.com"] {
            ask_for_recovery(&harness, address).await.unwrap();
        }
    }
    let refusals = [
        ask_for_proof(&harness, &alice.id).await,
        ask_for_recovery(&harness, "alice@example.com").await,
        ask_for_recovery(&harness, "nobody@example.com").await,
    ];
    for refusal in refusals.map(Result::unwrap_err) {
        assert_eq!((refusal.reason.as_str(), refusal.kind), ("MAIL_THROTTLED", Kind::RateLimited));
        assert!(refusal.retry_after.is_some());
    }
    let anonymous = Request::new(pb::RequestEmailVerificationRequest {});
    let anonymous = refused(harness.client().request_email_verification(anonymous).await);
    assert_eq!(code(anonymous), "TOKEN_MISSING");
    harness.finish().await;
}
