//! Who is served and who is refused when there is more to do than can be done.

use std::time::Duration;

use http::StatusCode;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::fleet::Answer;
use crate::harness::{Ask, Gateway, PATIENCE, until};
use crate::samples::ID;
use crate::table::{Row, table};

/// Twenty places, of which reads may fill fourteen, orders seventeen, and payments nineteen; one is
/// for callbacks.
const HOUSE: (&str, &str) = ("SERVER__MAX_CONCURRENCY", "20");
/// How often the limit is adjusted, and for how many times one waits for it.
const WINDOW: Duration = Duration::from_millis(10);
const ROUNDS_MAX: usize = 100;
/// Their calls must not be what is bounded here.
const UNBOUNDED: (&str, &str) = ("UPSTREAM__MAX_IN_FLIGHT", "1000");

fn request(method: &str, path: &str) -> http::Request<axum::body::Body> {
    let request = http::Request::builder().method(method).uri(path).header("host", "gateway.test");
    request.body(axum::body::Body::empty()).unwrap()
}

/// Requests that wait for a service for ever.
struct Waiting(JoinSet<()>);

impl Waiting {
    /// Sends so many, and waits until each has reached its service.
    async fn send(
        gateway: &Gateway,
        count: usize,
        ask: impl Fn() -> http::Request<axum::body::Body>,
    ) -> Self {
        gateway.fleet.take_calls();
        let mut waiting = JoinSet::new();
        for _ in 0..count {
            let answer = gateway.router.clone().oneshot(ask());
            waiting.spawn(async { drop(answer.await) });
        }
        let mut seen = 0;
        let all_inside = async {
            while seen < count {
                until(|| gateway.fleet.has_calls()).await;
                seen += gateway.fleet.take_calls().len();
            }
        };
        tokio::time::timeout(PATIENCE, all_inside).await.unwrap();
        Self(waiting)
    }
}

fn callback() -> Ask {
    Ask::post("/api/v1/payments/callback").json("{}")
}

