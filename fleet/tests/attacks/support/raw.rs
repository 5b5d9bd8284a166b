//! Bytes on a connection, for what no client library would send.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fleet::harness::Reply;
pub(crate) use fleet::harness::raw::connect_from;
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::stage::new_address;

/// How long the other side may take to answer and to close.
const LIMIT: Duration = Duration::from_secs(20);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Sends these bytes to a gateway on a new connection and returns everything that comes until the
/// other side closes it. Ask for that by `connection: close`, unless the bytes are bad enough.
pub(crate) async fn exchange(base: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut stream = connect_from(base, new_address()).await?;
    // Whoever refuses early may close before all of it is sent.
    let _ = stream.write_all(bytes).await;
    read_to_end(stream).await
}

/// Everything that comes until the other side closes the connection.
pub(crate) async fn read_to_end(stream: TcpStream) -> Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut stream = stream.take(ANSWER_BYTES_MAX);
    let read = stream.read_to_end(&mut answer);
    match tokio::time::timeout(LIMIT, read).await.context("the connection stays open")? {
        Ok(_) => Ok(answer),
        // A reset after the answer: the other side did not want the rest.
        Err(_) if !answer.is_empty() => Ok(answer),
        Err(error) => Err(error.into()),
    }
}

/// Sends one request as it is and reads its answer.
pub(crate) async fn ask(base: &str, bytes: &[u8]) -> Result<Reply> {
    let start = Instant::now();
    let answer = exchange(base, bytes).await?;
    let mut reply = parse(&answer)?;
    reply.elapsed = start.elapsed();
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    reply.request = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
    Ok(reply)
}

/// A request with these headers and this body; the connection is closed after it.
pub(crate) fn request(line: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Vec<u8> {
    let head = format!("{line} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n");
    let mut bytes = head.into_bytes();
    if !body.is_empty() {
        bytes.extend(format!("content-length: {}\r\n", body.len()).into_bytes());
    }
    for (name, value) in headers {
        bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    [bytes.as_slice(), b"\r\n", body].concat()
}

/// Reads one answer that is not chunked.
pub(crate) fn parse(answer: &[u8]) -> Result<Reply> {
    let answer = String::from_utf8_lossy(answer);
    let shown = || format!("not an answer: {answer:.200}");
    let (head, body) = answer.split_once("\r\n\r\n").with_context(shown)?;
    let mut lines = head.lines();
    let first = lines.next().with_context(shown)?;
    ensure!(first.starts_with("HTTP/1."), "{}", shown());
    let status = first.split(' ').nth(1).and_then(|text| text.parse().ok()).with_context(shown)?;
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.append(HeaderName::from_bytes(name.as_bytes())?, value.parse()?);
    }
    let body = match serde_json::from_str(body) {
        Ok(value) => value,
        Err(_) if body.is_empty() => Value::Null,
        Err(_) => Value::String(body.to_owned()),
    };
    Ok(Reply { request: String::new(), status, headers, body, elapsed: Duration::ZERO })
}
