//! What is there, for whom, and under which name.

use anyhow::{Context, Result, ensure};
use reqwest::Method;

use crate::support::problem::refused;
use crate::support::raw::{ask, request};
use crate::support::stage::Stage;

use super::LOGIN;

/// Paths of what is only inside, or not there at all.
const INTERNAL: [&str; 14] = [
    "/metrics",
    "/metrics/",
    "/debug",
    "/debug/pprof/heap",
    "/health",
    "/health/ready",
    "/healthz",
    "/actuator/env",
    "/env",
    "/config",
    "/swagger-ui/",
    "/.env",
    "/.git/config",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
];

pub(super) async fn a022_long_tokens(stage: &Stage) -> Result<()> {
    let token = [b"Bearer ".as_slice(), &vec![b'a'; 100_000]].concat();
    let long = request("GET /api/v1/users/me", &[("authorization", &token)], b"");
    refused(&ask(stage.gateway(0), &long).await?, 431, "HEADERS_TOO_LARGE")?;
    // As long as a head may be: then it is a token like any other.
    let long = request("GET /api/v1/users/me", &[("authorization", &token[..24_000])], b"");
    refused(&ask(stage.gateway(0), &long).await?, 401, "TOKEN_INVALID")
}

pub(super) async fn a061_nothing_internal_outside(stage: &Stage) -> Result<()> {
    let (visitor, admin) = (stage.visitor()?, stage.admin().await?);
    for path in INTERNAL {
        for api in [&visitor, &admin] {
            refused(&api.get(path).await?, 404, "ROUTE_NOT_FOUND")?;
        }
        let posted = visitor.send(visitor.request(Method::POST, path)).await?;
        refused(&posted, 404, "ROUTE_NOT_FOUND")?;
    }
    // What orchestrators may ask from outside says yes or no, and nothing about the inside.
    let said = format!("{:?}", visitor.get("/livez").await?.require(200)?);
    ensure!(said.len() < 40, "{said}");
    let ready = visitor.get("/readyz").await?;
    let said = format!("{:?}", ready.body).to_lowercase();
    for inside in ["mysql", "redis", "amqp", "127.0.0.1", "consul", "version"] {
        ensure!(!said.contains(inside), "/readyz tells of {inside}: {said}");
    }
    Ok(())
}

pub(super) async fn a078_compressed_bodies(stage: &Stage) -> Result<()> {
    // A stream of gzip that says nothing for long: what it would become is not even looked at.
    let bomb = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &vec![0; 200_000]].concat();
    for encoding in ["gzip", "deflate", "br", "zstd", "identity, gzip", "x-gzip"] {
        let headers = [
            ("content-type", b"application/json".as_slice()),
            ("content-encoding", encoding.as_bytes()),
        ];
        let packed = request(&format!("POST {LOGIN}"), &headers, &bomb);
        refused(&ask(stage.gateway(0), &packed).await?, 415, "MEDIA_TYPE_UNSUPPORTED")?;
    }
    let accept = request("GET /api/v1/products", &[("accept", b"text/html")], b"");
    let reply = ask(stage.gateway(0), &accept).await?;
    ensure!(reply.status == 200 && reply.header("content-type") == Some("application/json"));
    Ok(())
}

pub(super) async fn a124_methods_that_a_path_lacks(stage: &Stage) -> Result<()> {
    let base = stage.gateway(0);
    for (method, path) in [
        ("TRACE", LOGIN),
        ("FOO", LOGIN),
        ("PUT", LOGIN),
        ("HEAD", LOGIN),
        ("OPTIONS", LOGIN),
        ("DELETE", "/api/v1/products"),
        ("TRACE", "/livez"),
    ] {
        let reply = ask(base, &request(&format!("{method} {path}"), &[], b"")).await?;
        ensure!(reply.status == 405, "{method} {path}: {}", reply.status);
        let allow = reply.header("allow").with_context(|| format!("{method} {path}: no Allow"))?;
        ensure!(!allow.contains(method), "{method} {path}: {allow}");
        if method != "HEAD" {
            refused(&reply, 405, "METHOD_NOT_ALLOWED")?;
        }
    }
    let tunnel = request("CONNECT 127.0.0.1:22", &[], b"");
    let reply = ask(base, &tunnel).await?;
    ensure!(matches!(reply.status, 400 | 404 | 405), "CONNECT: {}", reply.status);
    Ok(())
}

pub(super) async fn a126_pages_of_other_origins(stage: &Stage) -> Result<()> {
    let visitor = stage.visitor()?;
    for origin in ["null", "https://evil.example", "https://goodsite.evil", "http://127.0.0.1"] {
        let plain = visitor.request(Method::GET, "/api/v1/products").header("origin", origin);
        let preflight = visitor
            .request(Method::OPTIONS, "/api/v1/users/me")
            .header("origin", origin)
            .header("access-control-request-method", "PATCH");
        for ask in [plain, preflight] {
            let reply = visitor.send(ask).await?;
            for name in ["access-control-allow-origin", "access-control-allow-credentials"] {
                ensure!(reply.header(name).is_none(), "{origin}: {name}");
            }
        }
    }
    let reply = visitor.get("/api/v1/products").await?;
    for name in ["x-content-type-options", "content-security-policy", "referrer-policy"] {
        ensure!(reply.header(name).is_some(), "{name} is missing");
    }
    ensure!(reply.header("server").is_none(), "the server tells what it is");
    Ok(())
}

pub(super) async fn a127_forged_names_of_requests(stage: &Stage) -> Result<()> {
    let long = vec![b'a'; 10_240];
    let canary = format!("forged{}", rand::random::<u64>());
    let log_line = format!("x\" level=ERROR msg=\"{canary}");
    for value in [long.as_slice(), log_line.as_bytes(), b"a b", b"\xff\xfe", b""] {
        for name in ["x-request-id", "traceparent"] {
            let odd = request("GET /api/v1/users/me", &[(name, value)], b"");
            let reply = ask(stage.gateway(0), &odd).await?;
            refused(&reply, 401, "TOKEN_MISSING")?;
            let id = reply.header("x-request-id").context("no request id")?;
            ensure!(id.as_bytes() != value && id.len() <= 128, "{id}");
            ensure!(id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
        }
    }
    let broken = request("GET /livez", &[("x-request-id", b"a\rb")], b"");
    refused(&ask(stage.gateway(0), &broken).await?, 400, "REQUEST_MALFORMED")?;
    let split =
        format!("GET /%0a{canary} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    refused(&ask(stage.gateway(0), split.as_bytes()).await?, 404, "ROUTE_NOT_FOUND")?;
    let log = stage.fleet.lock().await.logs("gateway-service", 0)?;
    let is_forged = |line: &&str| line.trim_start().starts_with(&canary);
    ensure!(!log.lines().any(|line| is_forged(&line)), "a line of the log was forged");
    Ok(())
}