fn pay(gateway: &Gateway) -> Ask {
    let ask = Ask::post(&format!("/api/v1/orders/{ID}/pay")).header("idempotency-key", "k");
    ask.token(&gateway.customer()).json(r#"{"payment_method":"pm_ok"}"#)
}

fn order(gateway: &Gateway) -> Ask {
    let body = r#"{"items":[{"sku":"KEYBOARD-87","quantity":1}],"payment_method":"pm_ok"}"#;
    let ask = Ask::post("/api/v1/orders").header("idempotency-key", "k");
    ask.token(&gateway.customer()).json(body)
}

fn refund(gateway: &Gateway) -> http::Request<axum::body::Body> {
    let path = format!("/api/v1/orders/{ID}/refund");
    let ask = http::Request::post(path).header("host", "gateway.test");
    let ask = ask.header("idempotency-key", "k");
    let ask = ask.header("authorization", format!("Bearer {}", gateway.customer()));
    ask.body(axum::body::Body::empty()).unwrap()
}

#[tokio::test]
async fn reads_are_refused_while_orders_payments_and_callbacks_pass() {
    let gateway = Gateway::with(&[HOUSE, UNBOUNDED]).await;
    gateway.fleet.script("ListProducts", [Answer::Silence]);
    let mut slow = Waiting::send(&gateway, 14, || request("GET", "/api/v1/products")).await;
    let reply = gateway.ask(Ask::get("/api/v1/products/KEYBOARD-87")).await;
    assert_eq!(reply.code(), "SERVICE_UNAVAILABLE");
    assert_eq!(reply.header("retry-after"), Some("1"));
    for (ask, status) in [(order(&gateway), 201), (pay(&gateway), 200), (callback(), 200)] {
        assert_eq!(gateway.ask(ask).await.status, status);
    }
    slow.0.shutdown().await;
    assert_eq!(gateway.ask(Ask::get("/api/v1/products/KEYBOARD-87")).await.status, 200);
}

#[tokio::test]
async fn forged_callbacks_however_many_leave_customers_their_places() {
    let gateway = Gateway::with(&[HOUSE, UNBOUNDED]).await;
    gateway.fleet.script("HandleCallback", [Answer::Silence]);
    let forged = || request("POST", "/api/v1/payments/callback");
    let mut flood = Waiting::send(&gateway, 1, forged).await;
    for _ in 0..50 {
        let refused = gateway.ask(callback()).await;
        assert_eq!(refused.code(), "SERVICE_UNAVAILABLE");
        assert_eq!(refused.header("retry-after"), Some("1"), "a provider comes again");
    }
    assert!(!gateway.fleet.has_calls(), "they cost payment-service nothing");
    gateway.fleet.script("ListProducts", [Answer::Silence]);
    let _slow = Waiting::send(&gateway, 14, || request("GET", "/api/v1/products")).await;
    assert_eq!(gateway.ask(order(&gateway)).await.status, 201);
    assert_eq!(gateway.ask(pay(&gateway)).await.status, 200);
    flood.0.shutdown().await;
    gateway.fleet.script("HandleCallback", [Answer::Usual]);
    assert_eq!(gateway.ask(callback()).await.status, 200);
}

#[tokio::test]
async fn customers_however_many_leave_callbacks_their_place() {
    let gateway = Gateway::with(&[HOUSE, UNBOUNDED]).await;
    gateway.fleet.script("RefundOrder", [Answer::Silence]);
    let _full = Waiting::send(&gateway, 19, || refund(&gateway)).await;
    assert_eq!(gateway.code(pay(&gateway)).await, "SERVICE_UNAVAILABLE");
    assert_eq!(gateway.ask(callback()).await.status, 200);
}

#[tokio::test]
async fn probes_enter_a_full_house_by_get_and_by_head() {
    let gateway = Gateway::with(&[HOUSE, UNBOUNDED]).await;
    gateway.fleet.script("RefundOrder", [Answer::Silence]);
    gateway.fleet.script("HandleCallback", [Answer::Silence]);
    let _customers = Waiting::send(&gateway, 19, || refund(&gateway)).await;
    let slow = || request("POST", "/api/v1/payments/callback");
    let _provider = Waiting::send(&gateway, 1, slow).await;
    for method in ["GET", "HEAD"] {
        for (path, status) in [("/livez", 200), ("/readyz", 200), ("/api/v1/products", 503)] {
            let reply = gateway.ask(Ask::new(method, path)).await;
            assert_eq!(reply.status, status, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn who_is_refused_has_not_been_looked_at() {
    let gateway = Gateway::with(&[HOUSE, UNBOUNDED]).await;
    gateway.fleet.script("ListProducts", [Answer::Silence]);
    let _slow = Waiting::send(&gateway, 14, || request("GET", "/api/v1/products")).await;
    let forged = Ask::get("/api/v1/users/me").token("not.a.token");
    let reply = gateway.ask(forged).await;
    assert_eq!(reply.code(), "SERVICE_UNAVAILABLE", "before the token is verified");
    assert_eq!(reply.header("ratelimit"), None, "and before anything is counted");
    assert!(!gateway.fleet.has_calls());
}

/// By a clock of its own: on a busy machine even quick answers take long.
#[tokio::test(start_paused = true)]
async fn slow_answers_lower_the_limit_and_quick_ones_raise_it() {
    let settings = [
        ("SERVER__MAX_CONCURRENCY", "64"),
        ("SERVER__REQUEST_TIMEOUT_MS", "200"),
        ("SHEDDING__MIN_LIMIT", "4"),
        ("SHEDDING__CALM_MS", "40"),
        ("SHEDDING__WINDOW_MS", "10"),
        ("RATE_LIMITS__ADDRESS__REQUESTS", "1000000"),
        ("RATE_LIMITS__DEFAULT__REQUESTS", "1000000"),
        UNBOUNDED,
    ];
    let gateway = Gateway::with(&settings).await;
    let served = async |count: usize| {
        let asks = (0..count).map(|_| async {
            let answer = gateway.router.clone().oneshot(request("GET", "/api/v1/products"));
            answer.await.unwrap().status()
        });
        let answers = futures::future::join_all(asks).await;
        answers.into_iter().filter(|status| *status != StatusCode::SERVICE_UNAVAILABLE).count()
    };
    let rounds_until = async |is_reached: fn(usize) -> bool| {
        for round in 1..=ROUNDS_MAX {
            tokio::time::advance(WINDOW).await;
            if is_reached(served(64).await) {
                return round;
            }
        }
        panic!("not after {ROUNDS_MAX} rounds: {} are served", served(64).await)
    };
    assert_eq!(served(1).await, 1, "its usual time is known now");
    assert_eq!(served(64).await, 44, "seven tenths of 64");
    gateway.fleet.script("ListProducts", [Answer::Silence]);
    // Each round is as slow as a request may be; the places of those who were refused stay empty.
    let lowered = rounds_until(|served| served <= 10).await;
    assert!(lowered > 1, "not at once");
    gateway.fleet.script("ListProducts", [Answer::Usual]);
    rounds_until(|served| served >= 20).await;
}

#[tokio::test]
async fn a_slow_service_leaves_places_for_the_others() {
    let gateway = Gateway::with(&[("UPSTREAM__MAX_IN_FLIGHT", "3"), HOUSE]).await;
    gateway.fleet.script("ListProducts", [Answer::Silence]);
    let _slow = Waiting::send(&gateway, 3, || request("GET", "/api/v1/products")).await;
    let reply = gateway.ask(Ask::get("/api/v1/products")).await;
    assert_eq!(reply.code(), "SERVICE_UNAVAILABLE");
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert!(!gateway.fleet.has_calls(), "it was not sent");
}

/// Every route of the table has the class that its importance demands.
#[tokio::test]
async fn what_moves_money_matters_more_than_what_reads() {
    let gateway = Gateway::with(&[HOUSE, UNBOUNDED]).await;
    gateway.fleet.script("ListProducts", [Answer::Silence]);
    let _slow = Waiting::send(&gateway, 14, || request("GET", "/api/v1/products")).await;
    let is_probe = |row: &Row| row.rpc.is_empty() && row.quota.is_empty();
    for row in table().into_iter().filter(|row| row.rpc != "ListProducts") {
        let refused = gateway.ask(row.ask_allowed(&gateway)).await.status == 503;
        assert_eq!(refused, row.method == "GET" && !is_probe(&row), "{row:?}");
    }
}
