//! Quotas that one gateway counts: how many requests, whose, and what the answers tell.

use chassis::auth::FeedPage;
use chassis::error::{ErrorCode, Kind};
use chrono::TimeDelta;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::fleet::Answer;
use crate::harness::{Ask, Gateway, login};
use crate::replies::Reply;
use crate::samples::CUSTOMER;

/// What payment-service says to a callback that it did not believe.
const FORGED: ErrorCode = ErrorCode::new("SIGNATURE_INVALID", Kind::Unauthenticated);

/// Few requests, and a window in which nothing comes back while a test runs.
async fn strict(more: &[(&str, &str)]) -> Gateway {
    let settings = [
        ("RATE_LIMITS__LOGIN__REQUESTS", "5"),
        ("RATE_LIMITS__LOGIN__WINDOW_S", "36000"),
        ("RATE_LIMITS__DEFAULT__REQUESTS", "5"),
        ("RATE_LIMITS__DEFAULT__WINDOW_S", "36000"),
        ("RATE_LIMITS__PAYMENT__REQUESTS", "2"),
        ("RATE_LIMITS__PAYMENT__WINDOW_S", "36000"),
    ];
    Gateway::with(&[&settings, more].concat()).await
}

/// How many of `asks` are let through before the first refusal, which is returned too.
async fn spend(gateway: &Gateway, ask: impl Fn() -> Ask) -> (usize, Reply) {
    for served in 0..100 {
        let reply = gateway.ask(ask()).await;
        if reply.status == 429 {
            return (served, reply);
        }
    }
    panic!("the quota has no end");
}

#[tokio::test]
async fn the_quota_of_logins_is_exact_and_told() {
    let gateway = strict(&[]).await;
    for left in (0..5).rev() {
        let reply = gateway.ask(login()).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("ratelimit-policy"), Some("\"login\";q=5;w=36000"));
        let told = reply.header("ratelimit").unwrap();
        assert!(told.starts_with(&format!("\"login\";r={left};t=")), "{told}");
    }
    for _ in 0..3 {
        let reply = gateway.ask(login()).await;
        assert_eq!(reply.code(), "RATE_LIMITED");
        assert_eq!(reply.header("ratelimit-policy"), Some("\"login\";q=5;w=36000"));
        assert!(reply.header("ratelimit").unwrap().starts_with("\"login\";r=0;t="));
        let pause: u32 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((36_000..=37_800).contains(&pause), "a window and a span at most: {pause}");
    }
    assert_eq!(gateway.fleet.take_calls().len(), 5);
}

#[tokio::test]
async fn requests_at_once_do_not_exceed_the_quota() {
    let gateway = strict(&[]).await;
    let mut asking = JoinSet::new();
    for _ in 0..50 {
        let body = r#"{"email":"a","password":"b"}"#;
        let request = http::Request::post("/api/v1/auth/login")
            .header("host", "gateway.test")
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body))
            .unwrap();
        asking.spawn(gateway.router.clone().oneshot(request));
    }
    let answers = asking.join_all().await;
    let served = answers.iter().filter(|answer| answer.as_ref().unwrap().status() == 200).count();
    assert_eq!((served, gateway.fleet.take_calls().len()), (5, 5));
}

#[tokio::test]
async fn an_address_has_a_budget_for_all_that_comes_from_it() {
    let gateway = strict(&[
        ("RATE_LIMITS__ADDRESS__REQUESTS", "7"),
        ("RATE_LIMITS__ADDRESS__WINDOW_S", "36000"),
    ])
    .await;
    let (one, other) = (gateway.customer(), gateway.admin());
    let read = |token: &str, peer: &str| Ask::get("/api/v1/users/me").token(token).from(peer);
    for _ in 0..4 {
        assert_eq!(gateway.ask(read(&one, "192.0.2.1")).await.status, 200);
    }
    let (served, refused) = spend(&gateway, || read(&other, "192.0.2.1")).await;
    assert_eq!((served, refused.code().as_str()), (3, "RATE_LIMITED"));
    assert_eq!(refused.header("ratelimit-policy"), Some("\"address\";q=7;w=36000"));
    assert!(refused.header("ratelimit").unwrap().starts_with("\"address\";r=0;t="));
    assert_eq!(gateway.ask(read(&one, "192.0.2.2")).await.status, 200, "the user's is not used up");
}

