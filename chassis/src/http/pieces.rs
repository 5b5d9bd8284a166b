//! A body that comes in small pieces.
//!
//! hyper hands a piece on as soon as the peer may take one byte of it, and then counts it as gone.
//! In HTTP/2 it waits for the peer all the same, in memory that no limit of the library covers. So a
//! piece is never larger than a frame.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// Largest piece: the smallest largest frame that a peer of HTTP/2 may demand (RFC 9113, section
/// 4.2).
pub(super) const PIECE_BYTES_MAX: usize = 16 * 1_024;

/// A body whose pieces have at most [`PIECE_BYTES_MAX`] bytes. They are parts of what the body
/// itself yields, not copies.
pub(super) struct Pieces {
    body: Body,
    /// What is left of what the body yielded last.
    rest: Bytes,
}

impl Pieces {
    pub(super) fn new(body: Body) -> Self {
        Self { body, rest: Bytes::new() }
    }

    /// Cuts a piece off the rest.
    fn cut(&mut self) -> Frame<Bytes> {
        let length = self.rest.len().min(PIECE_BYTES_MAX);
        Frame::data(self.rest.split_to(length))
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.cut())));
        }
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)?) else {
            return Poll::Ready(None);
        };
        let frame = match frame.into_data() {
            Ok(data) => {
                self.rest = data;
                self.cut()
            }
            Err(trailers) => trailers,
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;
    use http_body_util::BodyExt as _;

    use super::*;

    /// The lengths of the pieces, and all of them together.
    async fn pieces(body: Body) -> (Vec<usize>, Vec<u8>) {
        let mut pieces = Pieces::new(body);
        let (mut lengths, mut whole) = (Vec::new(), Vec::new());
        while !pieces.is_end_stream() {
            let left = pieces.size_hint();
            let Some(frame) = pieces.frame().await else { break };
            let data = frame.unwrap().into_data().unwrap();
            assert!(left.upper().is_none_or(|upper| upper >= data.len() as u64));
            lengths.push(data.len());
            whole.extend(data);
        }
        (lengths, whole)
    }

    #[tokio::test]
    async fn no_piece_is_larger_than_a_frame_and_nothing_is_lost() {
        const MAX: usize = PIECE_BYTES_MAX;
        for length in [0, 1, MAX, MAX + 1, 3 * MAX, 5 * MAX + 7] {
            let sent: Vec<u8> = (0..=250).cycle().take(length).collect();
            let hint = Pieces::new(Body::from(sent.clone())).size_hint();
            assert_eq!(hint.exact(), Some(length as u64));
            let (lengths, whole) = pieces(Body::from(sent.clone())).await;
            assert_eq!(whole, sent);
            assert_eq!(lengths.len(), length.div_ceil(MAX), "{lengths:?}");
            assert!(lengths.iter().all(|length| *length <= MAX), "{lengths:?}");
        }
        let parts = [vec![1; MAX + 1], vec![2; 3]].map(Ok::<_, Infallible>);
        let (lengths, _) = pieces(Body::from_stream(stream::iter(parts))).await;
        assert_eq!(lengths, [MAX, 1, 3]);
    }

    #[tokio::test]
    async fn a_piece_is_no_copy() {
        let whole = Bytes::from(vec![0; 2 * PIECE_BYTES_MAX]);
        let mut pieces = Pieces::new(Body::from(whole.clone()));
        let first = pieces.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.as_ptr(), whole.as_ptr());
    }
}
