//! A TCP proxy that misbehaves on request: stands between a service and something it depends on.
//!
//! Every connection goes through as it is until somebody sets another [`Mode`], which then also holds
//! for the connections that are open. The strongest mode is [`Mode::LoseReplies`]: what was asked for
//! happens, and nobody hears of it.

mod connection;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Pause after the system refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a proxy treats its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything goes through.
    Pass,
    /// New connections are reset at once, open ones now.
    Refuse,
    /// Nothing goes through in either direction, and nothing is closed.
    Blackhole,
    /// Each piece goes through this much later.
    Latency(Duration),
    /// At most so many bytes per second go through, in each direction.
    Throttle(u32),
    /// Each piece arrives in slices of so many bytes.
    Slice(usize),
    /// Open connections are reset after so many more bytes of replies.
    CutAfter(usize),
    /// Requests go through, replies do not. The connection is reset when the mode ends.
    LoseReplies,
}

/// A running proxy; its connections end with it.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    upstream: Arc<AtomicU16>,
    mode: watch::Sender<Mode>,
    cut: watch::Sender<()>,
    carried: Arc<AtomicU64>,
    _serving: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy on a free port of 127.0.0.1 before a port of 127.0.0.1.
    pub async fn start(upstream_port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no port for a proxy")?;
        let port = listener.local_addr()?.port();
        let upstream = Arc::new(AtomicU16::new(upstream_port));
        let (mode, _) = watch::channel(Mode::Pass);
        let (cut, _) = watch::channel(());
        let carried = Arc::new(AtomicU64::new(0));
        let line = Line {
            upstream: Arc::clone(&upstream),
            mode: mode.clone(),
            cut: cut.clone(),
            carried: Arc::clone(&carried),
        };
        let mut serving = JoinSet::new();
        serving.spawn(line.serve(listener));
        Ok(Self { port, upstream, mode, cut, carried, _serving: serving })
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Leads new connections elsewhere.
    pub fn set_upstream(&self, port: u16) {
        self.upstream.store(port, Ordering::Relaxed);
    }

    /// Treats all connections so from now on.
    pub fn set_mode(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Resets every open connection; new ones are treated as before.
    pub fn cut_all(&self) {
        self.cut.send_replace(());
    }

    /// Connections that were made through it so far.
    pub fn connections(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// How connections are treated.
    pub fn mode(&self) -> Mode {
        *self.mode.borrow()
    }
}

/// What all connections of a proxy share.
struct Line {
    upstream: Arc<AtomicU16>,
    mode: watch::Sender<Mode>,
    cut: watch::Sender<()>,
    carried: Arc<AtomicU64>,
}

impl Line {
    async fn serve(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((client, _)) = accepted else {
                        // Out of descriptors: those that end make room.
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    };
                    self.carried.fetch_add(1, Ordering::Relaxed);
                    let port = self.upstream.load(Ordering::Relaxed);
                    let upstream = SocketAddr::from(([127, 0, 0, 1], port));
                    let orders = (self.mode.subscribe(), self.cut.subscribe());
                    connections.spawn(connection::carry(client, upstream, orders));
                }
                Some(_ended) = connections.join_next() => {}
            }
        }
    }
}

/// Closes a connection by a reset, so that the peer does not take it for an orderly end.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}
