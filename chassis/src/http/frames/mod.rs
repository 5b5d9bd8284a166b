//! Reads along with the frames of a connection of HTTP/2, and counts what costs a client nothing and
//! a server something.
//!
//! Frames that carry no request and no bytes of one (`PING`, `SETTINGS`, `RST_STREAM`, `PRIORITY`,
//! `CONTINUATION`, empty `DATA`, frames of unknown types) are needed a few times a second at most.
//! Each must be read, and some must be answered, so a peer has a budget of them. Streams beyond those
//! that it may have are paid for like them. The budget is independent of the limits inside the
//! library, which concern what such frames make it remember.

use tokio::time::Instant;

use super::streams::Streams;

/// Types of frames (RFC 9113, section 6).
pub(super) const DATA: u8 = 0x0;
pub(super) const HEADERS: u8 = 0x1;
pub(super) const RST_STREAM: u8 = 0x3;
const WINDOW_UPDATE: u8 = 0x8;

/// Length of a frame's head (RFC 9113, section 4.1).
const HEAD_BYTES: usize = 9;

/// The flag that ends a stream.
const END_STREAM: u8 = 0x1;

/// The budget comes back at this part of itself per second.
const REFILL_SHARE: u64 = 10;

/// The head of a frame that has passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHead {
    pub(super) kind: u8,
    pub(super) stream: u32,
    flags: u8,
    length: usize,
}

impl FrameHead {
    #[cfg(test)]
    pub(super) fn of(kind: u8, stream: u32, flags: u8) -> Self {
        Self { kind, stream, flags, length: 0 }
    }

    /// Whether it is the last of its side on its stream.
    pub(super) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

/// Reads along with the frames of one direction.
struct FrameReader {
    head: [u8; HEAD_BYTES],
    /// Bytes of the head that are known; all of them until the frame has passed.
    known: usize,
    /// Bytes to pass over: the preface, then payloads.
    ahead: usize,
}

impl FrameReader {
    /// Starts at the beginning of a connection whose preface has so many bytes.
    fn new(preface: usize) -> Self {
        Self { head: [0; HEAD_BYTES], known: 0, ahead: preface }
    }

    /// The next frame that has passed when `bytes` have, which are taken off.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<FrameHead> {
        self.pass(bytes);
        if self.known < HEAD_BYTES {
            let wanted = (HEAD_BYTES - self.known).min(bytes.len());
            let (head, rest) = bytes.split_at(wanted);
            self.head[self.known..self.known + wanted].copy_from_slice(head);
            self.known += wanted;
            *bytes = rest;
            if self.known < HEAD_BYTES {
                return None;
            }
            self.ahead = self.frame().length;
            self.pass(bytes);
        }
        if self.ahead > 0 {
            return None;
        }
        self.known = 0;
        Some(self.frame())
    }

    fn pass(&mut self, bytes: &mut &[u8]) {
        let passed = self.ahead.min(bytes.len());
        self.ahead -= passed;
        *bytes = &bytes[passed..];
    }

    fn frame(&self) -> FrameHead {
        let [a, b, c, kind, flags, stream @ ..] = self.head;
        FrameHead {
            kind,
            // The first bit has no meaning.
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
            flags,
            length: u32::from_be_bytes([0, a, b, c]) as usize,
        }
    }
}

/// What a peer of HTTP/2 may do at no cost of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameLimits {
    /// Control frames at once.
    pub(super) control_frames: u32,
    /// Streams at once.
    pub(super) streams: u32,
}

/// Reads along with both directions of one connection.
pub(super) struct FrameMeter {
    heard: FrameReader,
    said: FrameReader,
    streams: Streams,
    limits: FrameLimits,
    left: u64,
    refilled: Instant,
}

impl FrameMeter {
    /// Starts at the beginning of a connection whose client's preface has `preface` bytes.
    pub(super) fn new(preface: usize, limits: FrameLimits) -> Self {
        Self {
            heard: FrameReader::new(preface),
            said: FrameReader::new(0),
            streams: Streams::default(),
            left: limits.control_frames.into(),
            limits,
            refilled: Instant::now(),
        }
    }

    /// Takes the next bytes of the peer. Returns whether it keeps within its budget.
    pub(super) fn hear(&mut self, mut bytes: &[u8]) -> bool {
        while let Some(frame) = self.heard.next(&mut bytes) {
            if !self.pay(&frame) {
                return false;
            }
        }
        true
    }

    /// Takes the next bytes that have left for the peer.
    pub(super) fn say(&mut self, mut bytes: &[u8]) {
        while let Some(frame) = self.said.next(&mut bytes) {
            self.streams.said(&frame, Instant::now());
        }
    }

    /// Since when the oldest answer that has not left to its end is being given.
    pub(super) fn oldest_answer(&self) -> Option<Instant> {
        self.streams.oldest_answer()
    }

    fn pay(&mut self, frame: &FrameHead) -> bool {
        self.streams.heard(frame);
        let is_free = match frame.kind {
            // The bytes are paid for by flow control.
            DATA => frame.length > 0 || frame.ends_stream(),
            // These are requests; the library refuses those that are too many.
            HEADERS => self.streams.count() <= self.limits.streams as usize,
            // These come with every answer that is read.
            WINDOW_UPDATE => true,
            _ => false,
        };
        is_free || self.spend()
    }

    fn spend(&mut self) -> bool {
        let budget = u64::from(self.limits.control_frames);
        if self.left == 0 {
            let seconds = self.refilled.elapsed().as_secs();
            self.left = (seconds * budget / REFILL_SHARE).min(budget);
            self.refilled = Instant::now();
        }
        let had = self.left;
        self.left = had.saturating_sub(1);
        had > 0
    }
}

#[cfg(test)]
mod tests;
