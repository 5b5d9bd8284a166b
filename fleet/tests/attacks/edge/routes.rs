//! What is there, for whom, and under which name.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use fleet::harness::{Api, Reply};
use fleet::{Fleet, FleetOptions};
use reqwest::Method;

use crate::support::problem::refused;
use crate::support::raw::{ask, request};
use crate::support::stage::Stage;
use crate::support::text;

use super::LOGIN;

/// A site whose pages may call a gateway that is told so, and others.
const GOOD_SITE: &str = "https://goodsite.example";
const OTHER_SITES: [&str; 14] = [
    "null",
    "https://evil.example",
    "https://goodsite.evil",
    "https://goodsite.example.evil",
    "https://evilgoodsite.example",
    "https://evil.goodsite.example",
    "https://goodsite.exampl",
    "https://goodsite.example:8443",
    "http://goodsite.example",
    "https://GOODSITE.EXAMPLE",
    "https://goodsite.example/",
    "https://goodsite.example@evil.example",
    "https://goodsite.example, https://evil.example",
    "http://127.0.0.1",
];

/// A trace of somebody else, and the span in it.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

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

/// What a page of this origin is told: by an answer, and by a preflight.
async fn told(visitor: &Api, origin: &str) -> Result<[Reply; 2]> {
    let plain = visitor.request(Method::GET, "/api/v1/products").header("origin", origin);
    let preflight = visitor
        .request(Method::OPTIONS, "/api/v1/users/me")
        .header("origin", origin)
        .header("access-control-request-method", "PATCH");
    Ok([visitor.send(plain).await?, visitor.send(preflight).await?])
}

pub(super) async fn a126_pages_of_other_origins(stage: &Stage) -> Result<()> {
    let visitor = stage.visitor()?;
    for origin in [GOOD_SITE, "null"] {
        is_told_nothing(&told(&visitor, origin).await?, origin)?;
    }
    // Of its own: where no origin is allowed, one that looks like it is none either.
    let options = FleetOptions::default().setting("EH_GATEWAY__CORS__ALLOWED_ORIGINS", GOOD_SITE);
    let fleet = Fleet::start(options).await?;
    let visitor = fleet.http()?;
    for reply in told(&visitor, GOOD_SITE).await? {
        let allowed = reply.header("access-control-allow-origin");
        ensure!(reply.status == 200 && allowed == Some(GOOD_SITE), "{}: {allowed:?}", reply.status);
        ensure!(reply.header("access-control-allow-credentials").is_none(), "credentials");
    }
    for origin in OTHER_SITES {
        is_told_nothing(&told(&visitor, origin).await?, origin)?;
    }
    let reply = visitor.get("/api/v1/products").await?;
    for name in ["x-content-type-options", "content-security-policy", "referrer-policy"] {
        ensure!(reply.header(name).is_some(), "{name} is missing");
    }
    ensure!(reply.header("server").is_none(), "the server tells what it is");
    fleet.finish().await
}

fn is_told_nothing(replies: &[Reply], origin: &str) -> Result<()> {
    for reply in replies {
        for name in ["access-control-allow-origin", "access-control-allow-credentials"] {
            ensure!(reply.header(name).is_none(), "{}: {origin}: {name}", reply.request);
        }
    }
    Ok(())
}

pub(super) async fn a127_forged_names_of_requests(stage: &Stage) -> Result<()> {
    let long = vec![b'a'; 10_240];
    let canary = new_canary();
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
    stands_in_quotes(&log, &canary)?;
    forged_traces(stage).await?;
    forged_lines().await
}

/// Whoever names a trace is believed; what is none, or has more to it, names none.
async fn forged_traces(stage: &Stage) -> Result<()> {
    let good = format!("00-{TRACE}-{PARENT}-01");
    ensure!(trace_of(stage, &good).await? == TRACE, "a good name is not believed");
    let odd = [
        format!("00-{TRACE}-{PARENT}"),
        format!("{good}-01"),
        format!("{good} level=ERROR"),
        format!("{good}{}", "-x".repeat(5_120)),
        format!("00-{TRACE}{}-{PARENT}-01", "0".repeat(10_240)),
        format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{}-01", "0".repeat(PARENT.len())),
        format!("00-{}-{PARENT}-01", &TRACE[1..]),
        format!("00-{TRACE}-{PARENT}-zz"),
        format!("ff-{TRACE}-{PARENT}-01"),
        format!("zz-{TRACE}-{PARENT}-01"),
        format!("{TRACE}-{PARENT}-01"),
        TRACE.to_owned(),
    ];
    let mut seen = BTreeSet::from([TRACE.to_owned(), "0".repeat(TRACE.len())]);
    for value in odd {
        let trace = trace_of(stage, &value).await?;
        ensure!(seen.insert(trace.clone()), "{value:.80} names the trace {trace}");
    }
    Ok(())
}

/// The trace of a refusal of a request that names one.
async fn trace_of(stage: &Stage, named: &str) -> Result<String> {
    let headers = [("traceparent", named.as_bytes())];
    let reply = ask(stage.gateway(0), &request("GET /api/v1/users/me", &headers, b"")).await?;
    refused(&reply, 401, "TOKEN_MISSING")?;
    text(&reply.body, "trace_id")
}

/// A name that is well-formed is repeated in the log, and is one value there.
async fn forged_lines() -> Result<()> {
    // Of its own, to be broken: nothing is written about what is refused, and a line about what
    // fails.
    let mut fleet = Fleet::start(FleetOptions::default()).await?;
    fleet.kill("order-service", 0)?;
    let (gateway, canary) = (fleet.gateway_urls().swap_remove(0), new_canary());
    let id = format!("x\"}}:level=\"ERROR\",\\\"{canary}=1");
    let failing = request("GET /api/v1/products", &[("x-request-id", id.as_bytes())], b"");
    let reply = ask(&gateway, &failing).await?;
    ensure!(reply.status >= 500, "{}: {}", reply.status, reply.body);
    ensure!(reply.header("x-request-id") == Some(id.as_str()), "{:?}", reply.headers);
    let log = fleet.logs("gateway-service", 0)?;
    ensure!(log.contains(&canary), "no line was written about {}", reply.body);
    stands_in_quotes(&log, &canary)?;
    fleet.finish().await
}

fn new_canary() -> String {
    format!("forged{}", rand::random::<u64>())
}

/// Checks that a word is nowhere in a log but in values that stand in quotes.
fn stands_in_quotes(log: &str, word: &str) -> Result<()> {
    for line in log.lines() {
        for (at, _) in line.match_indices(word) {
            let (mut is_quoted, mut is_escaped) = (false, false);
            for character in line[..at].chars() {
                is_quoted ^= character == '"' && !is_escaped;
                is_escaped = character == '\\' && !is_escaped;
            }
            ensure!(is_quoted, "a line of the log was forged: {line}");
        }
    }
    Ok(())
}
