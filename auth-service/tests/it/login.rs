//! Logging in.

use std::time::Duration;

use auth_service::token::RefreshSecret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::auth::AuthError;
use chassis::error::{ErrorCode, Kind, codes};
use chrono::TimeDelta;
use proto::auth::v1 as pb;
use serde_json::Value;
use tonic::Request;

use crate::accounts::Mood;
use crate::harness::{EMAIL, Harness, PASSWORD, refused};

/// One of the first two parts of a token.
fn part(token: &str, at: usize) -> Value {
    let part = URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap();
    serde_json::from_slice(&part).unwrap()
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_login_is_answered_with_a_token_that_everyone_believes() {
    let harness = Harness::start().await;
    let pair = harness.login().await;
    let caller = harness.instance.caller(&pair).await;
    assert_eq!((caller.user_id, caller.session_id.to_string()), (harness.alice, pair.session_id));
    assert_eq!((&caller.roles[..], pair.expires_in), (&["customer".to_owned()][..], 900));

    let (header, claims) = (part(&pair.access_token, 0), part(&pair.access_token, 1));
    assert_eq!((&header["alg"], &header["typ"]), (&"EdDSA".into(), &"at+jwt".into()));
    assert_eq!(header["kid"], harness.instance.jwks().await["keys"][0]["kid"]);
    assert_eq!(claims["iss"], harness.config.token.issuer);
    assert_eq!(claims["aud"], harness.config.token.audience);
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(life, 900);
    harness.clock.advance(TimeDelta::seconds(961));
    let late = harness.instance.verifier.verify(&pair.access_token).await;
    assert_eq!(late, Err(AuthError::Expired));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_login_is_told_and_its_client_kept() {
    let harness = Harness::start().await;
    let request = pb::LoginRequest {
        email: EMAIL.to_owned(),
        password: PASSWORD.to_owned(),
        user_agent: format!("浏览器\r\n {}", "👍".repeat(300)),
        client_address: "2001:DB8::1".to_owned(),
    };
    let reply = refused(harness.instance.client.clone().login(request).await).unwrap();
    let pair = reply.tokens.unwrap();
    let [event] = &harness.events().await[..] else { panic!("one event") };
    assert_eq!(event["id"], format!("auth.session_started:{}:1", pair.session_id));
    assert_eq!(event["data"]["user_id"], harness.alice.to_string());
    let agent = event["data"]["user_agent"].as_str().unwrap();
    assert!(agent.starts_with("浏览器 👍") && agent.len() <= 256, "{agent}");
    let (kept, address): (String, String) =
        sqlx::query_as("SELECT user_agent, client_address FROM sessions")
            .fetch_one(&harness.pool)
            .await
            .unwrap();
    assert_eq!((kept.as_str(), address.as_str()), (agent, "2001:db8::1"));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn the_schema_holds_no_token_that_could_be_presented() {
    let harness = Harness::start().await;
    let pair = harness.login().await;
    let digests: Vec<Vec<u8>> = sqlx::query_scalar("SELECT digest FROM refresh_tokens")
        .fetch_all(&harness.pool)
        .await
        .unwrap();
    let known = RefreshSecret::parse(&pair.refresh_token).unwrap().digest();
    assert_eq!(digests, [known.as_bytes().to_vec()]);
    let secret = URL_SAFE_NO_PAD.decode(&pair.refresh_token).unwrap();
    assert_eq!(secret.len(), 32);
    assert_ne!(digests, [secret]);
    let other = harness.login().await;
    assert_ne!((other.session_id, other.refresh_token), (pair.session_id, pair.refresh_token));
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn a_refused_login_passes_the_reason_on_and_leaves_nothing() {
    let harness = Harness::start().await;
    for (email, password) in [(EMAIL, "wrong"), ("bob@example.com", PASSWORD), ("", "")] {
        let refusal = harness.instance.login(email, password).await.unwrap_err();
        assert_eq!(
            (refusal.reason.as_str(), refusal.kind),
            ("CREDENTIALS_INVALID", Kind::Unauthenticated)
        );
    }
    harness.accounts.alter(harness.alice, |account| account.is_active = false);
    let refusal = harness.instance.login(EMAIL, PASSWORD).await.unwrap_err();
    assert_eq!(
        (refusal.reason.as_str(), refusal.kind),
        ("ACCOUNT_DISABLED", Kind::Unauthenticated)
    );
    assert_eq!(harness.count("SELECT COUNT(*) FROM sessions").await, 0);
    assert!(harness.events().await.is_empty());
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn trouble_at_user_service_is_told_apart_and_asked_about_once() {
    let harness = Harness::with(&[("UPSTREAM__TIMEOUT_MS", "1000")]).await;
    let (unavailable, hint) = (codes::SERVICE_UNAVAILABLE, Some(Duration::from_secs(2)));
    let odd = ErrorCode::new("SOMETHING_NEW", Kind::InvalidArgument);
    for (mood, expected, retry_after) in [
        (Mood::Failing(unavailable, hint), "SERVICE_UNAVAILABLE", hint),
        (Mood::Failing(unavailable, None), "SERVICE_UNAVAILABLE", None),
        (Mood::Failing(codes::INTERNAL, None), "INTERNAL", None),
        (Mood::Failing(odd, None), "INTERNAL", None),
        (Mood::Silent, "DEADLINE_EXCEEDED", None),
    ] {
        harness.accounts.set_mood(mood);
        harness.accounts.take_calls();
        let refusal = harness.instance.login(EMAIL, PASSWORD).await.unwrap_err();
        assert_eq!((refusal.reason.as_str(), refusal.retry_after), (expected, retry_after));
        assert_eq!(harness.accounts.take_calls(), 1, "a password is checked once: {mood:?}");
    }
    harness.accounts.set_mood(Mood::Well);
    harness.login().await;
    harness.finish().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn without_a_database_nobody_logs_in() {
    let harness = Harness::start().await;
    harness.pool.close().await;
    let refusal = harness.instance.login(EMAIL, PASSWORD).await.unwrap_err();
    assert_eq!((refusal.reason.as_str(), refusal.kind), ("SERVICE_UNAVAILABLE", Kind::Unavailable));
    harness.discard().await;
}

#[tokio::test]
#[ignore = "needs MySQL: cargo ehub test"]
async fn an_old_access_token_does_not_stand_in_the_way() {
    let harness = Harness::start().await;
    let pair = harness.login().await;
    harness.clock.advance(TimeDelta::hours(1));
    let bearer = |message| {
        let mut request = Request::new(message);
        let value = format!("Bearer {}", pair.access_token).parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        request
    };
    let refresh_token = pair.refresh_token.clone();
    let request = bearer(pb::RefreshRequest { refresh_token, ..pb::RefreshRequest::default() });
    harness.instance.client.clone().refresh(request).await.unwrap();
    harness.instance.logout(&pair.access_token).await.unwrap();
    assert_eq!(harness.count("SELECT COUNT(*) FROM sessions WHERE status = 'ACTIVE'").await, 0);
    harness.finish().await;
}
