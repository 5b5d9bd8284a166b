//! The stream of one connection as hyper sees it.
//!
//! Beside carrying bytes it does two things that hyper has no hook for. It reads along, for requests
//! of doubtful meaning, for floods of frames, and for answers that do not leave. And on HTTP/1 it
//! keeps back what hyper says of its own accord, a bare status without a word to what it cannot
//! parse: a server speaks only when it is asked, so bytes that are written while the connection is
//! quiet are just that. The [`connection`](super::connection) then says it properly.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::FrameMeter;
use super::linger::Lingering;
use super::progress::Progress;
use super::requests::RequestScan;

/// What is looked for in the bytes.
pub(super) enum Watch {
    /// HTTP/1: the requests.
    Requests(RequestScan),
    /// HTTP/2: the frames.
    Frames(FrameMeter),
}

/// A stream, with the bytes that were read before it was clear what is spoken on it.
pub(super) struct Wire<S> {
    stream: Lingering<S>,
    opening: BytesMut,
    progress: Arc<Progress>,
    watch: Watch,
    /// Whether something was kept back.
    is_silenced: bool,
    /// Whether the peer is not listened to any more.
    is_deaf: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(
        stream: Lingering<S>,
        opening: BytesMut,
        progress: Arc<Progress>,
        watch: Watch,
    ) -> Self {
        Self { stream, opening, progress, watch, is_silenced: false, is_deaf: false }
    }

    /// The stream itself, and, if hyper had something to say that was kept back, the beginning of the
    /// request it was said to; empty if that is not known.
    pub(super) fn into_parts(self) -> (Lingering<S>, Option<Vec<u8>>) {
        let head = match &self.watch {
            Watch::Requests(scan) => scan.first_line(self.progress.begun() + 1),
            Watch::Frames(_) => &[],
        };
        let head = self.is_silenced.then(|| head.to_vec());
        (self.stream, head)
    }

    /// Whether what is written now was not asked for. If so, it goes nowhere.
    fn keeps_back(&mut self) -> bool {
        let is_unasked = matches!(self.watch, Watch::Requests(_)) && self.progress.is_quiet();
        self.is_silenced |= is_unasked;
        is_unasked
    }

    /// Looks at what was read.
    fn inspect(&mut self, bytes: &[u8]) {
        match &mut self.watch {
            Watch::Requests(scan) => {
                scan.take(bytes, self.progress.begun());
                if let Some(number) = scan.doubtful() {
                    self.progress.doubt(number);
                }
            }
            Watch::Frames(meter) => {
                if !meter.hear(bytes) {
                    self.is_deaf = true;
                    self.progress.flood();
                }
                // The peer may have taken back what it asked for.
                self.progress.stream(meter.oldest_answer());
            }
        }
    }

    /// Looks at what was written: the first `count` bytes of these slices.
    fn account<'b>(&mut self, slices: impl Iterator<Item = &'b [u8]>, mut count: usize) {
        let Watch::Frames(meter) = &mut self.watch else { return };
        for slice in slices {
            let written = &slice[..count.min(slice.len())];
            meter.say(written);
            count -= written.len();
        }
        self.progress.stream(meter.oldest_answer());
    }

    fn poll_take(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.opening.has_remaining() {
            let length = self.opening.len().min(buffer.remaining());
            buffer.put_slice(&self.opening.split_to(length));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_deaf {
            // Nobody wakes this up again: the connection is about to be ended.
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(self.poll_take(context, buffer))?;
        self.inspect(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.keeps_back() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let count = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.account(std::iter::once(bytes), count);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.progress.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.keeps_back() {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let count = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices))?;
        self.account(slices.iter().map(|slice| &**slice), count);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
