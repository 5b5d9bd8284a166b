//! Tells a client that its connection ends with an answer: one that came before the request's end,
//! or one to a request for another protocol.
//!
//! hyper closes a connection when the rest of a body would be in the way of the next request. A
//! client of HTTP/1 that is not told would send that next request all the same, and lose it.
//!
//! An upgrade is ignored, but whoever asked for one may have sent bytes of the other protocol
//! ahead, and somebody in between may believe that it is spoken now. They are not read as requests.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use http::{Request, Version, header};
use hyper::body::{Frame, SizeHint};

use super::refusal::CLOSE;

/// A body that remembers whether it was read to its end.
struct Watched<B> {
    body: B,
    is_read: Arc<AtomicBool>,
}

/// What became of a request's body.
pub(super) struct Reading {
    is_read: Arc<AtomicBool>,
    version: Version,
    /// Whether the request asks for another protocol.
    is_upgrade: bool,
}

/// Watches over the body of a request.
pub(super) fn watch<B>(request: Request<B>) -> (Request<Body>, Reading)
where
    B: HttpBody<Data = bytes::Bytes> + Send + Unpin + 'static,
    B::Error: Into<axum::BoxError>,
{
    let is_read = Arc::new(AtomicBool::new(request.body().is_end_stream()));
    let reading = Reading {
        is_read: Arc::clone(&is_read),
        version: request.version(),
        is_upgrade: request.headers().contains_key(header::UPGRADE),
    };
    (request.map(|body| Body::new(Watched { body, is_read })), reading)
}

impl Reading {
    /// Marks the answer if it comes before the end of the request, or is the last one for another
    /// reason.
    pub(super) fn announce_close(&self, response: &mut Response) {
        let has_streams = self.version == Version::HTTP_2;
        let is_last = self.is_upgrade || !self.is_read.load(Ordering::Relaxed);
        if !has_streams && is_last {
            response.headers_mut().insert(header::CONNECTION, CLOSE);
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
    use http::HeaderValue;
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

    #[tokio::test]
    async fn who_asks_for_another_protocol_is_hung_up_on() {
        let mut upgrade = request(Version::HTTP_11, "body");
        upgrade.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("h2c"));
        let (whole, reading) = watch(upgrade);
        whole.into_body().collect().await.unwrap();
        assert_eq!(connection(&reading).unwrap(), "close");
    }

    #[test]
    fn what_has_no_body_or_has_streams_goes_on() {
        assert_eq!(connection(&watch(request(Version::HTTP_11, "")).1), None);
        assert_eq!(connection(&watch(request(Version::HTTP_2, "body")).1), None);
    }
}
