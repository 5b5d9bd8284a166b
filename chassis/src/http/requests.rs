//! Knows where each request of one HTTP/1 connection begins, also of those that are sent ahead.
//!
//! hyper tells nobody how far it has read, and a client may send its next head together with the
//! end of a body, or before the answer. So the bodies are followed too, and the heads are counted:
//! the first that has two readings, or whose beginning is a matter of opinion, is known by its
//! number when hyper comes to it.

use super::bodies::BodyScan;
use super::heads::HeadScan;

/// Reads along with the requests of one connection.
pub(super) struct RequestScan {
    place: Place,
    /// The number of the request that is being read, counted from 1.
    number: u64,
    /// The first line of the oldest request that was not begun when its head was over.
    oldest: Option<(u64, Vec<u8>)>,
    doubtful: Option<u64>,
}

/// What is being read.
enum Place {
    Head(HeadScan),
    Body(BodyScan),
    /// Nothing more: what comes cannot be told apart.
    Lost,
}

impl Default for RequestScan {
    fn default() -> Self {
        Self { place: Place::Head(HeadScan::default()), number: 1, oldest: None, doubtful: None }
    }
}

impl RequestScan {
    /// Takes the next bytes of the connection, of whose requests so many have `begun`.
    pub(super) fn take(&mut self, mut bytes: &[u8], begun: u64) {
        while !bytes.is_empty() {
            let taken = match &mut self.place {
                Place::Head(scan) => scan.take(bytes),
                Place::Body(scan) => scan.take(bytes),
                Place::Lost => return,
            };
            bytes = &bytes[taken..];
            self.go_on(begun);
        }
    }

    /// The number of the first request that has two readings; those after it have no better one.
    pub(super) fn doubtful(&self) -> Option<u64> {
        self.doubtful
    }

    /// The beginning of a request's first line; empty if that is not known any more.
    pub(super) fn first_line(&self, number: u64) -> &[u8] {
        match (&self.oldest, &self.place) {
            (Some((oldest, line)), _) if *oldest == number => line,
            (_, Place::Head(scan)) if self.number == number => scan.first_line(),
            _ => &[],
        }
    }

    /// Turns to what comes after a head or a body that is over.
    fn go_on(&mut self, begun: u64) {
        if let Place::Head(head) = &self.place {
            let next = match head.body() {
                _ if head.is_doubtful() => {
                    self.doubtful = Some(self.number);
                    Place::Lost
                }
                Some(length) => Place::Body(BodyScan::new(length)),
                None => return,
            };
            if self.oldest.as_ref().is_none_or(|(oldest, _)| *oldest <= begun) {
                self.oldest = Some((self.number, head.first_line().to_vec()));
            }
            self.place = next;
        }
        let Place::Body(body) = &self.place else { return };
        if body.is_over() {
            self.number += 1;
            self.place = Place::Head(HeadScan::default());
        } else if body.is_lost() {
            self.doubtful = Some(self.number + 1);
            self.place = Place::Lost;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET /a HTTP/1.1\r\nhost: x\r\n\r\n";
    /// A body with what would be doubtful in a head.
    const SIZED: &str = "POST /b HTTP/1.1\r\ncontent-length: 46\r\n\r\n\
        content-length: 1\ntransfer-encoding: chunked\n\n";
    const CHUNKED: &str = "POST /c HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
        14\r\ncontent-length: 1\n\n\n\r\n3;x\r\n\r\n\r\r\n0\r\ny: z\r\n\r\n";
    const DOUBTFUL: &str =
        "POST /d HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";

    /// Reads what was sent in two pieces, cut at every byte, and byte by byte.
    fn scans(sent: &str) -> impl Iterator<Item = (usize, RequestScan)> + '_ {
        let bytes = sent.as_bytes();
        (0..=bytes.len()).map(move |cut| {
            let mut scan = RequestScan::default();
            if cut == bytes.len() {
                for byte in bytes {
                    scan.take(&[*byte], 0);
                }
            } else {
                scan.take(&bytes[..cut], 0);
                scan.take(&bytes[cut..], 0);
            }
            (cut, scan)
        })
    }

    #[test]
    fn honest_requests_in_a_row_are_not_doubted() {
        let sent = [GET, SIZED, GET, CHUNKED, CHUNKED, SIZED, GET].concat();
        for (cut, scan) in scans(&sent) {
            assert_eq!(scan.doubtful(), None, "cut at {cut}");
            assert_eq!(scan.number, 8, "cut at {cut}");
        }
    }

    #[test]
    fn a_doubtful_head_is_found_wherever_it_stands() {
        for (before, number) in [
            (vec![], 1),
            (vec![GET], 2),
            (vec![SIZED], 2),
            (vec![CHUNKED, SIZED], 3),
            (vec![SIZED, GET, CHUNKED], 4),
        ] {
            let sent = [before.concat(), DOUBTFUL.to_owned(), GET.to_owned()].concat();
            for (cut, scan) in scans(&sent) {
                assert_eq!(scan.doubtful(), Some(number), "after {before:?}, cut at {cut}");
            }
        }
    }

    #[test]
    fn what_comes_after_a_body_without_an_end_is_doubtful() {
        let sent =
            [GET, "POST /c HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\nx", GET].concat();
        for (cut, scan) in scans(&sent) {
            assert_eq!(scan.doubtful(), Some(3), "cut at {cut}");
        }
    }

    #[test]
    fn the_first_line_of_what_comes_next_is_known() {
        let mut scan = RequestScan::default();
        scan.take([GET, SIZED, "GET /e HT"].concat().as_bytes(), 0);
        assert_eq!(scan.first_line(1), b"GET /a HTTP/1.1");
        assert_eq!(scan.first_line(2), b"", "there is room for one");
        assert_eq!(scan.first_line(3), b"GET /e HT");
        scan.take(b"TP/1.1\r\n\r\n", 2);
        assert_eq!(scan.first_line(3), b"GET /e HTTP/1.1");
        let mut scan = RequestScan::default();
        scan.take(DOUBTFUL.as_bytes(), 0);
        assert_eq!(scan.first_line(1), b"POST /d HTTP/1.1");
    }
}
