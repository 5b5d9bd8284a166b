//! A gateway behind a real port, and clients that send it bytes.

use std::net::SocketAddr;

use chassis::http::serve;
use chassis::shutdown::Shutdown;
use gateway_service::app;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::{Gateway, PATIENCE};
use crate::replies::check_form;

/// A port of the loopback interface; closed when dropped.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Port {
    /// Opens a port with the limits of the gateway's configuration.
    pub(crate) async fn open(gateway: &Gateway) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = app::port(&gateway.config, gateway.router.clone());
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, app, Shutdown::new()));
        Self { address, _serving: serving }
    }

    /// Sends these bytes, and reads until the gateway closes.
    pub(crate) async fn exchange(&self, bytes: impl AsRef<[u8]>) -> Vec<Message> {
        exchange(self.address, bytes).await
    }

    /// As above, with a chance for the gateway to read the bytes before `cut` first.
    pub(crate) async fn exchange_cut(&self, bytes: &str, cut: usize) -> Vec<Message> {
        let (first, second) = bytes.as_bytes().split_at(cut);
        exchange_pieces(self.address, &[first, second]).await
    }

    /// The one answer to these bytes.
    pub(crate) async fn answer(&self, bytes: impl AsRef<[u8]>) -> Message {
        let mut messages = self.exchange(bytes).await;
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages.remove(0)
    }
}

/// Sends these bytes to `address`, and reads until the other side closes.
pub(crate) async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Vec<Message> {
    exchange_pieces(address, &[bytes.as_ref()]).await
}

async fn exchange_pieces(address: SocketAddr, pieces: &[&[u8]]) -> Vec<Message> {
    let talking = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in pieces {
            // Who refuses early may close before everything is sent.
            let _ = stream.write_all(piece).await;
            // The other side reads when this one has nothing to do.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        }
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        said
    };
    Message::parse(&timeout(PATIENCE, talking).await.unwrap())
}

/// An answer as it is on the wire.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// Takes apart what was said on one connection; no answer here has a length of its own making.
    fn parse(mut said: &[u8]) -> Vec<Self> {
        let mut messages = Vec::new();
        while let Some(end) = said.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(said[..end].to_vec()).unwrap().to_lowercase();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            let length = header(&head, "content-length").map_or(0, |text| text.parse().unwrap());
            let (body, rest) = said[end + 4..].split_at(length);
            messages.push(Self { status, head, body: body.to_vec() });
            said = rest;
        }
        assert!(said.is_empty(), "{}", String::from_utf8_lossy(said));
        messages
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// The code of a refusal of `path`, after a look at its form.
    pub(crate) fn code(&self, path: &str) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        check_form(&problem, self.status, path);
        problem["code"].as_str().unwrap().to_owned()
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
    lines.find(|(known, _)| *known == name).map(|(_, value)| value)
}
