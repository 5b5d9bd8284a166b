//! Reads one head of HTTP/1 as strictly as anybody in front could.
//!
//! hyper follows RFC 9112 where it lets a server choose: of `Content-Length` and
//! `Transfer-Encoding` it takes the latter and closes after the answer, equal lengths are one, and a
//! line may end without CR. Whoever stands in front may have chosen otherwise, which is how one
//! request is made of two (section 11.2). No honest client sends any of it, so a head with two
//! readings is refused, and of every other head the length of the body is known.

use super::refusal::PATH_BYTES_MAX;

/// Length of `transfer-encoding`, the longest name that is looked for.
const NAME_BYTES: usize = 17;

/// Longest value of such a header: every length, and `chunked`, with some space around them.
const VALUE_BYTES: usize = 24;

/// How much of the first line is kept: enough for the longest path that is repeated.
const FIRST_LINE_BYTES: usize = PATH_BYTES_MAX + 32;

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// So many bytes.
    Bytes(u64),
    /// As its chunks say.
    Chunked,
}

/// What is known of the head that is being read.
#[derive(Default)]
pub(super) struct HeadScan {
    part: Part,
    first_line: Vec<u8>,
    name: [u8; NAME_BYTES],
    /// Bytes of the line so far, without its CR.
    column: usize,
    was_cr: bool,
    field: Field,
    /// The value of a field that is looked for; one byte more than is allowed if it is too long.
    value: Vec<u8>,
    body: Option<BodyLength>,
    is_doubtful: bool,
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

/// What the line is about.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Field {
    #[default]
    Other,
    Length,
    Encoding,
}

impl HeadScan {
    /// Takes the next bytes, up to the end of the head. Returns how many.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        for (taken, &byte) in bytes.iter().enumerate() {
            if self.part == Part::Over {
                return taken;
            }
            match byte {
                b'\n' => self.end_line(),
                b'\r' => {}
                _ => self.add(byte),
            }
            self.was_cr = byte == b'\r';
        }
        bytes.len()
    }

    /// Whether the length of the request, or the end of its lines, is a matter of opinion.
    pub(super) fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    /// The length of the body, once the head is over.
    pub(super) fn body(&self) -> Option<BodyLength> {
        let body = self.body.unwrap_or(BodyLength::Bytes(0));
        (self.part == Part::Over).then_some(body)
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
            Part::Value if self.field != Field::Other && self.value.len() <= VALUE_BYTES => {
                self.value.push(byte);
            }
            _ => {}
        }
        self.column += 1;
    }

    fn end_name(&mut self) {
        self.part = Part::Value;
        self.field = match self.name.get(..self.column) {
            Some(b"content-length") => Field::Length,
            Some(b"transfer-encoding") => Field::Encoding,
            _ => Field::Other,
        };
    }

    fn end_line(&mut self) {
        self.is_doubtful |= !self.was_cr;
        if self.part == Part::Value && self.field != Field::Other {
            self.end_value();
        }
        self.part = match (self.part, self.column) {
            // Empty lines in front of a request are passed over (RFC 9112, section 2.2).
            (Part::FirstLine, 0) => Part::FirstLine,
            (_, 0) => Part::Over,
            _ => Part::Name,
        };
        self.column = 0;
    }

    fn end_value(&mut self) {
        let body = match self.field {
            _ if self.value.len() > VALUE_BYTES => None,
            Field::Encoding => chunked(self.value.trim_ascii()),
            _ => length(self.value.trim_ascii()),
        };
        self.value.clear();
        // A second one is one too many, whatever it says.
        self.is_doubtful |= body.is_none() || self.body.is_some();
        self.body = body;
    }
}

fn chunked(value: &[u8]) -> Option<BodyLength> {
    value.eq_ignore_ascii_case(b"chunked").then_some(BodyLength::Chunked)
}

/// Digits only: what `str::parse` takes has signs.
fn length(value: &[u8]) -> Option<BodyLength> {
    let digits = value.iter().all(u8::is_ascii_digit).then_some(value)?;
    str::from_utf8(digits).ok()?.parse().ok().map(BodyLength::Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a head at once and byte by byte; how long its body is, `None` if that is doubtful.
    fn body_of(head: &str) -> Option<BodyLength> {
        let mut whole = HeadScan::default();
        whole.take(head.as_bytes());
        let mut bytewise = HeadScan::default();
        for byte in head.as_bytes() {
            bytewise.take(&[*byte]);
        }
        assert_eq!(whole.is_doubtful(), bytewise.is_doubtful());
        assert_eq!(whole.body(), bytewise.body());
        if whole.is_doubtful() { None } else { Some(whole.body().unwrap()) }
    }

    #[test]
    fn usual_heads_have_one_reading() {
        let bytes = |count| Some(BodyLength::Bytes(count));
        for (head, body) in [
            ("GET / HTTP/1.1\r\nhost: x\r\n\r\n", bytes(0)),
            ("\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n", bytes(0)),
            ("POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\na\nb\n", bytes(4)),
            ("POST / HTTP/1.1\r\nContent-Length:004 \t\r\n\r\n", bytes(4)),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n", Some(BodyLength::Chunked)),
            ("POST / HTTP/1.1\r\ncontent-length: 4\r\nx-transfer-encoding: y\r\n\r\n", bytes(4)),
            ("POST / HTTP/1.1\r\ncontent-length: 4\r\nx: transfer-encoding: y\r\n\r\n", bytes(4)),
            ("POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\ntransfer-encoding: y\r\n", bytes(4)),
        ] {
            assert_eq!(body_of(head), body, "{head:?}");
        }
    }

    #[test]
    fn lengths_of_other_kinds_and_bare_line_feeds_have_two() {
        for lines in [
            "content-length: 4\r\nTRANSFER-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\nhost: x\r\nContent-Length: 4\r\n",
            "content-length: 4\r\ncontent-length: 4\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: xchunked\r\n",
            "content-length: \r\n",
            "content-length: +4\r\n",
            "content-length: 4, 4\r\n",
            "content-length: 0x4\r\n",
            "content-length: 18446744073709551616\r\n",
            "content-length: 0000000000000000000000004\r\n",
            "host: x\ny: z\r\n",
        ] {
            assert_eq!(body_of(&format!("POST / HTTP/1.1\r\n{lines}\r\n")), None, "{lines:?}");
        }
        assert_eq!(body_of("GET / HTTP/1.1\nhost: x\n\n"), None);
    }

    #[test]
    fn the_first_line_is_kept_and_no_more_of_it_than_is_of_use() {
        let mut scan = HeadScan::default();
        let head = b"\r\nGET /a HTTP/1.1\r\nhost: x\r\n\r\n";
        assert_eq!(scan.take(&[&head[..], b"GET /b HTTP/1.1\r\n"].concat()), head.len());
        assert_eq!(scan.first_line(), b"GET /a HTTP/1.1");
        let mut long = HeadScan::default();
        long.take(&[b'a'; 2 * FIRST_LINE_BYTES]);
        assert_eq!(long.first_line().len(), FIRST_LINE_BYTES);
    }
}