#[tokio::test]
async fn each_class_has_a_budget_of_its_own() {
    let gateway = strict(&[]).await;
    let token = gateway.customer();
    let order = || {
        let body = r#"{"items":[{"sku":"A","quantity":1}],"payment_method":"pm_ok"}"#;
        Ask::post("/api/v1/orders").header("idempotency-key", "k").json(body).token(&token)
    };
    let password = || {
        let body = r#"{"current_password":"a","new_password":"b"}"#;
        Ask::new("PUT", "/api/v1/users/me/password").json(body).token(&token)
    };
    let read = || Ask::get("/api/v1/users/me").token(&token);
    assert_eq!(spend(&gateway, order).await.0, 2);
    assert_eq!(spend(&gateway, password).await.0, 5);
    assert_eq!(spend(&gateway, read).await.0, 5);
}

#[tokio::test]
async fn the_documentation_has_one_too() {
    let gateway =
        strict(&[("RATE_LIMITS__DOCS__REQUESTS", "5"), ("RATE_LIMITS__DOCS__WINDOW_S", "36000")])
            .await;
    for path in ["/docs", "/docs/", "/openapi.json", "/docs/errors", "/docs/errors/INTERNAL"] {
        let reply = gateway.ask(Ask::get(path)).await;
        assert!(reply.status < 400, "{path}");
        assert_eq!(reply.header("ratelimit-policy"), Some("\"docs\";q=5;w=36000"), "{path}");
    }
    let file = || Ask::get("/docs/swagger-ui-bundle.js");
    assert_eq!(gateway.code(file()).await, "RATE_LIMITED");
    assert_eq!(gateway.ask(file().from("192.0.2.1")).await.status, 200, "of each address");
    assert_eq!(gateway.ask(Ask::get("/api/v1/products")).await.status, 200);
}

#[tokio::test]
async fn callbacks_have_a_budget_of_each_address_and_spend_nobody_elses() {
    let gateway = strict(&[
        ("RATE_LIMITS__CALLBACK__REQUESTS", "3"),
        ("RATE_LIMITS__CALLBACK__WINDOW_S", "36000"),
    ])
    .await;
    gateway.fleet.script("HandleCallback", [Answer::code(FORGED)]);
    let forged = || Ask::post("/api/v1/payments/callback").json("{}").from("192.0.2.1");
    let (asked, refused) = spend(&gateway, forged).await;
    assert_eq!(asked, 3);
    assert_eq!(refused.header("ratelimit-policy"), Some("\"callback\";q=3;w=36000"));
    assert!(refused.header("retry-after").is_some(), "a provider comes again");
    assert_eq!(gateway.fleet.take_calls().len(), 3, "more cost payment-service nothing");
    let neighbour = Ask::get("/api/v1/products").from("192.0.2.1");
    assert_eq!(gateway.ask(neighbour).await.status, 200, "who shares the address is not refused");
    gateway.fleet.script("HandleCallback", [Answer::Usual]);
    assert_eq!(gateway.ask(forged().from("192.0.2.2")).await.status, 200, "nor is the provider");
}

#[tokio::test]
async fn a_user_has_one_budget_wherever_it_comes_from() {
    let gateway = strict(&[]).await;
    let (one, other) = (gateway.customer(), gateway.admin());
    let read = |token: &str, peer: &str| Ask::get("/api/v1/users/me").token(token).from(peer);
    for last in 1..=5 {
        let reply = gateway.ask(read(&one, &format!("192.0.2.{last}"))).await;
        assert_eq!(reply.status, 200);
    }
    assert_eq!(gateway.code(read(&one, "192.0.2.6")).await, "RATE_LIMITED");
    let fresh = gateway.customer();
    assert_eq!(gateway.code(read(&fresh, "192.0.2.7")).await, "RATE_LIMITED", "a new token");
    assert_eq!(spend(&gateway, || read(&other, "192.0.2.6")).await.0, 5, "another user");
    assert_eq!(spend(&gateway, || Ask::get("/api/v1/products").from("192.0.2.6")).await.0, 5);
}

