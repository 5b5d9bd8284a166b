//! Where a request of HTTP/2 begins and ends: bodies, heads, targets. What is malformed there the
//! protocol has refused without an answer, by taking back the stream or the connection (RFC 9113,
//! section 8.1.1).

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::support::frames::{
    AUTHORITY, DATA, END_STREAM, FIRST, Frames, METHOD, PATH, SCHEME, Said, add_field, frame, head,
    head_frames, named,
};
use crate::support::problem::documented;
use crate::support::stage::{Stage, new_address};

use super::LOGIN;

/// `http.max_body_bytes`.
const BODY_BYTES_MAX: usize = 1_048_576;
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Names and values of header fields.
type Fields<'a> = &'a [(&'a str, &'a [u8])];

/// What is said to one request on a connection of its own.
async fn said_to(stage: &Stage, what: &str, bytes: Vec<u8>) -> Result<Said> {
    let frames = Frames::open(stage.gateway(0), new_address()).await?;
    let said = tokio::time::timeout(LIMIT, frames.ask(bytes)).await;
    said.with_context(|| format!("{what}: no answer"))
}

/// A request without a body.
fn bodyless(block: &[u8]) -> Vec<u8> {
    head_frames(END_STREAM, FIRST, block)
}

/// A head for this method and path with these fields.
fn with_fields(method: &str, path: &str, fields: Fields<'_>) -> Vec<u8> {
    let mut block = head(method, path);
    for (name, value) in fields {
        add_field(&mut block, name.as_bytes(), value);
    }
    block
}

/// Checks that a request was served.
fn served(said: &Said, what: &str) -> Result<()> {
    ensure!(said.status == Some(200), "{what}: {said:?}");
    Ok(())
}

/// Checks that a request was refused by the problem document of this status and code.
fn refused(said: &Said, what: &str, status: u16, code: &str) -> Result<()> {
    ensure!(said.status == Some(status), "{what}: {said:?}");
    let body = said.bodies.get(&FIRST).with_context(|| format!("{what}: no document"))?;
    documented(&serde_json::from_slice(body)?, status, code).with_context(|| what.to_owned())
}

/// Checks that a request was taken back without an answer: no service has seen it.
fn taken_back(said: &Said, what: &str) -> Result<()> {
    let is_told = said.resets.contains(&FIRST) || !said.goaways.is_empty();
    ensure!(said.answered.is_empty() && is_told, "{what}: {said:?}");
    Ok(())
}

