//! Connections for bytes that no client library would send.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::api::Reply;

/// How long the other side may take to answer and to close.
const LIMIT: Duration = Duration::from_secs(20);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Connects to a gateway from that address.
pub async fn connect_from(base: &str, address: IpAddr) -> Result<TcpStream> {
    let url = Url::parse(base)?;
    let port = url.port().context("a gateway without a port")?;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(address, 0))?;
    Ok(socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await?)
}

/// An address of this machine that no other client has.
pub fn new_address() -> IpAddr {
    let [one, two] = rand::random::<[u8; 2]>();
    IpAddr::V4(Ipv4Addr::new(127, one.max(1), two, rand::random_range(1..=254)))
}

/// Sends these bytes to a gateway on a new connection from that address and returns everything that
/// comes until the other side closes it. Ask for that by `connection: close`, unless the bytes are bad
/// enough.
pub async fn exchange(base: &str, address: IpAddr, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut stream = connect_from(base, address).await?;
    // Whoever refuses early may close before all of it is sent.
    let _ = stream.write_all(bytes).await;
    read_to_end(stream).await
}

/// A request with these headers and this body; the connection is closed after it.
pub fn request(line: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Vec<u8> {
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
pub fn parse(answer: &[u8]) -> Result<Reply> {
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

/// Everything that comes until the other side closes the connection.
async fn read_to_end(stream: TcpStream) -> Result<Vec<u8>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_tells_how_long_its_body_is_and_that_nothing_follows() {
        let with_body = request("POST /x", &[("x-one", b"1")], b"{}");
        let expected = "POST /x HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
                        content-length: 2\r\nx-one: 1\r\n\r\n{}";
        assert_eq!(String::from_utf8(with_body).unwrap(), expected);
        let without = String::from_utf8(request("GET /x", &[], b"")).unwrap();
        assert!(!without.contains("content-length"), "{without}");
    }

    #[test]
    fn an_answer_is_read_and_anything_else_is_none() {
        let reply =
            parse(b"HTTP/1.1 429 Too Many\r\nretry-after: 3\r\n\r\n{\"code\":\"X\"}").unwrap();
        assert_eq!(
            (reply.status, reply.header("retry-after"), reply.code()),
            (429, Some("3"), "X")
        );
        for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 x\r\n\r\n"] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }
}
