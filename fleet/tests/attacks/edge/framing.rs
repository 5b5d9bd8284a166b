//! Where a request begins and ends: bodies, heads, targets.

use anyhow::{Result, ensure};
use fleet::harness::Reply;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::problem::refused;
use crate::support::raw::{ask, connect_from, exchange, parse, request};
use crate::support::stage::{Stage, new_address};

use super::LOGIN;

/// `http.max_body_bytes`.
const BODY_BYTES_MAX: usize = 1_048_576;

/// The answer to a request that another is hidden behind: one, under this status and code.
async fn only_answer(stage: &Stage, what: &str, bytes: &[u8], code: &str) -> Result<Reply> {
    let said = exchange(stage.gateway(0), bytes).await?;
    let text = String::from_utf8_lossy(&said);
    let answers = text.matches("HTTP/1.1 ").count();
    ensure!(answers == 1, "{what}: {answers} answers: {text:.300}");
    let reply = parse(&said)?;
    ensure!(reply.header("connection") == Some("close"), "{what}: not closed: {text:.300}");
    refused(&reply, reply.status, code)?;
    Ok(reply)
}

pub(super) async fn a116_bodies_over_the_limit(stage: &Stage) -> Result<()> {
    let json: &[u8] = b"application/json";
    let long = vec![b'a'; BODY_BYTES_MAX + 1];
    let announced = request(&format!("POST {LOGIN}"), &[("content-type", json)], &long);
    refused(&ask(stage.gateway(0), &announced).await?, 413, "BODY_TOO_LARGE")?;
    let chunked = [("content-type", json), ("transfer-encoding", b"chunked".as_slice())];
    let head = request(&format!("POST {LOGIN}"), &chunked, b"");
    let chunk = [b"10000\r\n".as_slice(), &vec![b'a'; 65_536], b"\r\n"].concat();
    // The rest, and the end, never come: whoever waited for them would not answer.
    let unannounced = [head, chunk.repeat(17)].concat();
    refused(&ask(stage.gateway(0), &unannounced).await?, 413, "BODY_TOO_LARGE")
}

pub(super) async fn a117_doubtful_lengths(stage: &Stage) -> Result<()> {
    let hidden = "GET /api/v1/products HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    let post = |lines: &str, body: &str| {
        format!("POST {LOGIN} HTTP/1.1\r\nhost: 127.0.0.1\r\n{lines}\r\n{body}{hidden}")
    };
    let cases = [
        ("CL, TE", "content-length: 5\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("TE, CL", "transfer-encoding: chunked\r\ncontent-length: 5\r\n", "0\r\n\r\n"),
        ("CL, CL", "content-length: 0\r\ncontent-length: 48\r\n", ""),
        ("a list of CL", "content-length: 0, 48\r\n", ""),
        ("signed CL", "content-length: +0\r\n", ""),
        ("negative CL", "content-length: -1\r\n", ""),
        ("hexadecimal CL", "content-length: 0x0\r\n", ""),
        ("TE: xchunked", "transfer-encoding: xchunked\r\n", "0\r\n\r\n"),
        ("TE: chunked, identity", "transfer-encoding: chunked, identity\r\n", "0\r\n\r\n"),
        ("TE with a space", "transfer-encoding : chunked\r\n", "0\r\n\r\n"),
        ("folded TE", "transfer-encoding:\r\n chunked\r\n", "0\r\n\r\n"),
        ("a line without CR", "x: y\ncontent-length: 0\r\n", ""),
    ];
    for (what, lines, body) in cases {
        only_answer(stage, what, post(lines, body).as_bytes(), "REQUEST_MALFORMED").await?;
    }
    let unix = post("content-length: 0\r\n", "").replace("\r\n", "\n");
    only_answer(stage, "only LF", unix.as_bytes(), "REQUEST_MALFORMED").await?;
    let chunked = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";
    let extension = format!("1;x={}\r\na\r\n0\r\n\r\n", "y".repeat(1024 * 1024));
    for (what, body) in [
        ("a bad chunk size", "zz\r\nabc\r\n0\r\n\r\n"),
        ("a huge chunk size", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        ("a chunk that is longer than it says", "1\r\nabc\r\n0\r\n\r\n"),
        ("a chunk extension of 1 MB", &extension),
    ] {
        // The head is good, so it is the reading of the body that fails.
        only_answer(stage, what, post(chunked, body).as_bytes(), "JSON_INVALID").await?;
    }
    Ok(())
}

pub(super) async fn a118_old_versions_and_upgrades(stage: &Stage) -> Result<()> {
    let hidden = "GET /api/v1/products HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    let old = format!(
        "POST {LOGIN} HTTP/1.0\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n\
         0\r\n\r\n{hidden}"
    );
    only_answer(stage, "HTTP/1.0 with TE", old.as_bytes(), "REQUEST_MALFORMED").await?;
    for version in ["HTTP/0.9", "HTTP/1.2", "HTTP/3.0", "http/1.1", ""] {
        let odd = format!("GET /livez {version}\r\nhost: 127.0.0.1\r\n\r\n{hidden}");
        only_answer(stage, version, odd.as_bytes(), "REQUEST_MALFORMED").await?;
    }
    for protocol in ["h2c", "websocket", "TLS/1.0"] {
        let upgrade = format!(
            "GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade, http2-settings\r\n\
             upgrade: {protocol}\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n\
             PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{hidden}"
        );
        let said = exchange(stage.gateway(0), upgrade.as_bytes()).await?;
        let text = String::from_utf8_lossy(&said);
        ensure!(text.starts_with("HTTP/1.1 200 "), "{protocol}: {text:.300}");
        ensure!(text.matches("HTTP/1.1 ").count() == 1, "{protocol}: {text:.300}");
        // Nobody asked for that but the gateway itself.
        let closes = text.contains("\r\nconnection: close\r\n");
        ensure!(closes, "{protocol}: not closed: {text:.300}");
    }
    Ok(())
}

