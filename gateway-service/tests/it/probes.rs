//! Liveness and readiness for outsiders.

use serde_json::json;

use crate::harness::{Ask, Gateway};

#[tokio::test]
async fn liveness_depends_on_nothing() {
    let gateway = Gateway::start().await;
    gateway.health.draining();
    let reply = gateway.ask(Ask::get("/livez").header("authorization", "Bearer expired")).await;
    assert_eq!(reply.json(), json!({"status": "ok"}));
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn readiness_tells_outsiders_less_than_administrators() {
    let gateway = Gateway::start().await;
    let ask = || Ask::get("/readyz");
    let outsiders =
        || [ask(), ask().token(&gateway.customer()), ask().header("authorization", "Basic eDp5")];
    for outsider in outsiders() {
        assert_eq!(gateway.ask(outsider).await.json(), json!({"status": "ready"}));
    }
    gateway.health.register("registry", || async { Err("no answer from 10.0.0.7".to_owned()) });
    gateway.health.refresh().await;
    for outsider in outsiders() {
        let reply = gateway.ask(outsider).await;
        assert_eq!((reply.status, reply.media_type()), (503, Some("application/json")));
        assert_eq!(reply.text(), "{\"status\":\"not_ready\"}");
    }
    let reply = gateway.ask(ask().token(&gateway.admin())).await;
    assert_eq!(reply.status, 503);
    let report: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(report["phase"], "serving");
    assert_eq!(report["dependencies"][0]["error"], "no answer from 10.0.0.7");
}

#[tokio::test]
async fn probes_are_not_limited() {
    let gateway = Gateway::with(&[
        ("RATE_LIMITS__DEFAULT__REQUESTS", "1"),
        ("RATE_LIMITS__DEFAULT__WINDOW_S", "3600"),
    ])
    .await;
    gateway.ask(Ask::get("/api/v1/products")).await.json();
    for path in ["/livez", "/readyz"] {
        for _ in 0..3 {
            let reply = gateway.ask(Ask::get(path)).await;
            assert_eq!((reply.status, reply.header("ratelimit")), (200, None), "{path}");
        }
    }
    assert_eq!(gateway.code(Ask::get("/api/v1/products")).await, "RATE_LIMITED");
}
