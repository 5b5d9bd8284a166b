//! The port itself: clients that are slow, rude, or try to make two requests out of one.

use std::net::IpAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use proto::auth::v1::LoginRequest;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::transport::Endpoint;
use tower::ServiceExt;

use crate::harness::{Gateway, PATIENCE};
use crate::port::Port;
use crate::replies::SAFETY;

const LOGIN: &str = "/api/v1/auth/login";
const BODY: &str = r#"{"email":"a","password":"b"}"#;

/// A login with these header lines, each with its end, and this body.
fn login(lines: &str, body: &str) -> String {
    format!(
        "POST {LOGIN} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\n{lines}\r\n{body}"
    )
}

fn sized(body: &str) -> String {
    login(&format!("content-length: {}\r\n", body.len()), body)
}

fn chunked(body: &str) -> String {
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    login("transfer-encoding: chunked\r\n", &chunks)
}

#[tokio::test]
async fn a_request_is_answered_and_its_peer_is_known() {
    let gateway = Gateway::start().await;
    let port = Port::open(&gateway).await;
    for request in [sized(BODY), chunked(BODY)] {
        assert_eq!(port.answer(request).await.status, 200);
        let asked: LoginRequest = gateway.fleet.take_call().decode();
        assert!(asked.client_address.parse::<IpAddr>().unwrap().is_loopback());
    }
}

#[tokio::test]
async fn http_2_is_spoken_too() {
    let gateway = Gateway::start().await;
    let port = Port::open(&gateway).await;
    let address = format!("http://{}", port.address);
    let client = Endpoint::from_shared(address.clone()).unwrap().connect().await.unwrap();
    let request = http::Request::post(format!("{address}{LOGIN}"))
        .header("content-type", "application/json")
        .body(tonic::body::Body::new(Full::from(BODY)))
        .unwrap();
    let reply = client.clone().oneshot(request).await.unwrap();
    assert_eq!((reply.version(), reply.status().as_u16()), (http::Version::HTTP_2, 200));
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    assert!(serde_json::from_slice::<Value>(&body).unwrap()["access_token"].is_string());
    assert_eq!(gateway.fleet.take_rpcs(), ["Login"]);
}

#[tokio::test]
async fn a_connection_carries_one_request_after_another() {
    let gateway = Gateway::start().await;
    let port = Port::open(&gateway).await;
    let one = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let last = "GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = port.exchange([one, one, last].concat()).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 404]);
    assert_eq!(answers[2].code("/nowhere"), "ROUTE_NOT_FOUND");
}