pub(super) async fn a116_bodies_over_the_limit_on_http2(stage: &Stage) -> Result<()> {
    let json = ("content-type", b"application/json".as_slice());
    let longer = (BODY_BYTES_MAX + 1).to_string();
    let announced: [(&str, Fields<'_>); 2] = [
        ("a byte too much", &[json, ("content-length", longer.as_bytes())]),
        ("1 GiB", &[json, ("content-length", b"1073741824"), ("expect", b"100-continue")]),
    ];
    for (what, fields) in announced {
        // The body never comes: whoever waited for it would not answer.
        let head = head_frames(0, FIRST, &with_fields("POST", LOGIN, fields));
        refused(&said_to(stage, what, head).await?, what, 413, "BODY_TOO_LARGE")?;
    }
    let head = head_frames(0, FIRST, &with_fields("POST", LOGIN, &[json]));
    let frames = Frames::open(stage.gateway(0), new_address()).await?;
    // Neither does the end of this one.
    let pouring = frames.pour(&head, BODY_BYTES_MAX + 65_536);
    let said = tokio::time::timeout(LIMIT, pouring).await.context("an endless body is read")??;
    refused(&said, "no length", 413, "BODY_TOO_LARGE")
}

pub(super) async fn a117_doubtful_lengths_on_http2(stage: &Stage) -> Result<()> {
    let post = |fields: Fields<'_>, body: &[u8]| {
        let fields = [&[("content-type", b"application/json".as_slice())][..], fields].concat();
        let head = head_frames(0, FIRST, &with_fields("POST", LOGIN, &fields));
        [head, frame(DATA, END_STREAM, FIRST, body)].concat()
    };
    let cases: [(&str, Fields<'_>); 13] = [
        ("less than its CL", &[("content-length", b"3")]),
        ("more than its CL", &[("content-length", b"1")]),
        ("CL, CL", &[("content-length", b"2"), ("content-length", b"0")]),
        ("a list of CL", &[("content-length", b"2, 2")]),
        ("signed CL", &[("content-length", b"+2")]),
        ("negative CL", &[("content-length", b"-2")]),
        ("hexadecimal CL", &[("content-length", b"0x2")]),
        ("TE", &[("transfer-encoding", b"chunked")]),
        ("CL, TE", &[("content-length", b"2"), ("transfer-encoding", b"chunked")]),
        ("Connection", &[("connection", b"close")]),
        ("Keep-Alive", &[("keep-alive", b"timeout=5")]),
        ("Proxy-Connection", &[("proxy-connection", b"keep-alive")]),
        ("Upgrade", &[("upgrade", b"h2c")]),
    ];
    for (what, fields) in cases {
        taken_back(&said_to(stage, what, post(fields, b"{}")).await?, what)?;
    }
    let what = "a CL without a body";
    let bare = bodyless(&with_fields("POST", LOGIN, &[("content-length", b"2")]));
    taken_back(&said_to(stage, what, bare).await?, what)?;
    // With the length that it has it is a request.
    let (what, body) = ("the right CL", br#"{"email":1}"#);
    let length = body.len().to_string();
    let right = post(&[("content-length", length.as_bytes())], body);
    let said = said_to(stage, what, right).await?;
    ensure!(said.status == Some(422), "{what}: {said:?}");
    Ok(())
}

pub(super) async fn a119_odd_and_large_heads_on_http2(stage: &Stage) -> Result<()> {
    let fields: [(&str, &[u8], &[u8]); 12] = [
        ("CR in a value", b"x", b"a\rb"),
        ("LF in a value", b"x", b"a\nb"),
        ("a line in a value", b"x", b"a\r\ny: z"),
        ("NUL in a value", b"x", b"a\0b"),
        ("a space in a name", b"x y", b"z"),
        ("a colon in a name", b"x:y", b"z"),
        ("CR and LF in a name", b"x\r\ny", b"z"),
        ("no name", b"", b"z"),
        ("a capital in a name", b"X", b"z"),
        ("a control character in a name", b"x\x01", b"z"),
        ("a pseudo-header twice", b":path", b"/"),
        ("a pseudo-header of an answer", b":status", b"200"),
    ];
    for (what, name, value) in fields {
        let mut block = head("GET", "/livez");
        add_field(&mut block, name, value);
        taken_back(&said_to(stage, what, bodyless(&block)).await?, what)?;
    }
    let what = "a pseudo-header behind others";
    let mut late = named(&[(METHOD, "GET"), (SCHEME, "http"), (AUTHORITY, "127.0.0.1")]);
    add_field(&mut late, b"x", b"y");
    late.extend(named(&[(PATH, "/livez")]));
    taken_back(&said_to(stage, what, bodyless(&late)).await?, what)?;
    let long = vec![b'a'; 65_536];
    let field: (&str, &[u8]) = ("x", b"y");
    for (what, fields) in
        [("101 headers", vec![field; 101]), ("a long header", vec![("x", long.as_slice())])]
    {
        let large = bodyless(&with_fields("GET", "/livez", &fields));
        refused(&said_to(stage, what, large).await?, what, 431, "HEADERS_TOO_LARGE")?;
    }
    let what = "100 headers";
    let many = bodyless(&with_fields("GET", "/livez", &[field; 100]));
    served(&said_to(stage, what, many).await?, what)
}

pub(super) async fn a120_odd_targets_and_hosts_on_http2(stage: &Stage) -> Result<()> {
    let get = |scheme: &str, authority: Option<&str>, hosts: &[&str]| {
        let mut block = named(&[(METHOD, "GET"), (SCHEME, scheme), (PATH, "/livez")]);
        if let Some(authority) = authority {
            block.extend(named(&[(AUTHORITY, authority)]));
        }
        for host in hosts {
            add_field(&mut block, b"host", host.as_bytes());
        }
        bodyless(&block)
    };
    // The fleet of this catalogue is told which hosts are its own.
    let foreign: [(&str, Option<&str>, &[&str]); 12] = [
        ("http", Some("evil.example"), &[]),
        ("http", Some("127.0.0.1.evil.example"), &[]),
        ("http", Some("127.0.0.2"), &[]),
        ("http", Some("user@127.0.0.1"), &[]),
        ("http", Some("127.0.0.1"), &["evil.example"]),
        ("http", Some("evil.example"), &["127.0.0.1"]),
        ("http", Some("127.0.0.1"), &["127.0.0.1", "127.0.0.1"]),
        ("http", None, &[]),
        ("http", None, &[""]),
        ("http", None, &["evil.example"]),
        ("http", None, &["127.0.0.1", "evil.example"]),
        ("ftp", Some("127.0.0.1"), &[]),
    ];
    for (scheme, authority, hosts) in foreign {
        let what = format!("{scheme} {authority:?} {hosts:?}");
        let said = said_to(stage, &what, get(scheme, authority, hosts)).await?;
        refused(&said, &what, 400, "HOST_INVALID")?;
    }
    let ours: [(Option<&str>, &[&str]); 3] =
        [(Some("127.0.0.1"), &[]), (Some("127.0.0.1"), &["127.0.0.1"]), (None, &["127.0.0.1"])];
    for (authority, hosts) in ours {
        let what = format!("{authority:?} {hosts:?}");
        served(&said_to(stage, &what, get("http", authority, hosts)).await?, &what)?;
    }
    for (what, path) in [("no path", ""), ("a path of no URI", "/\0"), ("a bare word", "livez")] {
        taken_back(&said_to(stage, what, bodyless(&head("GET", path))).await?, what)?;
    }
    let long =
        |kilobytes: usize| bodyless(&head("GET", &format!("/{}", "a".repeat(kilobytes << 10))));
    let what = "a path of 40 KiB";
    refused(&said_to(stage, what, long(40)).await?, what, 414, "URI_TOO_LONG")?;
    // Longer than any URI that the library has room for: it does not read it.
    let what = "a path of 70 KiB";
    let said = said_to(stage, what, long(70)).await?;
    ensure!(said.status == Some(431), "{what}: {said:?}");
    Ok(())
}

pub(super) async fn a124_methods_that_a_path_lacks_on_http2(stage: &Stage) -> Result<()> {
    for (method, path) in
        [("TRACE", LOGIN), ("FOO", LOGIN), ("PUT", LOGIN), ("DELETE", "/api/v1/products")]
    {
        let what = format!("{method} {path}");
        let said = said_to(stage, &what, bodyless(&head(method, path))).await?;
        refused(&said, &what, 405, "METHOD_NOT_ALLOWED")?;
    }
    for far_end in ["127.0.0.1:22", "127.0.0.1", "evil.example:443"] {
        let tunnel = bodyless(&named(&[(METHOD, "CONNECT"), (AUTHORITY, far_end)]));
        let said = said_to(stage, far_end, tunnel).await?;
        ensure!(matches!(said.status, Some(400 | 404 | 405)), "CONNECT {far_end}: {said:?}");
    }
    let what = "CONNECT to a path";
    taken_back(&said_to(stage, what, bodyless(&head("CONNECT", LOGIN))).await?, what)?;
    // RFC 8441: nobody has said that this is spoken.
    let what = "CONNECT for another protocol";
    let mut extended = named(&[(METHOD, "CONNECT")]);
    add_field(&mut extended, b":protocol", b"websocket");
    extended.extend(named(&[(SCHEME, "http"), (PATH, "/livez"), (AUTHORITY, "127.0.0.1")]));
    taken_back(&said_to(stage, what, bodyless(&extended)).await?, what)
}
