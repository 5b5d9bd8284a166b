//! A TCP proxy in front of a server, which can go silent, lose replies or break connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the proxy does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes everything.
    Pass,
    /// Swallows what either side says; nobody is told.
    Silent,
    /// Passes requests and swallows replies.
    LoseReplies,
    /// Breaks connections, old and new.
    Break,
}

/// A proxy in front of one server; stops with the test's runtime.
pub(crate) struct Proxy {
    address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
    accepted: Arc<AtomicUsize>,
    _task: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy in front of the server of `url` and returns it with the url through it.
    pub(crate) async fn before(url: &str, mode: Mode) -> (Self, String) {
        let start = url.find('@').map_or_else(|| url.find("//").unwrap() + 2, |at| at + 1);
        let end = url[start..].find('/').map_or(url.len(), |slash| start + slash);
        let target = url[start..end].to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = Arc::new(watch::Sender::new(mode));
        let accepted = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(listener, target, Arc::clone(&mode), Arc::clone(&accepted)));
        let through = format!("{}{address}{}", &url[..start], &url[end..]);
        (Self { address, mode, accepted, _task: task }, through)
    }

    /// Changes what happens to connections, old and new.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// How many connections were tried so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Where the proxy listens.
    #[expect(dead_code, reason = "for a look while debugging a test")]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(
    listener: TcpListener,
    target: String,
    mode: Arc<watch::Sender<Mode>>,
    accepted: Arc<AtomicUsize>,
) {
    while let Ok((client, _)) = listener.accept().await {
        accepted.fetch_add(1, Ordering::SeqCst);
        let mut changes = mode.subscribe();
        if *changes.borrow_and_update() == Mode::Break {
            continue;
        }
        let Ok(server) = TcpStream::connect(&target).await else {
            continue;
        };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::spawn(pump(from_client, to_server, changes.clone(), |mode| mode != Mode::Silent));
        tokio::spawn(pump(from_server, to_client, changes, |mode| mode == Mode::Pass));
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    passes: fn(Mode) -> bool,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            _ = mode.changed() => Ok(usize::MAX),
            read = from.read(&mut buffer) => read,
        };
        let now = *mode.borrow_and_update();
        match read {
            _ if now == Mode::Break => return,
            Ok(usize::MAX) => {}
            Ok(0) | Err(_) => return,
            Ok(length) if passes(now) && to.write_all(&buffer[..length]).await.is_err() => return,
            Ok(_) => {}
        }
    }
}
