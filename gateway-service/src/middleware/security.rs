//! Headers that are taken from requests and added to responses for safety.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// First part of headers that older gateways used to assert an identity.
const IDENTITY_PREFIX: &str = "x-user-";

/// Headers by which a client could speak for a proxy or name another operation. `X-Forwarded-For`
/// stays: it is read, and only where a trusted proxy wrote it.
const SPOOFED: [&str; 12] = [
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "x-method-override",
];

/// Policy of answers that no browser should render. `default-src` says nothing about `base-uri` and
/// `form-action`.
const API_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

/// Set on every answer, whatever its handler said.
const ALWAYS: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    // Ignored by browsers unless it came over TLS, which ends in front of the gateway.
    (
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=31536000; includeSubDomains"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Removes asserted identities from the request and adds the safety headers to the response.
pub(crate) async fn secure(mut request: Request, next: Next) -> Response {
    strip_identity(request.headers_mut());
    let mut response = next.run(request).await;
    mark_safe(response.headers_mut());
    response
}

/// Adds the safety headers to a response.
pub(crate) fn mark_safe(headers: &mut HeaderMap) {
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(API_POLICY);
    // Answers are private to their caller unless a handler says otherwise.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

fn strip_identity(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(IDENTITY_PREFIX)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
    for name in SPOOFED {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asserted_identities_are_removed() {
        let mut headers = HeaderMap::new();
        for name in ["x-user-id", "x-user-role", "x-user-agent-hint", "x-request-id", "forwarded"] {
            headers.insert(name, HeaderValue::from_static("admin"));
        }
        strip_identity(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-request-id"]);
    }
}