pub(super) async fn a119_odd_and_large_heads(stage: &Stage) -> Result<()> {
    let with = |line: &[u8]| {
        let head = "GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n";
        [head.as_bytes(), line, b"\r\n\r\n"].concat()
    };
    let lines: [(&str, &[u8]); 6] = [
        ("CR in a value", b"x: a\rb"),
        ("NUL in a value", b"x: a\0b"),
        ("a space in a name", b"x y: z"),
        ("no name", b": z"),
        ("no colon", b"xyz"),
        ("a control character in a name", b"x\x01: z"),
    ];
    for (what, line) in lines {
        only_answer(stage, what, &with(line), "REQUEST_MALFORMED").await?;
    }
    let long = [b"x: ".as_slice(), &vec![b'a'; 65_536]].concat();
    let many = b"x: y\r\n".repeat(101);
    for (what, line) in [("a long header", long), ("101 headers", many)] {
        let reply = only_answer(stage, what, &with(&line), "HEADERS_TOO_LARGE").await?;
        ensure!(reply.status == 431, "{what}: {}", reply.status);
    }
    Ok(())
}

pub(super) async fn a120_odd_targets_and_hosts(stage: &Stage) -> Result<()> {
    let base = stage.gateway(0);
    let long = request(&format!("GET /{}", "a".repeat(70 * 1024)), &[], b"");
    refused(&ask(base, &long).await?, 414, "URI_TOO_LONG")?;
    let head = |target: &str, hosts: &str| {
        format!("GET {target} HTTP/1.1\r\nconnection: close\r\n{hosts}\r\n").into_bytes()
    };
    for (target, hosts) in [
        ("/livez", ""),
        ("/livez", "host: \r\n"),
        ("/livez", "host: a\r\nhost: b\r\n"),
        ("/livez", "host: a\r\nhost: a\r\n"),
        ("/livez", "host: user@a\r\n"),
        ("http://evil.example/livez", "host: 127.0.0.1\r\n"),
        ("http://127.0.0.1/livez", "host: evil.example\r\n"),
        ("ftp://127.0.0.1/livez", "host: 127.0.0.1\r\n"),
    ] {
        refused(&ask(base, &head(target, hosts)).await?, 400, "HOST_INVALID")?;
    }
    // RFC 9112, section 3.2.2: a whole URI has to be understood.
    let whole = head("http://127.0.0.1/livez", "host: 127.0.0.1\r\n");
    let reply = ask(base, &whole).await?;
    ensure!(reply.status == 200, "{}", reply.status);
    // The fleet of this catalogue is told which hosts are its own.
    for host in ["evil.example", "127.0.0.1.evil.example", "127.0.0.2"] {
        let foreign = head("/livez", &format!("host: {host}\r\n"));
        refused(&ask(base, &foreign).await?, 400, "HOST_INVALID")?;
    }
    Ok(())
}

pub(super) async fn a128_expecting_to_continue(stage: &Stage) -> Result<()> {
    let head = format!(
        "POST {LOGIN} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         content-length: 1073741824\r\nexpect: 100-continue\r\n\r\n"
    );
    let reply = ask(stage.gateway(0), head.as_bytes()).await?;
    refused(&reply, 413, "BODY_TOO_LARGE")?;
    // Whoever is within the limit is asked to go on.
    let body = br#"{"email":1}"#;
    let head = head.replace("1073741824", &body.len().to_string());
    let mut stream = connect_from(stage.gateway(0), new_address()).await?;
    stream.write_all(head.as_bytes()).await?;
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).await?;
    ensure!(&answer == b"HTTP/1.1 100 Continue\r\n\r\n", "{}", String::from_utf8_lossy(&answer));
    stream.write_all(body).await?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    ensure!(&answer == b"HTTP/1.1 422", "{}", String::from_utf8_lossy(&answer));
    Ok(())
}
