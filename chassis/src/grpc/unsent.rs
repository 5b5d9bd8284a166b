//! Keeps the body of a request until it is known that it is not needed once more.
//!
//! No handler is called before the message of its call is there, and the message is the body. So a
//! call whose body was not read has had no effect, whatever became of the connection, and may be
//! sent again, also if it must not run twice. So may one that was read, if the instance has said
//! that it did not begin with it: an instance that ends its connections in order says so of what was
//! on its way meanwhile.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

/// Most bytes of a body that are kept until the call is over. They are shared with the transport and
/// not copied; a larger body is not had back once it was read.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// The body of a call, as long as it may be needed once more.
pub(super) struct Unsent(Shelf);

type Shelf = Arc<Mutex<Kept>>;

/// What is there of a body.
#[derive(Default)]
struct Kept {
    /// What was not read yet; `None` once it was taken back.
    rest: Option<Body>,
    /// What was read, unless it was too much.
    read: Option<VecDeque<Bytes>>,
    read_bytes: usize,
}

impl Unsent {
    /// Returns what to send in place of `body`, and where it can be had back.
    pub(super) fn watch(body: Body) -> (Body, Self) {
        // An empty body is sent together with the head, without a look at it.
        if body.is_end_stream() {
            return (body, Self(Arc::default()));
        }
        let kept = Kept { rest: Some(body), read: Some(VecDeque::new()), read_bytes: 0 };
        let shelf = Arc::new(Mutex::new(kept));
        (Body::new(Watched(Arc::clone(&shelf))), Self(shelf))
    }

    /// Takes the body back, if it was not read; the transport, which may still hold its place, does
    /// not get it any more.
    pub(super) fn take(&self) -> Option<Body> {
        let mut kept = lock(&self.0);
        let is_untouched = kept.read.as_ref().is_some_and(VecDeque::is_empty);
        kept.rest.take_if(|_| is_untouched)
    }

    /// The same, whether it was read or not: for a call of which the instance has said that it did
    /// not begin with it.
    pub(super) fn take_all(&self) -> Option<Body> {
        let mut kept = lock(&self.0);
        let read = kept.read.take()?;
        let rest = kept.rest.take()?;
        Some(if read.is_empty() { rest } else { Body::new(Again { read, rest }) })
    }
}

fn lock(shelf: &Shelf) -> MutexGuard<'_, Kept> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn remember(&mut self, data: &Bytes) {
        self.read_bytes += data.len();
        if self.read_bytes > KEPT_BYTES_MAX {
            self.read = None;
        }
        if let Some(read) = &mut self.read {
            read.push_back(data.clone());
        }
    }
}

struct Watched(Shelf);

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut kept = lock(&self.0);
        let Some(rest) = &mut kept.rest else {
            return Poll::Ready(Some(Err(Status::cancelled("the call is sent elsewhere"))));
        };
        let polled = Pin::new(&mut *rest).poll_frame(cx);
        match &polled {
            // Nobody may ask it again.
            Poll::Ready(None) => *rest = Body::empty(),
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    kept.remember(data);
                }
            }
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).rest.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).rest.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

/// A body from its beginning, of which something was read before.
struct Again {
    read: VecDeque<Bytes>,
    rest: Body,
}

impl hyper::body::Body for Again {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.read.pop_front() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    fn body() -> Body {
        Body::new(Full::new(Bytes::from_static(b"message")))
    }

    #[tokio::test]
    async fn what_was_not_read_comes_back_whole() {
        let (sent, unsent) = Unsent::watch(body());
        drop(sent);
        let back = unsent.take().unwrap().collect().await.unwrap().to_bytes();
        assert_eq!(back, "message");
    }

    #[tokio::test]
    async fn what_was_read_or_is_empty_does_not() {
        let (mut sent, unsent) = Unsent::watch(body());
        assert!(sent.frame().await.is_some());
        assert!(unsent.take().is_none());
        drop(sent);
        assert!(unsent.take().is_none());
        let (sent, unsent) = Unsent::watch(Body::empty());
        drop(sent);
        assert!(unsent.take().is_none());
    }

    #[tokio::test]
    async fn what_was_read_comes_back_whole_where_nobody_began_with_it() {
        for read in 0..=4 {
            let parts = ["a ", "long ", "message"].map(|part| Ok(Frame::data(Bytes::from(part))));
            let body = StreamBody::new(futures::stream::iter::<[Result<_, Status>; 3]>(parts));
            let (mut sent, unsent) = Unsent::watch(Body::new(body));
            for _ in 0..read {
                sent.frame().await.transpose().unwrap();
            }
            let back = unsent.take_all().unwrap().collect().await.unwrap().to_bytes();
            assert_eq!(back, "a long message", "{read} of 3 were read");
            assert!(unsent.take_all().is_none(), "only once");
            assert!(sent.frame().await.unwrap().is_err(), "and not twice at a time");
        }
    }

    #[tokio::test]
    async fn of_what_is_too_large_nothing_is_kept() {
        for (size, comes_back) in [(KEPT_BYTES_MAX, true), (KEPT_BYTES_MAX + 1, false)] {
            let body = Body::new(Full::new(Bytes::from(vec![0; size])));
            let (mut sent, unsent) = Unsent::watch(body);
            sent.frame().await.unwrap().unwrap();
            assert_eq!(unsent.take_all().is_some(), comes_back, "{size} bytes");
        }
    }

    #[tokio::test]
    async fn what_came_back_is_read_by_nobody_who_still_holds_its_place() {
        let (mut held, unsent) = Unsent::watch(body());
        assert_eq!(held.size_hint().exact(), Some(7));
        assert!(unsent.take().is_some());
        assert!(held.frame().await.unwrap().is_err());
    }
}
