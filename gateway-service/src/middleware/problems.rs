//! The one place where errors become documents.
//!
//! Handlers, extractors and layers answer with a [`Problem`] in the response's extensions, or, as
//! the router and the libraries' layers do, with a bare status. Here both become a problem
//! document with the path and the trace of the request.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chassis::error::{Problem, codes as fleet};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::trace::TraceId;
use crate::error::{ApiError, codes};

const JSON: &str = "application/json";

/// When to try again, where whoever refused did not say: what fails with 503 or 504 is usually
/// being restarted or routed around within seconds.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Renders the refusals of everything inside this layer.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let trace_id = request.extensions().get::<TraceId>().cloned();
    let mut response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let mut problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        // A probe that fails answers with its report.
        None if has_json_body(response.headers()) => return response,
        None => problem_of_status(status).into_problem(),
    };
    if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::GATEWAY_TIMEOUT {
        problem.retry_after.get_or_insert(RETRY_AFTER);
    }
    let trace_id = trace_id.map(|id| id.0.to_string()).unwrap_or_default();
    document(problem.instance(uri.path()).trace_id(trace_id), response)
}

/// Answers instead of a handler that panicked. The panic itself is logged by the process' hook.
pub(crate) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    ApiError::new(fleet::INTERNAL, "an internal error occurred").into_response()
}

fn has_json_body(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value == JSON)
}

/// What a bare status of the router or of a library's layer stands for.
fn problem_of_status(status: StatusCode) -> ApiError {
    match status {
        StatusCode::NOT_FOUND => ApiError::new(codes::ROUTE_NOT_FOUND, "there is no such path"),
        StatusCode::METHOD_NOT_ALLOWED => {
            ApiError::new(codes::METHOD_NOT_ALLOWED, "the path does not have this method")
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(codes::BODY_TOO_LARGE, "the body is longer than the limit")
        }
        _ => {
            tracing::error!(http.response.status_code = status.as_u16(), "status without a code");
            ApiError::new(fleet::INTERNAL, "an internal error occurred")
        }
    }
}

/// Replaces the body by the document and keeps the other headers (`Allow`, `RateLimit`).
fn document(problem: Problem, refusal: Response) -> Response {
    let challenge = (problem.status == StatusCode::UNAUTHORIZED).then(|| challenge(&problem));
    let mut response = problem.into_response();
    let mut headers = refusal.into_parts().0.headers;
    headers.remove(header::CONTENT_LENGTH);
    headers.extend(std::mem::take(response.headers_mut()));
    if let Some(challenge) = challenge {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    *response.headers_mut() = headers;
    response
}

/// The challenge of RFC 6750: error parameters only where a token was given and refused.
fn challenge(problem: &Problem) -> HeaderValue {
    const REALM: &str = "Bearer realm=\"enterprisehub\"";
    let is_about_token =
        problem.code.starts_with("TOKEN_") && problem.code != fleet::TOKEN_MISSING.reason;
    let text = if is_about_token {
        format!("{REALM}, error=\"invalid_token\", error_description=\"{}\"", problem.title)
    } else {
        REALM.to_owned()
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(REALM))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    async fn clumsy() -> &'static str {
        panic!("SELECT password_hash FROM users, at src/api/users.rs")
    }

    #[tokio::test]
    async fn a_panic_becomes_a_problem_that_says_nothing_of_it() {
        let router = Router::new()
            .route("/clumsy", get(clumsy))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(from_fn(render));
        let request = http::Request::get("/clumsy").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(problem["code"], "INTERNAL");
        assert!(!text.contains("SELECT") && !text.contains("src/"), "{text}");
    }
}
