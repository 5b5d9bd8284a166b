//! Begins HTTP/2 with an instance, and waits until it has joined in, before a call is sent there.
//!
//! A server that ends in order tells with which calls it did not begin, but only of a connection that
//! it has begun itself. On one that it was about to begin it hangs up, as the system does on those
//! that it had not accepted yet. A call that was sent along with the beginning would break then like
//! one that may have been carried out. So the client begins here by itself, with no settings, and
//! gives the connection out once the server has acknowledged them (RFC 9113, sections 3.4 and 6.5.3).
//! The transport, which believes that it begins, finds what the server has said; of what it says
//! itself, the part that was said already is left out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// What every client says first.
const MAGIC: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of the head of a frame: its length, its type, its flags, and the number of its stream.
const HEAD_BYTES: usize = 9;

/// The type of a frame of settings.
const SETTINGS: u8 = 4;
/// The type of a frame that says that the connection ends.
const GOAWAY: u8 = 7;
/// Says of settings that they are an acknowledgement.
const ACK: u8 = 1;

/// Settings, all of which are as they are by default.
const NO_SETTINGS: [u8; HEAD_BYTES] = [0, 0, 0, SETTINGS, 0, 0, 0, 0, 0];

/// Most bytes that are listened to; a server has a frame or two of a few dozen to send.
const HEARD_BYTES_MAX: usize = 16 * 1024;

/// A connection that both sides have begun.
pub(super) struct Greeted<S> {
    stream: S,
    /// What the server said meanwhile, for the transport.
    heard: Bytes,
    /// Bytes of the transport's beginning that the server has already.
    repeated: usize,
}

/// Begins, and returns what the transport goes on with. An error means that no call was sent.
pub(super) async fn greet<S>(mut stream: S) -> io::Result<Greeted<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&[MAGIC, &NO_SETTINGS].concat()).await?;
    stream.flush().await?;
    let mut heard = BytesMut::new();
    loop {
        let mut head = [0; HEAD_BYTES];
        stream.read_exact(&mut head).await?;
        let [high, middle, low, kind, flags, ..] = head;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        if kind == SETTINGS && flags & ACK != 0 && length == 0 {
            break;
        }
        if kind == GOAWAY {
            return Err(io::Error::other("the instance ends its connections"));
        }
        let begin = heard.len();
        if begin + HEAD_BYTES + length > HEARD_BYTES_MAX {
            return Err(io::Error::other("the instance does not speak HTTP/2"));
        }
        heard.extend_from_slice(&head);
        heard.resize(begin + HEAD_BYTES + length, 0);
        stream.read_exact(&mut heard[begin + HEAD_BYTES..]).await?;
    }
    Ok(Greeted { stream, heard: heard.freeze(), repeated: MAGIC.len() })
}

impl<S: AsyncRead + Unpin> AsyncRead for Greeted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.heard.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let length = this.heard.len().min(buf.remaining());
        buf.put_slice(&this.heard[..length]);
        this.heard.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Greeted<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.repeated == 0 {
            return Pin::new(&mut this.stream).poll_write(cx, buf);
        }
        let length = this.repeated.min(buf.len());
        this.repeated -= length;
        Poll::Ready(Ok(length))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.repeated == 0 {
            return Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty());
        self.poll_write(cx, first.map_or(&[][..], |buf| buf))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// Settings of the server's own, with one in them.
    const OWN: [u8; HEAD_BYTES + 6] = [0, 0, 6, SETTINGS, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100];
    const ACKNOWLEDGED: [u8; HEAD_BYTES] = [0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0];

    /// What comes of a server that says this, and what it has heard itself.
    async fn meet(said: &[u8]) -> (io::Result<Greeted<DuplexStream>>, DuplexStream) {
        let (client, mut server) = duplex(64 * 1024);
        server.write_all(said).await.unwrap();
        server.shutdown().await.unwrap();
        let greeted = greet(client).await;
        let mut first = vec![0; MAGIC.len() + HEAD_BYTES];
        server.read_exact(&mut first).await.unwrap();
        assert_eq!(first, [MAGIC, &NO_SETTINGS].concat());
        (greeted, server)
    }

    #[tokio::test]
    async fn the_transport_hears_what_was_said_and_says_the_beginning_once() {
        let (greeted, mut server) = meet(&[&OWN[..], &ACKNOWLEDGED, b"more"].concat()).await;
        let mut greeted = greeted.unwrap();
        let mut heard = Vec::new();
        greeted.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, [&OWN[..], b"more"].concat());
        // In pieces, as a transport may write it.
        for piece in [&MAGIC[..10], &[&MAGIC[10..], b"set"].concat(), b"tings"] {
            greeted.write_all(piece).await.unwrap();
        }
        drop(greeted);
        let mut rest = String::new();
        server.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "settings");
    }

    #[tokio::test]
    async fn several_pieces_at_once_are_told_apart() {
        let (greeted, mut server) = meet(&ACKNOWLEDGED).await;
        let mut greeted = greeted.unwrap();
        let whole = [MAGIC, b"settings"].concat();
        let (mut left, mut pieces) = (whole.len(), &whole[..]);
        while left > 0 {
            let (one, other) = pieces.split_at(left / 2);
            let bufs = [&[][..], one, other].map(io::IoSlice::new);
            let written = greeted.write_vectored(&bufs).await.unwrap();
            pieces = &pieces[written..];
            left -= written;
        }
        drop(greeted);
        let mut rest = String::new();
        server.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "settings");
    }

    #[tokio::test]
    async fn an_instance_that_does_not_join_in_gets_no_call() {
        let goaway = [0, 0, 0, GOAWAY, 0, 0, 0, 0, 0];
        let endless = OWN.repeat(HEARD_BYTES_MAX / OWN.len() + 1);
        for (said, what) in [
            (&[][..], "nothing"),
            (&OWN[..], "no acknowledgement"),
            (&OWN[..12], "half a frame"),
            (&goaway, "goodbye"),
            (&endless, "no end"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "another protocol"),
        ] {
            assert!(meet(said).await.0.is_err(), "{what}");
        }
    }
}
