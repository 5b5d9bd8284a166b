//! The internal port: what operators and orchestrators ask a process.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};

use crate::health::Health;
use crate::telemetry::metrics::Metrics;

/// `/livez`, `/readyz` and `/metrics`.
pub fn internal_router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        // Answering at all is the proof of life; dependencies are none of its business.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(health))
        .route("/metrics", get(render).with_state(metrics))
}

async fn readyz(State(health): State<Health>) -> Response {
    let report = health.report();
    let status = match report.status {
        "ready" => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(report)).into_response()
}

async fn render(State(metrics): State<Metrics>) -> Response {
    const TEXT_FORM: &str = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, TEXT_FORM)], metrics.render()).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn ask(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_names_each_dependency_and_liveness_none() {
        let health = Health::new();
        health.register("database", || async { Err("connection refused".to_owned()) });
        let router = internal_router(health.clone(), Metrics::detached());
        health.started();
        health.refresh().await;
        assert_eq!(ask(&router, "/livez").await, (StatusCode::OK, "ok\n".to_owned()));
        let (status, body) = ask(&router, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        let expected = serde_json::json!({
            "status": "not_ready",
            "phase": "serving",
            "dependencies": [{
                "name": "database",
                "status": "down",
                "required": true,
                "error": "connection refused",
            }],
        });
        assert_eq!(json, expected);
    }

    #[tokio::test]
    async fn metrics_and_nothing_else_are_served() {
        let health = Health::new();
        health.started();
        let router = internal_router(health, Metrics::detached());
        assert_eq!(ask(&router, "/readyz").await.0, StatusCode::OK);
        assert_eq!(ask(&router, "/metrics").await.0, StatusCode::OK);
        assert_eq!(ask(&router, "/").await.0, StatusCode::NOT_FOUND);
    }
}
