//! What browsers care about: pages of other origins, headers of safety, compression.

use crate::harness::{Ask, Gateway, login};

const SHOP: &str = "https://shop.example";

/// Origins that resemble an allowed one.
const STRANGERS: [&str; 9] = [
    "null",
    "https://evil.example",
    "https://shop.example.evil",
    "https://evil-shop.example",
    "https://shop.example:8443",
    "http://shop.example",
    "https://SHOP.EXAMPLE",
    "https://shop.example/",
    "https://shop.example, https://evil.example",
];

async fn open_to_shop() -> Gateway {
    Gateway::with(&[
        ("CORS__ALLOWED_ORIGINS", "https://shop.example,http://localhost:3000"),
        ("RATE_LIMITS__DEFAULT__REQUESTS", "3"),
        ("RATE_LIMITS__DEFAULT__WINDOW_S", "3600"),
    ])
    .await
}

fn preflight(origin: &str, method: &str) -> Ask {
    Ask::new("OPTIONS", "/api/v1/users/me")
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "authorization,if-match")
}

#[tokio::test]
async fn no_page_of_another_origin_is_served_unless_configured() {
    let gateway = Gateway::start().await;
    let reply = gateway.ask(login().header("origin", SHOP)).await;
    assert_eq!(reply.header("access-control-allow-origin"), None);
    let reply = gateway.ask(preflight(SHOP, "PATCH")).await;
    assert_eq!(reply.code(), "METHOD_NOT_ALLOWED");
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn pages_of_allowed_origins_may_ask_and_read() {
    let gateway = open_to_shop().await;
    for origin in [SHOP, "http://localhost:3000"] {
        // More often than the quota: a preflight is free.
        for _ in 0..5 {
            let reply = gateway.ask(preflight(origin, "PATCH")).await;
            assert_eq!(reply.status, 200);
            assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
            assert!(reply.header("access-control-allow-methods").unwrap().contains("PATCH"));
            let headers = reply.header("access-control-allow-headers").unwrap();
            for name in ["authorization", "content-type", "if-match", "idempotency-key"] {
                assert!(headers.contains(name), "{headers}");
            }
            assert_eq!(reply.header("access-control-max-age"), Some("600"));
            assert_eq!(reply.header("access-control-allow-credentials"), None);
            assert!(reply.header("vary").unwrap().to_lowercase().contains("origin"));
            assert!(reply.body.is_empty());
        }
    }
    let reply = gateway.ask(login().header("origin", SHOP)).await;
    assert_eq!(reply.header("access-control-allow-origin"), Some(SHOP));
    let exposed = reply.header("access-control-expose-headers").unwrap();
    for name in ["etag", "location", "retry-after", "ratelimit", "x-request-id"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    let refused = gateway.ask(Ask::get("/api/v1/users/me").header("origin", SHOP)).await;
    assert_eq!(refused.code(), "TOKEN_MISSING");
    assert_eq!(refused.header("access-control-allow-origin"), Some(SHOP), "errors are readable");
}

#[tokio::test]
async fn pages_of_other_origins_read_nothing() {
    let gateway = open_to_shop().await;
    for origin in STRANGERS {
        let replies = [
            gateway.ask(preflight(origin, "PATCH")).await,
            gateway.ask(login().header("origin", origin)).await,
        ];
        for reply in replies {
            assert_eq!(reply.header("access-control-allow-origin"), None, "{origin}");
            assert_eq!(reply.header("access-control-allow-credentials"), None, "{origin}");
        }
    }
}

#[tokio::test]
async fn an_origin_that_is_none_stops_the_start() {
    for origin in ["*", "https://*", "shop.example", "https://shop.example/", "null"] {
        let started = Gateway::try_start(&[("CORS__ALLOWED_ORIGINS", origin)]).await;
        let error = started.err().unwrap().to_string();
        assert!(error.contains("cors.allowed_origins"), "{error}");
    }
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_ask() {
    let gateway = Gateway::start().await;
    let ask = || Ask::get("/openapi.json");
    let plain = gateway.ask(ask()).await;
    assert_eq!(plain.header("content-encoding"), None);
    assert!(plain.header("vary").unwrap().to_lowercase().contains("accept-encoding"));
    let packed = gateway.send(ask().header("accept-encoding", "br;q=1.0, gzip;q=0.8")).await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.body[..2], [0x1f, 0x8b], "what gzip begins with");
    assert!(packed.body.len() * 4 < plain.body.len());
    let unpacked = u32::from_le_bytes(packed.body[packed.body.len() - 4..].try_into().unwrap());
    assert_eq!(unpacked as usize, plain.body.len(), "gzip ends with the length of the content");
    let refused = gateway.send(ask().header("accept-encoding", "gzip;q=0")).await;
    assert_eq!(refused.header("content-encoding"), None);
}

#[tokio::test]
async fn problems_are_compressed_too() {
    let gateway = Gateway::start().await;
    let reply = gateway.send(Ask::get("/nowhere").header("accept-encoding", "gzip")).await;
    assert_eq!((reply.status, reply.header("content-encoding")), (404, Some("gzip")));
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn answers_of_the_api_are_nothing_to_render_or_keep() {
    let gateway = Gateway::start().await;
    let reply = gateway.ask(Ask::get("/api/v1/products").header("accept", "text/html")).await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let policy = reply.header("content-security-policy").unwrap();
    assert!(policy.split("; ").all(|directive| directive.ends_with(" 'none'")), "{policy}");
    for name in ["server", "x-powered-by", "set-cookie"] {
        assert_eq!(reply.header(name), None);
    }
    let keys = gateway.ask(Ask::get("/.well-known/jwks.json")).await;
    assert_eq!(keys.header("cache-control"), Some("public, max-age=300"));
}
