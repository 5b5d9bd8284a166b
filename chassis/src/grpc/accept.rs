//! Accepts connections for the gRPC server, and finds out who is at their other end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::handshakes::Handshakes;
use crate::error::Chain;
use crate::identity::{self, Identity, Peer};

/// Pause after the system had no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(50);

/// How every connection of TLS begins (RFC 8446, section 5.1), and none of HTTP/2.
const TLS_HANDSHAKE: u8 = 0x16;

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
    let gate = Gate { listener, identity, handshakes: Handshakes::new() };
    futures::stream::unfold(gate, async |mut gate| {
        let connection = gate.next().await;
        Some((Ok(connection), gate))
    })
}

struct Gate {
    listener: TcpListener,
    identity: Option<Arc<Identity>>,
    handshakes: Handshakes<Connection>,
}

impl Gate {
    async fn next(&mut self) -> Connection {
        loop {
            let (stream, address) = tokio::select! {
                biased;
                Some(ended) = self.handshakes.ended() => match ended {
                    Ok(connection) => return connection,
                    Err(error) => {
                        refused(&error);
                        continue;
                    }
                },
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => (stream, peer.ip()),
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
            let Some(identity) = &self.identity else {
                return Connection::plain(stream);
            };
            let handshake = within_time(Arc::clone(identity), stream);
            if let Err(error) = self.handshakes.begin(address, handshake) {
                refused(&error);
            }
        }
    }
}

impl Connection {
    fn plain(stream: TcpStream) -> Self {
        Self { stream: Stripped::Plain(stream), peer: Peer::Unproven }
    }
}

async fn within_time(identity: Arc<Identity>, stream: TcpStream) -> io::Result<Connection> {
    timeout(identity.handshake_timeout(), meet(&identity, stream))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Completes the handshake and reads the caller's name; on the way from plain text to certificates
/// a caller without one is taken as it is.
async fn meet(identity: &Identity, stream: TcpStream) -> io::Result<Connection> {
    if !identity.demands_proof() && !begins_with_tls(&stream).await? {
        metrics::counter!("eh_tls_plain_text_connections_total").increment(1);
        return Ok(Connection::plain(stream));
    }
    let stream = identity.acceptor().accept(stream).await?;
    let (_, session) = stream.get_ref();
    let peer = identity::peer_of(session.peer_certificates()).map_err(io::Error::other)?;
    Ok(Connection { stream: Stripped::Tls(Box::new(stream)), peer: Peer::Service(peer) })
}

/// Looks at the first byte without taking it.
async fn begins_with_tls(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first == [TLS_HANDSHAKE]),
    }
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
