//! Follows the body of a request in HTTP/1 to its end, which is where the next head begins.
//!
//! Chunks are read as strictly as by hyper (RFC 9112, section 7.1): whatever hyper takes for the end
//! of a body is the end here too, or here there is none.

use super::heads::BodyLength;

/// How far a body has come.
pub(super) struct BodyScan {
    place: Place,
    /// Bytes of the body, or of the chunk, that are still to come.
    left: u64,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The rest of a body whose length is known.
    Rest,
    FirstDigit,
    Digits,
    Padding,
    Extension,
    SizeLineFeed,
    /// The rest of a chunk.
    Chunk,
    ChunkReturn,
    ChunkLineFeed,
    TrailerStart,
    Trailer,
    TrailerLineFeed,
    LastLineFeed,
    Over,
    /// Something else than what has to come.
    Lost,
}

impl BodyScan {
    pub(super) fn new(length: BodyLength) -> Self {
        let (place, left) = match length {
            BodyLength::Bytes(0) => (Place::Over, 0),
            BodyLength::Bytes(count) => (Place::Rest, count),
            BodyLength::Chunked => (Place::FirstDigit, 0),
        };
        Self { place, left }
    }

    /// Takes the next bytes, up to the end of the body. Returns how many.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let Some(&byte) = bytes.get(taken)
            && !self.is_over()
            && !self.is_lost()
        {
            taken += match self.place {
                Place::Rest => self.pass(bytes.len() - taken, Place::Over),
                Place::Chunk => self.pass(bytes.len() - taken, Place::ChunkReturn),
                _ => {
                    self.place = self.after(byte);
                    1
                }
            };
        }
        taken
    }

    /// Whether what comes next is not of this body.
    pub(super) fn is_over(&self) -> bool {
        self.place == Place::Over
    }

    /// Whether nobody knows where the body ends.
    pub(super) fn is_lost(&self) -> bool {
        self.place == Place::Lost
    }

    /// Passes over what is there of the bytes that are left; `next` comes after the last of them.
    fn pass(&mut self, there: usize, next: Place) -> usize {
        let passed = usize::try_from(self.left).unwrap_or(usize::MAX).min(there);
        self.left -= passed as u64;
        if self.left == 0 {
            self.place = next;
        }
        passed
    }

    fn after(&mut self, byte: u8) -> Place {
        use Place::{
            Chunk, ChunkLineFeed, ChunkReturn, Digits, Extension, FirstDigit, LastLineFeed, Lost,
            Over, Padding, SizeLineFeed, Trailer, TrailerLineFeed, TrailerStart,
        };
        match (self.place, byte) {
            (FirstDigit | Digits, _) if byte.is_ascii_hexdigit() => self.add_digit(byte),
            (Digits | Padding, b' ' | b'\t') => Padding,
            (Digits | Padding | Extension, b'\r') => SizeLineFeed,
            (Extension | TrailerStart | Trailer, b'\n') => Lost,
            (Digits | Padding, b';') | (Extension, _) => Extension,
            (SizeLineFeed, b'\n') if self.left == 0 => TrailerStart,
            (SizeLineFeed, b'\n') => Chunk,
            (ChunkReturn, b'\r') => ChunkLineFeed,
            (ChunkLineFeed, b'\n') => FirstDigit,
            (TrailerStart, b'\r') => LastLineFeed,
            (Trailer, b'\r') => TrailerLineFeed,
            (TrailerStart | Trailer, _) => Trailer,
            (TrailerLineFeed, b'\n') => TrailerStart,
            (LastLineFeed, b'\n') => Over,
            _ => Lost,
        }
    }

    fn add_digit(&mut self, byte: u8) -> Place {
        let digit = char::from(byte).to_digit(16).unwrap_or_default();
        let size = self.left.checked_mul(16).and_then(|size| size.checked_add(digit.into()));
        self.left = size.unwrap_or_default();
        if size.is_some() { Place::Digits } else { Place::Lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT: &[u8] = b"GET / HTTP/1.1\r\n";

    /// How many bytes of the body are taken, with another request behind it, cut at `cut`.
    fn taken(length: BodyLength, body: &[u8], cut: usize) -> (BodyScan, usize) {
        let both = [body, NEXT].concat();
        let mut scan = BodyScan::new(length);
        let first = scan.take(&both[..cut]);
        let second = if first == cut { scan.take(&both[cut..]) } else { 0 };
        (scan, first + second)
    }

    #[test]
    fn the_end_is_found_wherever_the_body_is_cut() {
        for (length, body) in [
            (BodyLength::Bytes(0), &b""[..]),
            (BodyLength::Bytes(5), b"a\r\n\r\n"),
            (BodyLength::Chunked, b"0\r\n\r\n"),
            (BodyLength::Chunked, b"3\r\nabc\r\n00010\r\n0\r\n\r\nabcdefghijk\r\n0\r\n\r\n"),
            (BodyLength::Chunked, b"A;x=\"y\"\r\n0123456789\r\n0 \t;z\r\nx: y\r\nz: 0\r\n\r\n"),
        ] {
            for cut in 0..=body.len() + NEXT.len() {
                let (scan, taken) = taken(length, body, cut);
                assert!(scan.is_over() && !scan.is_lost(), "{body:?} cut at {cut}");
                assert_eq!(taken, body.len(), "{body:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_chunk_has_no_end() {
        for body in [
            "\r\n",
            ";\r\n",
            "x\r\n",
            "1\n",
            "1 1\r\n",
            "1\rx",
            "1;a\nb\r\n",
            "1\r\nab\r\n",
            "1\r\na\rb",
            "10000000000000000\r\n",
            "0\r\n\n",
            "0\r\nx: y\n\r\n",
            "0\r\nx: y\r\r\n",
            "0\r\n\rx",
        ] {
            for cut in 0..=body.len() {
                let (scan, _) = taken(BodyLength::Chunked, body.as_bytes(), cut);
                assert!(scan.is_lost() && !scan.is_over(), "{body:?} cut at {cut}");
            }
        }
    }
}
