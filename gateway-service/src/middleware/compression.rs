//! Compresses whole answers before they leave.
//!
//! A compressor that works while its answer is taken needs a few hundred kilobytes for as long as
//! that lasts, which is up to the client, and for an answer of a few. Answers are in memory as they
//! are, so they are compressed to their end at once.

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use http_body_util::BodyExt;

/// Ends the compression of what the layer inside compresses.
pub(crate) async fn finish(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let is_packed = response.headers().contains_key(header::CONTENT_ENCODING);
    // Only a compressor does not know how much it will yield.
    if !is_packed || response.body().size_hint().exact().is_some() {
        return response;
    }
    let (parts, body) = response.into_parts();
    match body.collect().await {
        Ok(whole) => Response::from_parts(parts, Body::from(whole.to_bytes())),
        Err(error) => {
            tracing::error!(%error, "answer not compressed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt;
    use tower_http::compression::CompressionLayer;

    use super::*;

    #[tokio::test]
    async fn no_answer_leaves_before_it_is_compressed() {
        let router = Router::new()
            .route("/", get(|| async { "a".repeat(100_000) }))
            .layer(CompressionLayer::new())
            .layer(from_fn(finish));
        let ask = |encoding: &'static str| {
            let request = Request::get("/").header(header::ACCEPT_ENCODING, encoding);
            router.clone().oneshot(request.body(Body::empty()).unwrap())
        };
        let packed = ask("gzip").await.unwrap();
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        let length = packed.body().size_hint().exact().unwrap();
        assert!((1..1_000).contains(&length), "{length}");
        let plain = ask("identity").await.unwrap();
        assert_eq!(plain.body().size_hint().exact(), Some(100_000));
    }
}
