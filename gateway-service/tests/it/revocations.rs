//! Tokens that are refused before their time, and what can still be done with them.

use chassis::auth::{AccountRule, Claims, FeedPage, Kept};
use chrono::TimeDelta;
use proto::auth::v1 as pb;

use crate::harness::{Ask, Gateway};
use crate::samples::CUSTOMER;

const PATH: &str = "/api/v1/users/me";
const LOGOUT: &str = "/api/v1/auth/logout";

fn claims(gateway: &Gateway) -> Claims {
    gateway.issuer.claims(CUSTOMER.parse().unwrap(), &["customer"])
}

fn rule(claims: &Claims, version: u64) -> AccountRule {
    AccountRule {
        user_id: claims.sub,
        version,
        is_disabled: false,
        sessions_from: 0,
        kept_session: None,
        roles_from: 0,
    }
}

fn tell(gateway: &Gateway, rule: AccountRule) {
    let accounts = vec![Kept { item: rule, keep_s: 900 }];
    gateway.revocations.apply(&FeedPage { accounts, ..FeedPage::default() });
}

fn end(gateway: &Gateway, claims: &Claims) {
    let sessions = vec![(claims.sid, 900)];
    gateway.revocations.apply(&FeedPage { sessions, ..FeedPage::default() });
}

#[tokio::test]
async fn a_token_of_an_ended_session_is_refused_though_it_was_good_a_moment_ago() {
    let gateway = Gateway::start().await;
    let claims = claims(&gateway);
    let token = gateway.issuer.sign(&claims);
    let other = gateway.customer();
    assert_eq!(gateway.ask(Ask::get(PATH).token(&token)).await.status, 200);
    end(&gateway, &claims);
    gateway.fleet.take_calls();
    assert_eq!(gateway.code(Ask::get(PATH).token(&token)).await, "TOKEN_REVOKED");
    assert!(!gateway.fleet.has_calls(), "nobody is asked");
    assert_eq!(gateway.ask(Ask::get(PATH).token(&other)).await.status, 200);
}

#[tokio::test]
async fn what_became_of_an_account_decides_about_its_tokens() {
    let gateway = Gateway::start().await;
    let claims = claims(&gateway);
    let token = gateway.issuer.sign(&claims);
    let code = async || gateway.code(Ask::get(PATH).token(&token)).await;
    tell(&gateway, AccountRule { roles_from: 2, ..rule(&claims, 2) });
    assert_eq!(code().await, "TOKEN_EXPIRED", "a refreshed one would be accepted");
    tell(&gateway, AccountRule { sessions_from: 3, ..rule(&claims, 3) });
    assert_eq!(code().await, "TOKEN_REVOKED");
    tell(&gateway, AccountRule { is_disabled: true, sessions_from: 4, ..rule(&claims, 4) });
    assert_eq!(code().await, "ACCOUNT_DISABLED");
    tell(&gateway, rule(&claims, 5));
    assert_eq!(gateway.ask(Ask::get(PATH).token(&token)).await.status, 200);
}

#[tokio::test]
async fn logging_out_needs_no_more_than_a_token_that_was_ours() {
    let gateway = Gateway::start().await;
    let claims = claims(&gateway);
    let token = gateway.issuer.sign(&claims);
    end(&gateway, &claims);
    assert_eq!(gateway.ask(Ask::post(LOGOUT).token(&token)).await.status, 204);
    gateway.clock.advance(TimeDelta::days(1));
    assert_eq!(gateway.ask(Ask::post(LOGOUT).token(&token)).await.status, 204);
    let call = gateway.fleet.take_calls().pop().unwrap();
    assert_eq!(call.metadata("authorization"), Some(format!("Bearer {token}").as_str()));
    let (message, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{message}.{}", "A".repeat(86));
    assert_eq!(gateway.code(Ask::post(LOGOUT).token(&forged)).await, "TOKEN_INVALID");
    assert_eq!(gateway.code(Ask::post(LOGOUT)).await, "TOKEN_MISSING");
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn the_access_token_beside_a_refresh_token_travels_with_it() {
    let gateway = Gateway::start().await;
    let ask = || Ask::post("/api/v1/auth/refresh").json(r#"{"refresh_token":"r"}"#);
    for (ask, expected) in [
        (ask(), ""),
        (ask().token("whatever it is"), "whatever it is"),
        (ask().header("authorization", "Basic dTpw"), ""),
    ] {
        assert_eq!(gateway.ask(ask).await.status, 200);
        let message: pb::RefreshRequest = gateway.fleet.take_call().decode();
        assert_eq!((&*message.refresh_token, &*message.access_token), ("r", expected));
    }
}