#[tokio::test]
async fn whoever_is_not_known_is_counted_by_address() {
    let gateway = strict(&[]).await;
    let from = |peer: &'static str| move || login().from(peer);
    assert_eq!(spend(&gateway, from("192.0.2.1")).await.0, 5);
    assert_eq!(spend(&gateway, from("192.0.2.2")).await.0, 5);
    assert_eq!(spend(&gateway, from("2001:db8::1")).await.0, 5);
    assert_eq!(spend(&gateway, from("2001:db8::2")).await.0, 0, "the same subscriber");
    assert_eq!(spend(&gateway, from("2001:db8:0:1::1")).await.0, 5);
}

#[tokio::test]
async fn guessing_tokens_uses_the_budget_up() {
    let gateway = strict(&[]).await;
    for guess in 0..5 {
        let ask = Ask::get("/api/v1/users/me").token(&format!("guess-{guess}"));
        assert_eq!(gateway.code(ask).await, "TOKEN_INVALID");
    }
    let guess = Ask::get("/api/v1/users/me").token("guess-6");
    assert_eq!(gateway.code(guess).await, "RATE_LIMITED");
    let good = Ask::get("/api/v1/users/me").token(&gateway.customer());
    assert_eq!(gateway.ask(good).await.status, 200, "the real user is not locked out");
}

/// An old token proves that somebody found one, and no more.
#[tokio::test]
async fn tokens_that_are_over_or_revoked_are_counted_by_address() {
    let gateway = strict(&[]).await;
    let claims = gateway.issuer.claims(CUSTOMER.parse().unwrap(), &["customer"]);
    let revoked = gateway.issuer.sign(&claims);
    let sessions = vec![(claims.sid, 172_800)];
    gateway.revocations.apply(&FeedPage { sessions, ..FeedPage::default() });
    let old = gateway.customer();
    let logout = |token: &str, peer: &str| Ask::post("/api/v1/auth/logout").token(token).from(peer);
    assert_eq!(spend(&gateway, || logout(&revoked, "192.0.2.1")).await.0, 5);
    gateway.clock.advance(TimeDelta::days(1));
    assert_eq!(spend(&gateway, || logout(&old, "192.0.2.1")).await.0, 0);
    assert_eq!(spend(&gateway, || logout(&old, "192.0.2.2")).await.0, 5);
    let good = gateway.customer();
    let read = || Ask::get("/api/v1/users/me").token(&good).from("192.0.2.1");
    assert_eq!(gateway.ask(read()).await.status, 200, "the owner is not locked out");
    assert_eq!(gateway.ask(logout(&good, "192.0.2.1")).await.status, 204);
    assert_eq!(spend(&gateway, read).await.0, 3, "a good token spends what is its owner's");
}

#[tokio::test]
async fn a_client_cannot_invent_addresses_to_get_more() {
    let gateway = strict(&[]).await;
    let counter = std::cell::Cell::new(0);
    let spoof = || {
        counter.set(counter.get() + 1);
        let invented = format!("198.51.100.{}", counter.get());
        login()
            .from("192.0.2.1")
            .header("x-forwarded-for", &invented)
            .header("forwarded", format!("for={invented}"))
            .header("x-real-ip", &invented)
    };
    assert_eq!(spend(&gateway, spoof).await.0, 5);
    let gateway = strict(&[("TRUSTED_PROXIES", "192.0.2.0/24")]).await;
    let behind = |client: &'static str| {
        move || login().from("192.0.2.1").header("x-forwarded-for", format!("6.6.6.6, {client}"))
    };
    assert_eq!(spend(&gateway, behind("198.51.100.1")).await.0, 5);
    assert_eq!(spend(&gateway, behind("198.51.100.2")).await.0, 5);
}

#[tokio::test]
async fn what_leads_nowhere_costs_nothing_and_what_is_refused_does() {
    let gateway = strict(&[]).await;
    for _ in 0..10 {
        assert_eq!(gateway.code(Ask::get("/api/v1/auth/login")).await, "METHOD_NOT_ALLOWED");
        assert_eq!(gateway.code(Ask::post("/api/v1/auth/logon")).await, "ROUTE_NOT_FOUND");
    }
    let malformed = || Ask::post("/api/v1/auth/login").json("{");
    assert_eq!(spend(&gateway, malformed).await.0, 5);
    assert_eq!(gateway.code(login()).await, "RATE_LIMITED");
}
