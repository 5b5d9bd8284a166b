//! Which web pages of other origins may call the API.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::CorsConfig;

const PREFLIGHT_MAX_AGE: Duration = Duration::from_mins(10);

/// Builds the layer; `None` without allowed origins, and then `OPTIONS` is a method like any other
/// that a path may lack. Credentials are never allowed: tokens travel in a header, not in a cookie.
pub(crate) fn layer(config: &CorsConfig) -> anyhow::Result<Option<CorsLayer>> {
    if config.allowed_origins.is_empty() {
        return Ok(None);
    }
    let origins = config.allowed_origins.iter().map(|origin| parse(origin));
    let origins: Vec<HeaderValue> = origins.collect::<Result<_, _>>()?;
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("traceparent"),
            HeaderName::from_static("x-request-id"),
        ])
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            HeaderName::from_static("idempotent-replayed"),
            HeaderName::from_static("ratelimit"),
            HeaderName::from_static("ratelimit-policy"),
            HeaderName::from_static("x-request-id"),
        ])
        .max_age(PREFLIGHT_MAX_AGE);
    Ok(Some(layer))
}

fn parse(origin: &str) -> anyhow::Result<HeaderValue> {
    let scheme_and_host = origin.split_once("://");
    let is_origin = scheme_and_host.is_some_and(|(scheme, host)| {
        matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains(['/', '*'])
    });
    anyhow::ensure!(
        is_origin,
        "cors.allowed_origins: {origin:?} is not an origin such as https://shop.example"
    );
    Ok(HeaderValue::try_from(origin)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_origins_are_accepted() {
        for origin in
            ["*", "https://*", "shop.example", "https://shop.example/", "https://", "null"]
        {
            assert!(parse(origin).is_err(), "{origin}");
        }
        assert!(parse("https://shop.example:8443").is_ok());
        assert!(layer(&CorsConfig::default()).unwrap().is_none());
    }
}
