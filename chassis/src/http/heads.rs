//! Looks for heads of HTTP/1 that two readers could understand differently.
//!
//! hyper follows RFC 9112 where it lets a server choose: of `Content-Length` and
//! `Transfer-Encoding` it takes the latter and closes after the answer, and a line may end without
//! CR. Whoever stands in front may have chosen otherwise, which is how one request is made of two
//! (section 11.2). No honest client sends either, so such a request is refused.

use super::refusal::PATH_BYTES_MAX;

/// Length of `transfer-encoding`, the longest name that is looked for.
const NAME_BYTES: usize = 17;

/// How much of the first line is kept: enough for the longest path that is repeated.
const FIRST_LINE_BYTES: usize = PATH_BYTES_MAX + 32;

/// What is known of the head that is being read.
#[derive(Default)]
pub(super) struct HeadScan {
    part: Part,
    first_line: Vec<u8>,
    name: [u8; NAME_BYTES],
    /// Bytes of the line so far, without its CR.
    column: usize,
    was_cr: bool,
    found: Found,
}

/// Where in the head the scan is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    #[default]
    FirstLine,
    Name,
    Value,
    Over,
}

/// What a head should not have, or not together.
#[derive(Default)]
struct Found {
    length: bool,
    encoding: bool,
    bare_line_feed: bool,
}

impl HeadScan {
    /// Takes the next bytes of a head; what comes behind its end is not looked at.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.part == Part::Over {
                return;
            }
            match byte {
                b'\n' => self.end_line(),
                b'\r' => {}
                _ => self.add(byte),
            }
            self.was_cr = byte == b'\r';
        }
    }

    /// Whether the length of the request, or the end of its lines, is a matter of opinion.
    pub(super) fn is_doubtful(&self) -> bool {
        self.found.bare_line_feed || (self.found.length && self.found.encoding)
    }

    /// The beginning of the first line, as far as it has arrived.
    pub(super) fn first_line(&self) -> &[u8] {
        &self.first_line
    }

    fn add(&mut self, byte: u8) {
        match self.part {
            Part::FirstLine if self.first_line.len() < FIRST_LINE_BYTES => {
                self.first_line.push(byte);
            }
            Part::Name if byte == b':' => self.end_name(),
            Part::Name => {
                if let Some(place) = self.name.get_mut(self.column) {
                    *place = byte.to_ascii_lowercase();
                }
            }
            _ => {}
        }
        self.column += 1;
    }

    fn end_name(&mut self) {
        self.part = Part::Value;
        match self.name.get(..self.column) {
            Some(b"content-length") => self.found.length = true,
            Some(b"transfer-encoding") => self.found.encoding = true,
            _ => {}
        }
    }

    fn end_line(&mut self) {
        self.found.bare_line_feed |= !self.was_cr;
        self.part = match (self.part, self.column) {
            // Empty lines in front of a request are passed over (RFC 9112, section 2.2).
            (Part::FirstLine, 0) => Part::FirstLine,
            (_, 0) => Part::Over,
            _ => Part::Name,
        };
        self.column = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_doubtful(head: &str) -> bool {
        let mut whole = HeadScan::default();
        whole.take(head.as_bytes());
        let mut bytewise = HeadScan::default();
        for byte in head.as_bytes() {
            bytewise.take(&[*byte]);
        }
        assert_eq!(whole.is_doubtful(), bytewise.is_doubtful());
        whole.is_doubtful()
    }

    #[test]
    fn usual_heads_have_one_reading() {
        for head in [
            "",
            "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\na\nb\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 4\r\nx-transfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 4\r\nx: transfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\ntransfer-encoding: chunked\r\n",
        ] {
            assert!(!is_doubtful(head), "{head:?}");
        }
    }

    #[test]
    fn two_lengths_and_bare_line_feeds_have_two() {
        for head in [
            "POST / HTTP/1.1\r\ncontent-length: 4\r\nTRANSFER-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nhost: x\r\nContent-Length: 4\r\n\r\n",
            "GET / HTTP/1.1\nhost: x\n\n",
            "GET / HTTP/1.1\r\nhost: x\ny: z\r\n\r\n",
        ] {
            assert!(is_doubtful(head), "{head:?}");
        }
    }

    #[test]
    fn the_first_line_is_kept_and_no_more_of_it_than_is_of_use() {
        let mut scan = HeadScan::default();
        scan.take(b"\r\nGET /a HTTP/1.1\r\nhost: x\r\n\r\nGET /b HTTP/1.1\r\n");
        assert_eq!(scan.first_line(), b"GET /a HTTP/1.1");
        let mut long = HeadScan::default();
        long.take(&[b'a'; 2 * FIRST_LINE_BYTES]);
        assert_eq!(long.first_line().len(), FIRST_LINE_BYTES);
    }
}
