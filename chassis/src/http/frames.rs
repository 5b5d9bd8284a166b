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
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const LIMITS: FrameLimits = FrameLimits { control_frames: 10, streams: 5 };

    fn frame_of(stream: u32, kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        frame_of(1, kind, flags, payload)
    }

    fn meter() -> FrameMeter {
        let mut meter = FrameMeter::new(PREFACE.len(), LIMITS);
        assert!(meter.hear(PREFACE));
        meter
    }

    #[tokio::test(start_paused = true)]
    async fn requests_and_their_bodies_are_free() {
        let mut meter = meter();
        let request = [frame(1, 4, &[0; 30]), frame(0, 0, &[0; 700]), frame(0, 1, b"")].concat();
        for _ in 0..100 {
            assert!(meter.hear(&request));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn control_frames_have_a_budget_however_they_are_cut() {
        for kind in [2, 3, 4, 6, 9, 0xbe] {
            let mut meter = meter();
            let flood = frame(kind, 0, &[0; 8]).repeat(10);
            assert!(flood.iter().all(|byte| meter.hear(&[*byte])), "{kind}");
            assert!(!meter.hear(&frame(kind, 0, &[0; 8])), "{kind}");
        }
        let mut meter = meter();
        assert!(!meter.hear(&frame(0, 0, b"").repeat(11)), "empty DATA");
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_comes_back() {
        let mut meter = meter();
        let ping = frame(6, 0, &[0; 8]);
        assert!(meter.hear(&ping.repeat(10)));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(meter.hear(&ping.repeat(5)));
        assert!(!meter.hear(&ping));
    }

    #[tokio::test(start_paused = true)]
    async fn streams_beyond_those_allowed_are_paid_for() {
        let mut meter = meter();
        let open = |number: u32| frame_of(2 * number + 1, HEADERS, 5, b"x");
        assert!((0..15).all(|number| meter.hear(&open(number))), "5 are free, 10 are paid for");
        assert!(!meter.hear(&open(15)));
        let mut meter = self::meter();
        for number in 0..100 {
            assert!(meter.hear(&open(number)));
            meter.say(&frame_of(2 * number + 1, HEADERS, 5, b"x"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_lasts_until_the_last_byte_of_its_last_frame() {
        let mut meter = meter();
        let start = Instant::now();
        assert!(meter.hear(&frame(HEADERS, 5, b"x")));
        assert_eq!(meter.oldest_answer(), None);
        meter.say(&frame(HEADERS, 4, b"x"));
        tokio::time::advance(Duration::from_secs(5)).await;
        let last = [frame(DATA, 0, b"abc"), frame(DATA, 1, b"def")].concat();
        for byte in &last {
            assert_eq!(meter.oldest_answer(), Some(start));
            meter.say(&[*byte]);
        }
        assert_eq!(meter.oldest_answer(), None);
    }

    /// The heads of the frames that are whole, by the numbers of the protocol alone.
    fn whole_frames(mut bytes: &[u8]) -> Vec<[usize; 4]> {
        let mut frames = Vec::new();
        while let Some((head, rest)) = bytes.split_at_checked(9) {
            let number =
                |bytes: &[u8]| bytes.iter().fold(0_usize, |n, byte| (n << 8) | usize::from(*byte));
            let length = number(&head[..3]);
            let Some((_, rest)) = rest.split_at_checked(length) else { break };
            let stream = number(&head[5..]) % (1 << 31);
            frames.push([usize::from(head[3]), usize::from(head[4]), stream, length]);
            bytes = rest;
        }
        frames
    }

    /// Bytes of some frames.
    fn any_frames() -> impl Strategy<Value = Vec<u8>> {
        let payload = prop::collection::vec(any::<u8>(), 0..40);
        let one = (any::<u32>(), any::<u8>(), any::<u8>(), payload);
        let one =
            one.prop_map(|(stream, kind, flags, bytes)| frame_of(stream, kind, flags, &bytes));
        prop::collection::vec(one, 0..6).prop_map(|frames| frames.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn frames_are_what_they_are_however_they_are_cut_and_whatever_follows(
            frames in any_frames(),
            rest in prop::collection::vec(any::<u8>(), 0..30),
            cuts in prop::collection::vec(1_usize..20, 1..10),
        ) {
            let sent = [PREFACE, &frames, &rest].concat();
            let mut reader = FrameReader::new(PREFACE.len());
            let (mut left, mut read) = (sent.as_slice(), Vec::new());
            for cut in cuts.iter().cycle() {
                let (mut piece, later) = left.split_at(left.len().min(*cut));
                while let Some(head) = reader.next(&mut piece) {
                    let (kind, flags) = (usize::from(head.kind), usize::from(head.flags));
                    read.push([kind, flags, head.stream as usize, head.length]);
                }
                prop_assert!(piece.is_empty(), "{} bytes are not read", piece.len());
                left = later;
                if left.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(read, whole_frames(&sent[PREFACE.len()..]));
        }
    }
}
