//! A stream that reads on for a while after its last word, and that gives up on a peer who does not
//! listen.
//!
//! A refusal that leaves before its request has arrived (413, 401) would often be lost: closing a
//! socket with unread bytes resets the connection, and the reset overtakes the answer. So the end
//! of writing is announced first, and what still comes is read and thrown away, within bounds.
//!
//! A peer that asks and never reads would keep its place, and the answer in memory, for ever: TCP
//! waits for it as long as it acknowledges. So a write must make progress within [`STALL_MAX`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// How long a peer may go on sending after the answer.
const LINGER_MAX: Duration = Duration::from_secs(2);

/// How long a peer may take nothing of what is written: longer than a mobile client needs to come
/// back from a tunnel, and shorter than a few thousand such peers need to fill the port.
const STALL_MAX: Duration = Duration::from_secs(30);

/// How much of what it sends is read at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// A connection that is closed only after its peer has heard the answer.
pub(super) struct Lingering<S> {
    stream: S,
    /// Set when the end of writing was announced.
    until: Option<Pin<Box<Sleep>>>,
    /// Set while the peer takes nothing.
    stalled_until: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lingering<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, until: None, stalled_until: None }
    }

    /// Passes on what came of a write, unless the peer has taken nothing for too long.
    fn check_progress(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled_until = None;
            return written;
        }
        let timer = || Box::pin(tokio::time::sleep(STALL_MAX));
        ready!(self.stalled_until.get_or_insert_with(timer).as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")))
    }

    /// Reads until the peer has nothing more to say.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            let mut buffer = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Lingering<TcpStream> {
    /// Closes at once; what the peer has not taken is not kept for it.
    pub(super) fn abandon(self) {
        if let Err(error) = self.stream.set_zero_linger() {
            tracing::debug!(%error, "the system keeps what was not taken");
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.check_progress(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.until.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            let end = Instant::now() + LINGER_MAX;
            self.until = Some(Box::pin(tokio::time::sleep_until(end)));
        }
        let is_over =
            self.until.as_mut().is_none_or(|until| until.as_mut().poll(context).is_ready());
        if is_over {
            return Poll::Ready(Ok(()));
        }
        // A peer that breaks off has nothing more to hear.
        self.poll_discard(context).map(|_broken| Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.check_progress(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A connection: the side that lingers, and its peer.
    async fn pair() -> (Lingering<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Lingering::new(listener.accept().await.unwrap().0), peer)
    }

    #[tokio::test]
    async fn the_answer_arrives_although_the_request_was_not_read() {
        let (mut server, mut peer) = pair().await;
        let client = async {
            let sent = peer.write_all(&vec![b'x'; 4 * 1024 * 1024]).await;
            let mut answer = String::new();
            peer.read_to_string(&mut answer).await.unwrap();
            drop(peer);
            (sent.is_ok(), answer)
        };
        let refusal = async {
            server.write_all(b"refused").await.unwrap();
            server.shutdown().await.unwrap();
        };
        let ((is_sent, answer), ()) = tokio::join!(client, refusal);
        assert!(is_sent);
        assert_eq!(answer, "refused");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_ends_is_left_in_the_end() {
        let (mut server, _peer) = pair().await;
        let start = Instant::now();
        server.shutdown().await.unwrap();
        assert!(start.elapsed() >= LINGER_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_reads_is_given_up() {
        let (ours, _peer) = tokio::io::duplex(1_024);
        let mut server = Lingering::new(ours);
        let start = Instant::now();
        let error = server.write_all(&[b'x'; 4_096]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), STALL_MAX.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_slowly_gets_everything() {
        let (ours, mut peer) = tokio::io::duplex(1_024);
        let mut server = Lingering::new(ours);
        let slowly = async {
            let mut taken = [0; 1_024];
            for _ in 0..8 {
                tokio::time::sleep(STALL_MAX / 2).await;
                peer.read_exact(&mut taken).await.unwrap();
            }
        };
        let (sent, ()) = tokio::join!(server.write_all(&[b'x'; 8 * 1_024]), slowly);
        sent.unwrap();
    }
}
