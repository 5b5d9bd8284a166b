//! Knows whether a request has left: its body can be had back if nobody began to read it.
//!
//! No handler is called before the message of its call is there, and the message is the body. So a
//! call whose body was not read has had no effect, whatever became of the connection, and may be
//! sent again, also if it must not run twice.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

/// The body of a call, as long as nobody has begun to read it.
pub(super) struct Unsent(Shelf);

type Shelf = Arc<Mutex<Option<Body>>>;

impl Unsent {
    /// Returns what to send in place of `body`, and where it can be had back.
    pub(super) fn watch(body: Body) -> (Body, Self) {
        // An empty body is sent together with the head, without a look at it.
        if body.is_end_stream() {
            return (body, Self(Arc::default()));
        }
        let size = body.size_hint();
        let shelf = Arc::new(Mutex::new(Some(body)));
        let watched = Watched { shelf: Arc::clone(&shelf), body: None, size };
        (Body::new(watched), Self(shelf))
    }

    /// Takes the body back, if it was not read; the transport, which may still hold its place, does
    /// not get it any more.
    pub(super) fn take(&self) -> Option<Body> {
        take(&self.0)
    }
}

fn take(shelf: &Shelf) -> Option<Body> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner).take()
}

struct Watched {
    shelf: Shelf,
    /// The body, from its first reading on.
    body: Option<Body>,
    /// Its size before that.
    size: SizeHint,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.body.is_none() {
            self.body = take(&self.shelf);
        }
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(Some(Err(Status::cancelled("the call is sent elsewhere")))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| self.size, Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

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
        drop(sent);
        assert!(unsent.take().is_none());
        let (sent, unsent) = Unsent::watch(Body::empty());
        drop(sent);
        assert!(unsent.take().is_none());
    }

    #[tokio::test]
    async fn what_came_back_is_read_by_nobody_who_still_holds_its_place() {
        let (mut held, unsent) = Unsent::watch(body());
        assert_eq!(held.size_hint().exact(), Some(7));
        assert!(unsent.take().is_some());
        assert!(held.frame().await.unwrap().is_err());
    }
}