#[tokio::test]
async fn a_client_that_never_finishes_its_head_is_cut_off() {
    let gateway = Gateway::with(&[("SERVER__HEADER_READ_TIMEOUT_MS", "200")]).await;
    let port = Port::open(&gateway).await;
    assert!(port.exchange("").await.is_empty(), "nothing was asked");
    for (start, path) in
        [("G", ""), ("PRI * HT", ""), ("GET /livez HTTP/1.1\r\nhost: x\r\nx-slow: ", "/livez")]
    {
        assert_eq!(port.answer(start).await.code(path), "REQUEST_TIMEOUT", "{start}");
    }
    let idle = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    assert_eq!(port.answer(idle).await.status, 200, "and nothing after it");
    let second = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /readyz HTTP/1.1\r\n";
    let answers = port.exchange(second).await;
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert_eq!(answers[1].code("/readyz"), "REQUEST_TIMEOUT");
    // Byte by byte is no better: the time is that of the whole head.
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let dripping = async {
        while stream.write_all(b"a").await.is_ok() {
            pace.tick().await;
        }
    };
    timeout(PATIENCE, dripping).await.unwrap();
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_not_waited_for() {
    let gateway = Gateway::with(&[("HTTP__BODY_READ_TIMEOUT_MS", "200")]).await;
    let port = Port::open(&gateway).await;
    for request in [
        login("content-length: 100\r\n", "{\"email\":"),
        login("transfer-encoding: chunked\r\n", "5\r\n{\"ema"),
    ] {
        assert_eq!(port.answer(request).await.code(LOGIN), "REQUEST_TIMEOUT");
    }
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn a_body_that_ends_early_is_no_body() {
    let gateway = Gateway::start().await;
    let port = Port::open(&gateway).await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    let half = login("content-length: 100\r\n", BODY);
    stream.write_all(half.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut said = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut said)).await.unwrap().unwrap();
    assert!(!said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_and_without_its_length() {
    let gateway = Gateway::with(&[("HTTP__MAX_BODY_BYTES", "1000")]).await;
    let port = Port::open(&gateway).await;
    let long = format!("{{\"email\":\"{}", "a".repeat(2_000));
    let announced = login("content-length: 1073741824\r\n", "");
    let expecting = login("content-length: 1073741824\r\nexpect: 100-continue\r\n", "");
    // The rest of the body never comes: the refusal does not wait for it.
    let unannounced =
        login("transfer-encoding: chunked\r\n", &format!("{:x}\r\n{long}\r\n", long.len()));
    for request in [announced, expecting, unannounced] {
        assert_eq!(port.answer(request).await.code(LOGIN), "BODY_TOO_LARGE");
    }
    assert!(!gateway.fleet.has_calls());
}

#[tokio::test]
async fn heads_have_a_size() {
    let gateway = Gateway::start().await;
    let port = Port::open(&gateway).await;
    let get = |path: &str, lines: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}\r\n")
    };
    let long = "a".repeat(64 * 1024);
    let many = "x: y\r\n".repeat(101);
    for (what, request) in [
        ("a long header", get("/livez", &format!("x: {long}\r\n"))),
        ("a long token", get("/livez", &format!("authorization: Bearer {long}\r\n"))),
        ("many headers", get("/livez", &many)),
    ] {
        assert_eq!(port.answer(request).await.code("/livez"), "HEADERS_TOO_LARGE", "{what}");
    }
    let answer = port.answer(get(&format!("/{long}"), "")).await;
    assert_eq!(answer.code(""), "URI_TOO_LONG");
    for (name, value) in SAFETY {
        assert_eq!(answer.header(name), Some(value.to_lowercase().as_str()), "{name}");
    }
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(answer.header("date").is_some() && answer.header("x-request-id").is_some());
    let usual = format!("x: {}\r\n", "a".repeat(16 * 1024));
    assert_eq!(port.answer(get("/livez", &usual)).await.status, 200);
}

#[tokio::test]
async fn a_body_of_doubtful_length_is_refused_and_the_connection_closed() {
    let gateway = Gateway::start().await;
    let port = Port::open(&gateway).await;
    let next = "GET /api/v1/products HTTP/1.1\r\nhost: x\r\n\r\n";
    let request = |version: &str, lines: &str, body: &str| {
        let head = format!("POST {LOGIN} HTTP/{version}\r\nhost: x\r\n");
        format!("{head}content-type: application/json\r\n{lines}\r\n{body}{next}")
    };
    for (what, request) in [
        ("two lengths", request("1.1", "content-length: 0\r\ncontent-length: 5\r\n", "")),
        ("a list of lengths", request("1.1", "content-length: 0, 5\r\n", "")),
        ("a signed length", request("1.1", "content-length: +0\r\n", "")),
        ("not chunked", request("1.1", "transfer-encoding: xchunked\r\n", "0\r\n\r\n")),
        ("chunked, then more", request("1.1", "transfer-encoding: chunked, x\r\n", "0\r\n\r\n")),
        (
            "a space before the colon",
            request("1.1", "transfer-encoding : chunked\r\n", "0\r\n\r\n"),
        ),
        ("a folded line", request("1.1", "transfer-encoding:\r\n chunked\r\n", "0\r\n\r\n")),
        ("HTTP/1.0", request("1.0", "transfer-encoding: chunked\r\n", "0\r\n\r\n")),
        ("a line break in a name", request("1.1", "x\ny: z\r\n", "")),
        ("NUL in a value", request("1.1", "x: a\0b\r\n", "")),
        (
            "two kinds of length",
            request("1.1", "content-length: 5\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ),
        (
            "the same the other way round",
            request("1.1", "transfer-encoding: chunked\r\ncontent-length: 5\r\n", "0\r\n\r\n"),
        ),
        ("lines without CR", request("1.1", "x: y\n", "")),
    ] {
        assert_eq!(port.answer(request).await.code(LOGIN), "REQUEST_MALFORMED", "{what}");
    }
    assert!(!gateway.fleet.has_calls(), "the request behind it never ran");
}

/// Where a head begins is known although requests are sent ahead, whole or in pieces.
#[tokio::test]
async fn requests_that_are_sent_ahead_are_told_apart_wherever_they_are_cut() {
    let gateway = Gateway::unlimited().await;
    let port = Port::open(&gateway).await;
    let post = format!("POST {LOGIN} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n");
    // In a head, a line break alone would be doubtful.
    let body = "{\"email\":\"a\",\n\"password\":\"b\"}\n\n";
    let length = body.len();
    let sized = format!("{post}content-length: {length}\r\n\r\n{body}");
    let chunks = format!("{length:x};x=y\r\n{body}\r\n0\r\nz: content-length\r\n\r\n");
    let chunked = format!("{post}transfer-encoding: chunked\r\n\r\n{chunks}");
    let doubtful =
        format!("{post}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    let last = "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned();
    for (sent, expected) in [
        ([&*sized, &chunked, &last].concat(), [200, 200, 200]),
        ([&*sized, &chunked, &doubtful, &last].concat(), [200, 200, 400]),
        ([&*chunked, &sized, &doubtful, &last].concat(), [200, 200, 400]),
    ] {
        for cut in 0..sent.len() {
            let answers = port.exchange_cut(&sent, cut).await;
            let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
            assert_eq!(statuses, expected, "cut at {cut}: {sent}");
            if expected[2] == 400 {
                assert_eq!(answers[2].code(LOGIN), "REQUEST_MALFORMED");
            }
            assert_eq!(gateway.fleet.take_rpcs(), ["Login", "Login"], "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn a_request_names_one_host() {
    let gateway = Gateway::start().await;
    let port = Port::open(&gateway).await;
    let get = |version: &str, lines: &str| {
        format!("GET /livez HTTP/{version}\r\nconnection: close\r\n{lines}\r\n")
    };
    for request in [get("1.1", ""), get("1.1", "host: x\r\nhost: y\r\n")] {
        assert_eq!(port.answer(request).await.code("/livez"), "HOST_INVALID");
    }
    for request in [get("1.0", ""), get("1.1", "host: x\r\n")] {
        assert_eq!(port.answer(request).await.status, 200);
    }
}

#[tokio::test]
async fn other_protocols_are_not_switched_to() {
    let gateway = Gateway::start().await;
    let port = Port::open(&gateway).await;
    for protocol in ["h2c", "websocket"] {
        let request = format!(
            "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\n\
             upgrade: {protocol}\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
        );
        let answer = port.answer(request).await;
        assert_eq!((answer.status, answer.header("upgrade")), (200, None), "{protocol}");
        assert_eq!(answer.header("connection"), Some("close"), "{protocol}");
    }
    let tunnel = "CONNECT 10.0.0.7:443 HTTP/1.1\r\nhost: 10.0.0.7\r\nconnection: close\r\n\r\n";
    let answer = port.answer(tunnel).await;
    assert!(matches!(answer.status, 404 | 405), "{answer:?}");
}

#[tokio::test]
async fn only_hosts_that_are_named_are_served() {
    let gateway = Gateway::with(&[("HTTP__ALLOWED_HOSTS", "shop.example,api.example:8443")]).await;
    let port = Port::open(&gateway).await;
    let get = |target: &str, host: &str| {
        format!("GET {target} HTTP/1.1\r\nconnection: close\r\nhost: {host}\r\n\r\n")
    };
    for (target, host) in [
        ("/livez", "shop.example"),
        ("/livez", "SHOP.example:8080"),
        ("http://api.example:8443/livez", "api.example:8443"),
    ] {
        assert_eq!(port.answer(get(target, host)).await.status, 200, "{target} {host}");
    }
    for (target, host) in [
        ("/livez", "evil.example"),
        ("/livez", "api.example"),
        ("http://evil.example/livez", "shop.example"),
        ("http://shop.example/livez", "evil.example"),
    ] {
        let answer = port.answer(get(target, host)).await;
        assert_eq!(answer.code("/livez"), "HOST_INVALID", "{target} {host}");
    }
}
