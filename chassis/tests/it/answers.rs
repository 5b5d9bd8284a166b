//! Answers of which a client of HTTP/2 takes less than it could.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use chassis::http::{HttpApp, HttpServerConfig, serve};
use chassis::shutdown::Shutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lengths of answers: one that is handed on at once, and one that is not.
const SHORT: usize = 1_000;
const LONG: usize = 1_024 * 1_024;

/// Types of frames, and the flags that a request ends with.
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const SETTINGS: u8 = 0x4;
const WINDOW_UPDATE: u8 = 0x8;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// How a client takes an answer.
#[derive(Clone, Copy, Debug)]
struct Manner {
    path: &'static str,
    /// The window that each stream begins with.
    window: u32,
    /// How often one byte is added to it, each time for a frame that came.
    steps: usize,
}

/// What came of an answer.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    /// All of it.
    Whole(usize),
    /// The beginning; then the server closed.
    Part(usize),
}

/// Asks once, and takes the answer until one side has enough.
async fn take(port: u16, manner: Manner) -> Taken {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let path = manner.path.as_bytes();
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path);
    block.extend([0x01, 0x01, b'x']); // :authority
    let settings = [&[0, 4][..], &manner.window.to_be_bytes()[..]].concat();
    let request = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, &settings),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block),
    ];
    stream.write_all(&request.concat()).await.unwrap();
    let (mut taken, mut steps) = (0, 0);
    let mut head = [0; 9];
    while stream.read_exact(&mut head).await.is_ok() {
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        if stream.read_exact(&mut payload).await.is_err() {
            break;
        }
        if kind != DATA {
            continue;
        }
        taken += payload.len();
        if flags & END_STREAM != 0 {
            return Taken::Whole(taken);
        }
        if steps < manner.steps {
            steps += 1;
            let one = 1_u32.to_be_bytes();
            let wider = [frame(WINDOW_UPDATE, 0, 0, &one), frame(WINDOW_UPDATE, 0, 1, &one)];
            // Who is cut off finds out by reading.
            let _ = stream.write_all(&wider.concat()).await;
        }
    }
    Taken::Part(taken)
}

/// A server with little patience for answers, and much for everything else.
async fn server() -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new()
        .route("/short", get(|| async { vec![b'a'; SHORT] }))
        .route("/long", get(|| async { vec![b'a'; LONG] }));
    let config = HttpServerConfig {
        answer_timeout: Duration::from_millis(500),
        header_read_timeout: Duration::from_mins(10),
        ..HttpServerConfig::default()
    };
    let mut serving = JoinSet::new();
    serving.spawn(serve(listener, HttpApp::new(router, config), Shutdown::new()));
    (port, serving)
}

#[tokio::test]
async fn an_answer_is_taken_in_time_however_little_the_window_opens() {
    let (port, _serving) = server().await;
    let mut clients = JoinSet::new();
    for path in ["/short", "/long"] {
        for (window, steps) in [(0, 0), (1, 0), (1, 10)] {
            clients.spawn(async move {
                let manner = Manner { path, window, steps };
                let taken = timeout(PATIENCE, take(port, manner)).await;
                let expected = usize::try_from(window).unwrap() + steps;
                assert_eq!(taken.unwrap(), Taken::Part(expected), "{manner:?}");
            });
        }
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}

#[tokio::test]
async fn taking_one_byte_after_another_gains_no_time() {
    let (port, _serving) = server().await;
    let manner = Manner { path: "/long", window: 1, steps: usize::MAX };
    let taken = timeout(PATIENCE, take(port, manner)).await.unwrap();
    assert!(matches!(taken, Taken::Part(bytes) if bytes < LONG), "{taken:?}");
}

#[tokio::test]
async fn who_has_room_gets_everything() {
    let (port, _serving) = server().await;
    // The window of the connection is that of the protocol, and bounds this one.
    let short = Manner { path: "/short", window: 65_535, steps: 0 };
    assert_eq!(timeout(PATIENCE, take(port, short)).await.unwrap(), Taken::Whole(SHORT));
}
