//! The body of a reply, bounded by the call's deadline down to its last byte.
//!
//! A timeout around the call ends when the headers arrive; an instance that stalls afterwards
//! would hold the caller without limit.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;

use super::link::Link;
use super::picker::Lease;

/// A reply's body that fails with DEADLINE_EXCEEDED at its deadline. The instance counts as busy
/// until the body is dropped.
pub(super) struct ReplyBody {
    inner: Body,
    deadline: Pin<Box<Sleep>>,
    lease: Lease<Link>,
}

impl ReplyBody {
    pub(super) fn new(inner: Body, deadline: Instant, lease: Lease<Link>) -> Self {
        Self { inner, deadline: Box::pin(tokio::time::sleep_until(deadline)), lease }
    }
}

impl hyper::body::Body for ReplyBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Err(_broken))) => {
                self.lease.failed();
                Poll::Ready(Some(Err(Status::unavailable("the connection broke during the reply"))))
            }
            Poll::Pending => {
                std::task::ready!(self.deadline.as_mut().poll(cx));
                self.lease.failed();
                Poll::Ready(Some(Err(super::failure::deadline_status())))
            }
            frame @ Poll::Ready(_) => frame,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
