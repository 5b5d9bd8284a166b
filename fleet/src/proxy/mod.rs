//! A TCP proxy that misbehaves on request: stands between a service and something it depends on.
//!
//! Every connection goes through as it is until somebody sets another [`Mode`], which then also holds
//! for the connections that are open. The strongest mode is [`Mode::LoseReplies`]: what was asked for
//! happens, and nobody hears of it.

mod connection;
mod door;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::door::{Door, Line};

/// How a proxy treats its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything goes through.
    Pass,
    /// New connections are refused, as if nobody listened; open ones are reset now.
    Refuse,
    /// New connections are taken and reset at once, open ones now.
    Reset,
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

impl Mode {
    /// Whether no connection lives in it.
    fn is_deadly(self) -> bool {
        matches!(self, Self::Refuse | Self::Reset)
    }
}

/// A running proxy; its connections end with it.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    upstream: Arc<AtomicU16>,
    mode: watch::Sender<Mode>,
    cut: watch::Sender<()>,
    carried: Arc<AtomicU64>,
    door: watch::Receiver<Door>,
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
        let (door, seen) = watch::channel(Door::Open);
        let line = Line {
            port,
            upstream: Arc::clone(&upstream),
            mode: mode.clone(),
            cut: cut.clone(),
            carried: Arc::clone(&carried),
            door,
        };
        let mut serving = JoinSet::new();
        serving.spawn(line.serve(listener));
        Ok(Self { port, upstream, mode, cut, carried, door: seen, _serving: serving })
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Leads new connections elsewhere.
    pub fn set_upstream(&self, port: u16) {
        self.upstream.store(port, Ordering::Relaxed);
    }

    /// Treats all connections so from now on; [`Self::settled`] tells when the port is closed or
    /// open accordingly.
    pub fn set_mode(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Waits until connections are refused or taken, as the mode demands. A port that could not be
    /// had again is an error.
    pub async fn settled(&self) -> Result<()> {
        let wanted = if self.mode() == Mode::Refuse { Door::Closed } else { Door::Open };
        let mut door = self.door.clone();
        let fits = |door: &Door| *door == wanted || matches!(door, Door::Lost(_));
        let found = door.wait_for(fits).await.context("the proxy has ended")?.clone();
        if let Door::Lost(reason) = found {
            bail!(reason);
        }
        Ok(())
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

/// Closes a connection by a reset, so that the peer does not take it for an orderly end.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}
