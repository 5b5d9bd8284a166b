//! Accepts connections for the gRPC server, and finds out who is at their other end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::error::Chain;
use crate::identity::{self, Identity, Peer};

/// Handshakes under way at once. Further connections wait in the kernel's queue, so that a flood
/// of strangers costs a bounded part of the process.
const HANDSHAKES_MAX: usize = 256;

/// Pause after the system had no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(50);

/// A connection whose other end is known as far as it will be.
pub(super) struct Connection {
    stream: Stripped,
    peer: Peer,
}

enum Stripped {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Yields connections as they come; those of callers that do not prove who they are, where an
/// identity is demanded, are closed and not yielded.
pub(super) fn incoming(
    listener: TcpListener,
    identity: Option<Arc<Identity>>,
) -> impl Stream<Item = io::Result<Connection>> {
    let gate = Gate { listener, identity, handshakes: JoinSet::new() };
    futures::stream::unfold(gate, async |mut gate| {
        let connection = gate.next().await;
        Some((Ok(connection), gate))
    })
}

struct Gate {
    listener: TcpListener,
    identity: Option<Arc<Identity>>,
    handshakes: JoinSet<io::Result<Connection>>,
}

impl Gate {
    async fn next(&mut self) -> Connection {
        loop {
            let has_room = self.handshakes.len() < HANDSHAKES_MAX;
            let stream = tokio::select! {
                Some(finished) = self.handshakes.join_next() => {
                    match finished.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
                        Ok(connection) => return connection,
                        Err(error) => refused(&error),
                    }
                    continue;
                }
                accepted = self.listener.accept(), if has_room => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        // Whoever gave up meanwhile is no trouble; being out of descriptors is.
                        tracing::warn!(%error, "connection not accepted");
                        sleep(NO_ROOM).await;
                        continue;
                    }
                },
            };
            // Nagle's algorithm would hold back small replies until the peer's delayed
            // acknowledgement.
            let _ = stream.set_nodelay(true);
            match &self.identity {
                None => {
                    return Connection { stream: Stripped::Plain(stream), peer: Peer::Unproven };
                }
                Some(identity) => {
                    self.handshakes.spawn(prove(Arc::clone(identity), stream));
                }
            }
        }
    }
}

/// Completes the handshake and reads the caller's name.
async fn prove(identity: Arc<Identity>, stream: TcpStream) -> io::Result<Connection> {
    let handshake = identity.acceptor().accept(stream);
    let stream = timeout(identity.handshake_timeout(), handshake)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let certificate = certificate.ok_or_else(|| io::Error::other("no certificate"))?;
    let peer = identity::service_of(certificate).map_err(io::Error::other)?;
    Ok(Connection { stream: Stripped::Tls(Box::new(stream)), peer: Peer::Service(peer) })
}

/// Anybody who finds the port can cause this, hence a number for alarms and no line in the log.
fn refused(error: &io::Error) {
    metrics::counter!("eh_tls_handshakes_refused_total").increment(1);
    tracing::debug!(error = %Chain(error), "caller did not prove who it is");
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

/// Delegates to whichever stream it is.
macro_rules! stream {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.get_mut().stream {
            Stripped::Plain(inner) => {
                let $stream = Pin::new(inner);
                $call
            }
            Stripped::Tls(inner) => {
                let $stream = Pin::new(inner.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        stream!(self, stream => stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        stream!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        stream!(self, stream => stream.poll_write_vectored(cx, buffers))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stripped::Plain(stream) => stream.is_write_vectored(),
            Stripped::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, stream => stream.poll_shutdown(cx))
    }
}
