//! Counts what costs a client of HTTP/2 nothing and a server something.
//!
//! Frames that carry no request and no bytes of one (`PING`, `SETTINGS`, `RST_STREAM`, `PRIORITY`,
//! `CONTINUATION`, empty `DATA`, frames of unknown types) are needed a few times a second at most.
//! Each must be read, and some must be answered, so a peer has a budget of them. It is independent
//! of the limits inside the library, which concern what such frames make it remember.

use tokio::time::Instant;

/// Length of a frame's head (RFC 9113, section 4.1).
const HEAD_BYTES: usize = 9;

/// The flag that ends a stream.
const END_STREAM: u8 = 0x1;

/// The budget comes back at this part of itself per second.
const REFILL_SHARE: u64 = 10;

/// Reads along with the frames of one connection.
pub(super) struct FrameMeter {
    head: [u8; HEAD_BYTES],
    /// Bytes of the next head that are known.
    known: usize,
    /// Bytes to pass over: the preface, then payloads.
    ahead: usize,
    budget: u64,
    left: u64,
    refilled: Instant,
}

impl FrameMeter {
    /// Starts at the beginning of a connection whose preface has `preface` bytes.
    pub(super) fn new(preface: usize, budget: u32) -> Self {
        let budget = u64::from(budget);
        let refilled = Instant::now();
        Self { head: [0; HEAD_BYTES], known: 0, ahead: preface, budget, left: budget, refilled }
    }

    /// Takes the next bytes. Returns whether the peer keeps within its budget.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let passed = self.ahead.min(bytes.len());
            self.ahead -= passed;
            bytes = &bytes[passed..];
            let wanted = (HEAD_BYTES - self.known).min(bytes.len());
            self.head[self.known..self.known + wanted].copy_from_slice(&bytes[..wanted]);
            self.known += wanted;
            bytes = &bytes[wanted..];
            if self.known == HEAD_BYTES && !self.pay() {
                return false;
            }
        }
        true
    }

    /// Pays for the frame whose head is known, and goes on to the next.
    fn pay(&mut self) -> bool {
        let [a, b, c, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.known = 0;
        self.ahead = length as usize;
        let is_free = match kind {
            // DATA: the bytes are paid for by flow control.
            0x0 => length > 0 || flags & END_STREAM != 0,
            // HEADERS are requests; WINDOW_UPDATE comes with every answer that is read.
            0x1 | 0x8 => true,
            _ => false,
        };
        is_free || self.spend()
    }

    fn spend(&mut self) -> bool {
        if self.left == 0 {
            let seconds = self.refilled.elapsed().as_secs();
            self.left = (seconds * self.budget / REFILL_SHARE).min(self.budget);
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

    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn meter() -> FrameMeter {
        let mut meter = FrameMeter::new(PREFACE.len(), 10);
        assert!(meter.take(PREFACE));
        meter
    }

    #[tokio::test(start_paused = true)]
    async fn requests_and_their_bodies_are_free() {
        let mut meter = meter();
        let request = [frame(1, 4, &[0; 30]), frame(0, 0, &[0; 700]), frame(0, 1, b"")].concat();
        for _ in 0..100 {
            assert!(meter.take(&request));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn control_frames_have_a_budget_however_they_are_cut() {
        for kind in [2, 3, 4, 6, 9, 0xbe] {
            let mut meter = meter();
            let flood = frame(kind, 0, &[0; 8]).repeat(10);
            assert!(flood.iter().all(|byte| meter.take(&[*byte])), "{kind}");
            assert!(!meter.take(&frame(kind, 0, &[0; 8])), "{kind}");
        }
        let mut meter = meter();
        assert!(!meter.take(&frame(0, 0, b"").repeat(11)), "empty DATA");
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_comes_back() {
        let mut meter = meter();
        let ping = frame(6, 0, &[0; 8]);
        assert!(meter.take(&ping.repeat(10)));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(meter.take(&ping.repeat(5)));
        assert!(!meter.take(&ping));
    }
}
