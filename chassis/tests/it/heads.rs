//! Heads of HTTP/2 that are larger than they may be.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use chassis::http::{HttpApp, HttpServerConfig, Refusal, serve};
use chassis::shutdown::Shutdown;
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Types of frames, and their flags.
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const SETTINGS: u8 = 0x4;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// Largest payload of a frame.
const FRAME_BYTES_MAX: usize = 16 * 1_024;

/// Names and values of header fields.
type Fields<'a> = &'a [(&'a str, &'a str)];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Text as it stands in a head, uncompressed (RFC 7541, section 5.2).
fn text(value: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut left = value.len();
    if left < 0x7f {
        bytes.push(u8::try_from(left).unwrap());
    } else {
        bytes.push(0x7f);
        left -= 0x7f;
        while left >= 0x80 {
            bytes.push(u8::try_from(left % 0x80).unwrap() | 0x80);
            left /= 0x80;
        }
        bytes.push(u8::try_from(left).unwrap());
    }
    bytes.extend(value.as_bytes());
    bytes
}

/// A request for this path with these fields, in as many frames as it needs.
fn ask(stream: u32, path: &str, fields: Fields<'_>) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04]; // GET, http, :path
    block.extend(text(path));
    block.push(0x01); // :authority
    block.extend(text("x"));
    for (name, value) in fields {
        block.push(0x00);
        block.extend(text(name));
        block.extend(text(value));
    }
    let pieces: Vec<&[u8]> = block.chunks(FRAME_BYTES_MAX).collect();
    let mut frames = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let (kind, flags) = if number == 0 { (HEADERS, END_STREAM) } else { (CONTINUATION, 0) };
        let last = if number + 1 == pieces.len() { END_HEADERS } else { 0 };
        frames.extend(frame(kind, flags | last, stream, piece));
    }
    frames
}

/// Says which refusal it is.
fn named(refusal: &Refusal<'_>) -> Response<Bytes> {
    let text = format!("{} {}", refusal.status.as_u16(), refusal.path);
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = refusal.status;
    response
}

async fn server() -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/", get(|| async { "served" }));
    let app = HttpApp { refuse: named, ..HttpApp::new(router, HttpServerConfig::default()) };
    let mut serving = JoinSet::new();
    serving.spawn(serve(listener, app, Shutdown::new()));
    (port, serving)
}

/// The body of the answer on this stream.
async fn answer(connection: &mut TcpStream, stream: u32) -> String {
    let mut body = Vec::new();
    let mut head = [0; 9];
    loop {
        connection.read_exact(&mut head).await.unwrap();
        let [a, b, c, kind, flags, number @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        connection.read_exact(&mut payload).await.unwrap();
        if u32::from_be_bytes(number) != stream || !matches!(kind, DATA | HEADERS) {
            continue;
        }
        if kind == DATA {
            body.extend(payload);
        }
        if flags & END_STREAM != 0 {
            return String::from_utf8(body).unwrap();
        }
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_with_words_and_its_connection_goes_on() {
    let (port, _serving) = server().await;
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    connection.write_all(&frame(SETTINGS, 0, 0, b"")).await.unwrap();
    let path = format!("/{}", "a".repeat(40 * 1_024));
    let long = "a".repeat(64 * 1_024);
    let (path, long) = (path.as_str(), long.as_str());
    let cases: [(&str, &str, Fields<'_>, &str); 6] = [
        ("a usual one", "/", &[("x", "y")], "served"),
        ("100 fields", "/", &[("x", "y"); 100], "served"),
        ("101 fields", "/", &[("x", "y"); 101], "431 /"),
        ("a field of 64 KiB", "/", &[("x", long)], "431 /"),
        ("a path of 40 KiB", path, &[], "414 "),
        ("a usual one after all that", "/", &[], "served"),
    ];
    for (stream, (what, path, fields, expected)) in (0..).map(|number| 2 * number + 1).zip(cases) {
        connection.write_all(&ask(stream, path, fields)).await.unwrap();
        let body = timeout(PATIENCE, answer(&mut connection, stream)).await.unwrap();
        assert_eq!(body, expected, "{what}");
    }
}
