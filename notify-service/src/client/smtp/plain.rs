//! A connection before TLS. Who answers is not proven yet, so what is believed of it is bounded.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncBufRead as _, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;

/// Most that is read in one session, TLS included. lettre bounds answers too, but only by whole lines.
const READ_MAX: usize = 256 * 1024;

/// Hands a server's answers out line by line. lettre reads ahead, and takes what it has read before TLS
/// for said under TLS: whoever is in between would tell it what the server offers. What follows the
/// answer to `STARTTLS` waits here instead, and ends the handshake.
#[derive(Debug)]
pub(super) struct PlainStream {
    stream: BufReader<TcpStream>,
    left: usize,
}

impl PlainStream {
    /// Reads from a fresh connection.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream: BufReader::new(stream), left: READ_MAX }
    }
}

impl AsyncRead for PlainStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let waiting = ready!(Pin::new(&mut this.stream).poll_fill_buf(cx))?;
        let line = waiting.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
        let taken = line.unwrap_or(waiting.len()).min(buf.remaining());
        let Some(left) = this.left.checked_sub(taken) else {
            let too_much = io::Error::new(io::ErrorKind::InvalidData, "the server says too much");
            return Poll::Ready(Err(too_much));
        };
        buf.put_slice(&waiting[..taken]);
        this.left = left;
        Pin::new(&mut this.stream).consume(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PlainStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for PlainStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.get_ref().peer_addr()
    }
}
