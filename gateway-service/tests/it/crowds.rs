//! Many clients at once, none of which wants an answer soon.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Gateway, PATIENCE};
use crate::port::Port;

const LOGIN: &str = "/api/v1/auth/login";

/// A login whose body never comes.
fn half_a_login() -> String {
    format!(
        "POST {LOGIN} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    )
}

/// Bodies that never come must not keep out those who ask for something.
#[tokio::test]
async fn bodies_on_their_way_take_nobodys_place() {
    let gateway = Gateway::with(&[
        ("SERVER__MAX_CONCURRENCY", "2"),
        ("HTTP__MAX_BODIES_PER_ADDRESS", "20"),
        ("HTTP__BODY_READ_TIMEOUT_MS", "9000"),
    ])
    .await;
    let port = Port::open(&gateway).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        stream.write_all(half_a_login().as_bytes()).await.unwrap();
        slow.push(stream);
    }
    // All of them wait for the rest when one more is too many.
    let refused = async {
        loop {
            let answer = port.answer(half_a_login()).await;
            if answer.status == 429 {
                return answer.code(LOGIN);
            }
        }
    };
    assert_eq!(timeout(PATIENCE, refused).await.unwrap(), "RATE_LIMITED");
    let get = "GET /api/v1/products HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    for _ in 0..5 {
        assert_eq!(port.answer(get).await.status, 200);
    }
    drop(slow);
}

#[tokio::test]
async fn an_address_holds_so_many_connections() {
    let gateway = Gateway::with(&[("HTTP__MAX_CONNECTIONS_PER_ADDRESS", "3")]).await;
    let port = Port::open(&gateway).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        held.push(stream);
    }
    let get = "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(port.exchange(get).await.is_empty(), "closed without a word");
    held.pop();
    let served = async { while port.exchange(get).await.is_empty() {} };
    timeout(PATIENCE, served).await.unwrap();
}
