//! Tells a client that its connection ends with an answer that came before the request's end.
//!
//! hyper closes a connection when the rest of a body would be in the way of the next request. A
//! client of HTTP/1 that is not told would send that next request all the same, and lose it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use http::{HeaderValue, Request, Version, header};
use hyper::body::{Frame, SizeHint};

/// A body that remembers whether it was read to its end.
struct Watched<B> {
    body: B,
    is_read: Arc<AtomicBool>,
}

/// What became of a request's body.
pub(super) struct Reading {
    is_read: Arc<AtomicBool>,
    version: Version,
}

/// Watches over the body of a request.
pub(super) fn watch<B>(request: Request<B>) -> (Request<Body>, Reading)
where
    B: HttpBody<Data = bytes::Bytes> + Send + Unpin + 'static,
    B::Error: Into<axum::BoxError>,
{
    let is_read = Arc::new(AtomicBool::new(request.body().is_end_stream()));
    let reading = Reading { is_read: Arc::clone(&is_read), version: request.version() };
    (request.map(|body| Body::new(Watched { body, is_read })), reading)
}

impl Reading {
    /// Marks the answer if it comes before the end of the request.
    pub(super) fn announce_close(&self, response: &mut Response) {
        let has_streams = self.version == Version::HTTP_2;
        if !has_streams && !self.is_read.load(Ordering::Relaxed) {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
    }
}

impl<B: HttpBody + Unpin> HttpBody for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            self.is_read.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn request(version: Version, body: &'static str) -> Request<Body> {
        Request::builder().version(version).body(Body::from(body)).unwrap()
    }

    /// What the answer says about the connection.
    fn connection(reading: &Reading) -> Option<HeaderValue> {
        let mut response = Response::new(Body::empty());
        reading.announce_close(&mut response);
        response.headers().get(header::CONNECTION).cloned()
    }

    #[tokio::test]
    async fn only_an_answer_before_the_end_of_the_body_ends_the_connection() {
        let (whole, reading) = watch(request(Version::HTTP_11, "body"));
        assert_eq!(connection(&reading).unwrap(), "close");
        whole.into_body().collect().await.unwrap();
        assert_eq!(connection(&reading), None);
    }

    #[test]
    fn what_has_no_body_or_has_streams_goes_on() {
        assert_eq!(connection(&watch(request(Version::HTTP_11, "")).1), None);
        assert_eq!(connection(&watch(request(Version::HTTP_2, "body")).1), None);
    }
}
