//! The streams of one connection of HTTP/2 as they are on the wire, and since when each is being
//! answered.
//!
//! The library takes an answer over long before its peer does: what the peer's window has no room
//! for stays in its queues. Only what leaves tells how far an answer is.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::frames::{FrameHead, HEADERS, RST_STREAM};

/// The streams on which this side has something to say.
#[derive(Default)]
pub(super) struct Streams {
    /// By number; the time is that of the head of the answer.
    open: BTreeMap<u32, Option<Instant>>,
    /// The highest number so far: HEADERS with a lower one are trailers.
    newest: u32,
}

impl Streams {
    /// The peer has sent this frame.
    pub(super) fn heard(&mut self, frame: &FrameHead) {
        match frame.kind {
            HEADERS if frame.stream > self.newest => {
                self.newest = frame.stream;
                self.open.insert(frame.stream, None);
            }
            // It does not want the answer any more, and nothing of it leaves.
            RST_STREAM => {
                self.open.remove(&frame.stream);
            }
            _ => {}
        }
    }

    /// This frame has left for the peer.
    pub(super) fn said(&mut self, frame: &FrameHead, now: Instant) {
        if frame.ends_stream() || frame.kind == RST_STREAM {
            self.open.remove(&frame.stream);
        } else if frame.kind == HEADERS
            && let Some(since) = self.open.get_mut(&frame.stream)
        {
            since.get_or_insert(now);
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// Since when the oldest answer is being given.
    pub(super) fn oldest_answer(&self) -> Option<Instant> {
        self.open.values().flatten().copied().min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::frames::DATA;
    use super::*;

    fn frame(kind: u8, stream: u32) -> FrameHead {
        FrameHead::of(kind, stream, 0)
    }

    fn last(kind: u8, stream: u32) -> FrameHead {
        FrameHead::of(kind, stream, 1)
    }

    #[test]
    fn the_oldest_answer_that_has_not_left_counts() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut streams = Streams::default();
        for stream in [1, 3, 5] {
            streams.heard(&last(HEADERS, stream));
        }
        assert_eq!(streams.oldest_answer(), None, "they are worked on");
        streams.said(&frame(HEADERS, 3), at(1));
        streams.said(&frame(HEADERS, 1), at(2));
        streams.said(&frame(HEADERS, 1), at(4));
        streams.said(&frame(DATA, 3), at(5));
        streams.said(&last(HEADERS, 5), at(5));
        assert_eq!((streams.oldest_answer(), streams.count()), (Some(at(1)), 2));
        streams.said(&last(DATA, 3), at(6));
        assert_eq!(streams.oldest_answer(), Some(at(2)));
        streams.said(&frame(RST_STREAM, 1), at(7));
        assert_eq!((streams.oldest_answer(), streams.count()), (None, 0));
    }

    #[test]
    fn what_the_peer_takes_back_is_not_waited_for() {
        let start = Instant::now();
        let mut streams = Streams::default();
        streams.heard(&frame(HEADERS, 1));
        streams.heard(&frame(RST_STREAM, 1));
        // Its head was on its way already.
        streams.said(&frame(HEADERS, 1), start);
        // Trailers open nothing.
        streams.heard(&last(HEADERS, 1));
        assert_eq!((streams.oldest_answer(), streams.count()), (None, 0));
    }
}
