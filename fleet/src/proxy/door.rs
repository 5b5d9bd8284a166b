//! The door of a proxy: takes connections, and is closed while they are to be refused.
//!
//! A port that is bound and not listened on refuses whoever calls, and belongs to nobody else. So the
//! port is kept while the door is closed, and listened on again when the mode ends.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Mode, connection};

/// Pause after the system refused a connection, or the port.
const PAUSE: Duration = Duration::from_millis(50);
/// A port that cannot be had again within this time is lost.
const PORT_LIMIT: Duration = Duration::from_secs(2);
/// Connections that may wait to be taken.
const BACKLOG: u32 = 1024;

/// Whether connections are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// They are taken.
    Open,
    /// They are refused.
    Closed,
    /// They never will be taken again, and why.
    Lost(String),
}

/// What all connections of a proxy share.
pub(super) struct Line {
    pub(super) port: u16,
    pub(super) upstream: Arc<AtomicU16>,
    pub(super) mode: watch::Sender<Mode>,
    pub(super) cut: watch::Sender<()>,
    pub(super) carried: Arc<AtomicU64>,
    pub(super) door: watch::Sender<Door>,
}

impl Line {
    /// Serves until the port is lost.
    pub(super) async fn serve(self, mut listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            self.accept(&listener, &mut connections).await;
            if let Some(open) = self.close(listener) {
                listener = open;
                continue;
            }
            match self.reopened().await {
                Ok(open) => listener = open,
                Err(error) => {
                    let lost = format!("port {} of a proxy is lost: {error:#}", self.port);
                    self.door.send_replace(Door::Lost(lost));
                    return;
                }
            }
        }
    }

    /// Takes connections until they are to be refused.
    async fn accept(&self, listener: &TcpListener, connections: &mut JoinSet<()>) {
        let mut mode = self.mode.subscribe();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((client, _)) = accepted else {
                        // Out of descriptors: those that end make room.
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    };
                    self.carried.fetch_add(1, Ordering::Relaxed);
                    let port = self.upstream.load(Ordering::Relaxed);
                    let upstream = SocketAddr::from(([127, 0, 0, 1], port));
                    let orders = (self.mode.subscribe(), self.cut.subscribe());
                    connections.spawn(connection::carry(client, upstream, orders));
                }
                () = refusal(&mut mode) => return,
                Some(_ended) = connections.join_next() => {}
            }
        }
    }

    /// Closes the door, unless another mode was set meanwhile. None can be set in between: whoever
    /// sets one afterwards finds the door closed, and can wait for it to open.
    fn close(&self, listener: TcpListener) -> Option<TcpListener> {
        let mode = self.mode.borrow();
        if *mode != Mode::Refuse {
            return Some(listener);
        }
        drop(listener);
        self.door.send_replace(Door::Closed);
        None
    }

    /// Keeps the port until the mode ends, and listens on it again.
    async fn reopened(&self) -> Result<TcpListener> {
        let kept = self.keep_port().await?;
        let mut mode = self.mode.subscribe();
        let other = mode.wait_for(|mode| *mode != Mode::Refuse).await;
        // Held until the door is open: whoever sets a mode afterwards finds it so.
        let _other = other.context("nobody sets a mode")?;
        let listener = kept.listen(BACKLOG)?;
        self.door.send_replace(Door::Open);
        Ok(listener)
    }

    async fn keep_port(&self) -> Result<TcpSocket> {
        let end = Instant::now() + PORT_LIMIT;
        loop {
            match self.bind() {
                Ok(socket) => return Ok(socket),
                Err(error) if Instant::now() > end => return Err(error.into()),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn bind(&self) -> io::Result<TcpSocket> {
        let socket = TcpSocket::new_v4()?;
        // Connections that came in through this port may not be over yet.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], self.port)))?;
        Ok(socket)
    }
}

/// Resolves when connections are to be refused.
async fn refusal(mode: &mut watch::Receiver<Mode>) {
    // Whoever waits holds a sender, hence there is always one.
    let _ = mode.wait_for(|mode| *mode == Mode::Refuse).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::proxy::Proxy;

    async fn started() -> (TcpListener, Proxy) {
        let upstream = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let proxy = Proxy::start(upstream.local_addr().unwrap().port()).await.unwrap();
        (upstream, proxy)
    }

    async fn through(proxy: &Proxy) -> io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", proxy.port())).await
    }

    async fn set(proxy: &Proxy, mode: Mode) {
        proxy.set_mode(mode);
        proxy.settled().await.unwrap();
    }

    #[tokio::test]
    async fn who_comes_is_refused_and_served_again_on_the_same_port() {
        let (upstream, proxy) = started().await;
        for _ in 0..3 {
            set(&proxy, Mode::Refuse).await;
            let error = through(&proxy).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            set(&proxy, Mode::Pass).await;
            let mut client = through(&proxy).await.unwrap();
            let (mut server, _) = upstream.accept().await.unwrap();
            server.write_all(b"hello").await.unwrap();
            let mut reply = [0; 5];
            client.read_exact(&mut reply).await.unwrap();
            assert_eq!(&reply, b"hello");
        }
        assert_eq!(proxy.connections(), 3, "a refused connection is none");
    }

    #[tokio::test]
    async fn what_is_open_is_reset_when_the_door_closes() {
        let (upstream, proxy) = started().await;
        let mut open = through(&proxy).await.unwrap();
        let (mut server, _) = upstream.accept().await.unwrap();
        set(&proxy, Mode::Refuse).await;
        assert!(open.read(&mut [0; 8]).await.is_err());
        assert!(server.read(&mut [0; 8]).await.is_err());
    }

    #[tokio::test]
    async fn a_door_that_is_open_is_settled_in_every_other_mode() {
        let (_upstream, proxy) = started().await;
        for mode in [Mode::Reset, Mode::Blackhole, Mode::LoseReplies, Mode::Pass] {
            set(&proxy, mode).await;
        }
        through(&proxy).await.unwrap();
    }

    #[tokio::test]
    async fn a_port_that_somebody_else_took_is_reported() {
        let (_upstream, proxy) = started().await;
        set(&proxy, Mode::Refuse).await;
        let _taken = TcpListener::bind(("127.0.0.1", proxy.port())).await.unwrap();
        proxy.set_mode(Mode::Pass);
        let error = proxy.settled().await.unwrap_err().to_string();
        assert!(error.contains(&format!("port {} of a proxy is lost", proxy.port())), "{error}");
    }
}
