//! Knows whether a request has left: its body comes back if nobody began to read it.
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

/// Where a body that was not read is put.
pub(super) struct Unsent(Arc<Mutex<Option<Body>>>);

impl Unsent {
    /// Returns what to send in place of `body`, and where it comes back.
    pub(super) fn watch(body: Body) -> (Body, Self) {
        let unsent = Self(Arc::default());
        // An empty body is sent together with the head, without a look at it.
        if body.is_end_stream() {
            return (body, unsent);
        }
        let shelf = Arc::clone(&unsent.0);
        (Body::new(Watched { body, shelf, is_read: false }), unsent)
    }

    /// The body, if it was dropped unread.
    pub(super) fn take(self) -> Option<Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct Watched {
    body: Body,
    shelf: Arc<Mutex<Option<Body>>>,
    is_read: bool,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.is_read = true;
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.is_read {
            let body = std::mem::take(&mut self.body);
            *self.shelf.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
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
    async fn what_was_read_or_is_empty_or_still_held_does_not() {
        let (mut sent, unsent) = Unsent::watch(body());
        assert!(sent.frame().await.is_some());
        drop(sent);
        assert!(unsent.take().is_none());
        let (sent, unsent) = Unsent::watch(Body::empty());
        drop(sent);
        assert!(unsent.take().is_none());
        let (_held, unsent) = Unsent::watch(body());
        assert!(unsent.take().is_none());
    }
}
