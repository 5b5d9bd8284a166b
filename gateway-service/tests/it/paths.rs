//! Paths that are not what they seem: none of them leads anywhere.

use crate::harness::{Ask, Gateway};

/// What looks like a route to some reader and is none.
const TRICKS: [&str; 27] = [
    "/",
    "//",
    "/api",
    "/api/v1",
    "/api/v1/",
    "/api/v2/users/me",
    "//api/v1/users/me",
    "/api//v1/users/me",
    "/api/./v1/users/me",
    "/api/v1/orders/../users/me",
    "/docs/../api/v1/users/me",
    "/API/v1/users/me",
    "/api/v1/Users/me",
    "/api/v1/users/me/",
    "/api/v1/users/me/.",
    "/api/v1/orders/..;/admin/services",
    "/api/v1/admin;/services",
    "/api/v1/admin/services;jsessionid=1",
    "/api/v1/admin/services/",
    "/api/v1/admin/services.json",
    "/api/v1/admin%2fservices",
    "/api/v1%2fadmin%2fservices",
    "/%61pi/v1/admin/services",
    "/api/v1/%61dmin/services",
    "/api/v1/admin/services%00",
    "/api/v1/admin/services%20",
    "/api/v1/admin",
];

/// What is served on the internal port, or by others' software.
const ELSEWHERE: [&str; 12] = [
    "/metrics",
    "/metrics/",
    "/debug",
    "/debug/pprof",
    "/health",
    "/health/ready",
    "/healthz",
    "/actuator/env",
    "/swagger-ui/",
    "/.env",
    "/.git/config",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
];

#[tokio::test]
async fn tricks_lead_nowhere_with_or_without_a_token() {
    let gateway = Gateway::start().await;
    for path in TRICKS.into_iter().chain(ELSEWHERE) {
        for token in [None, Some(gateway.customer()), Some(gateway.admin())] {
            let ask = token.iter().fold(Ask::get(path), |ask, token| ask.token(token));
            let reply = gateway.ask(ask).await;
            assert_eq!(reply.code(), "ROUTE_NOT_FOUND", "{path}");
        }
    }
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn a_segment_that_is_encoded_stays_one_segment() {
    let gateway = Gateway::start().await;
    for path in [
        "/api/v1/users/me.json",
        "/api/v1/users/me;a=1",
        "/api/v1/users/me%2fpassword",
        "/api/v1/users/..%2f..%2fmetrics",
    ] {
        assert_eq!(gateway.code(Ask::get(path)).await, "TOKEN_MISSING", "{path}");
        let customer = Ask::get(path).token(&gateway.customer());
        assert_eq!(gateway.code(customer).await, "PERMISSION_DENIED", "{path}");
        let admin = Ask::get(path).token(&gateway.admin());
        assert_eq!(gateway.code(admin).await, "ID_INVALID", "{path}");
    }
    for file in ["..%2fopenapi.json", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..%5c", "nothing.js"]
    {
        let code = gateway.code(Ask::get(&format!("/docs/{file}"))).await;
        assert_eq!(code, "ROUTE_NOT_FOUND", "{file}");
    }
    let reply = gateway.ask(Ask::get("/api/v1/products/..%2fadmin")).await;
    assert_eq!(reply.status, 200);
    let asked: proto::order::v1::GetProductRequest = gateway.fleet.take_call().decode();
    assert_eq!(asked.sku, "../admin", "a name like any other, which the service judges");
}
