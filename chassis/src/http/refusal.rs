//! What is said when there is no request that a handler could answer.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};

use crate::clock::{Clock, SystemClock};

/// What an answer of HTTP/1 says of its connection that is the last one.
pub(super) const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Longest path that is repeated.
pub(super) const PATH_BYTES_MAX: usize = 2_048;

/// Why a request cannot be handled.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// 400, 408, 414 or 431.
    pub status: StatusCode,
    /// Path of the request; empty if it is not known.
    pub path: &'a str,
    /// Names the refusal in the log: 32 hexadecimal digits.
    pub trace_id: &'a str,
}

/// Makes an answer of a refusal.
pub type Refuse = fn(&Refusal<'_>) -> Response<Bytes>;

/// An answer without a body.
pub(super) fn bare(refusal: &Refusal<'_>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = refusal.status;
    response
}

/// Refuses, and leaves a line in the log under which the answer is found.
pub(super) fn refuse(refuse: Refuse, status: StatusCode, path: &str) -> Response<Bytes> {
    let trace_id = crate::id::new_id().simple().to_string();
    tracing::debug!(
        http.response.status_code = status.as_u16(),
        refusal.trace_id = trace_id,
        "request not readable"
    );
    refuse(&Refusal { status, path, trace_id: &trace_id })
}

/// The answer as HTTP/1 has it on the wire, the last one of its connection.
pub(super) fn to_wire(response: &Response<Bytes>) -> Vec<u8> {
    let status = response.status();
    let date = SystemClock.now().format("%a, %d %b %Y %H:%M:%S GMT");
    let length = response.body().len();
    let start = format!("HTTP/1.1 {status}\r\ndate: {date}\r\ncontent-length: {length}\r\n");
    let mut wire = start.into_bytes();
    for (name, value) in response.headers() {
        wire.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    wire.extend(b"connection: close\r\n\r\n");
    wire.extend(response.body());
    wire
}

/// As much of a path as is repeated: all of it, or nothing.
pub(super) fn shown(path: &str) -> &str {
    if path.len() <= PATH_BYTES_MAX { path } else { "" }
}

/// What stands where the path of a request stands, as far as it has arrived.
pub(super) fn path_of(head: &[u8]) -> &str {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).find(|line| !line.is_empty());
    let mut words = line.unwrap_or_default().split(|byte| *byte == b' ');
    let is_method = words.next().is_some_and(|word| word.iter().all(u8::is_ascii_uppercase));
    let target = words.next().filter(|_| is_method).unwrap_or_default();
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let is_path = path.first() == Some(&b'/')
        && path.len() <= PATH_BYTES_MAX
        && path.iter().all(u8::is_ascii_graphic);
    if is_path { str::from_utf8(path).unwrap_or_default() } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_repeated_only_if_it_is_one() {
        assert_eq!(path_of(b"GET /a/b?c=d HTTP/1.1\r\nx: /y"), "/a/b");
        assert_eq!(path_of(b"\r\nGET /a"), "/a");
        for head in [&b""[..], b"GET", b"GET a", b"GET /\xff HTTP/1.1", b"\x16\x03\x01 /a"] {
            assert_eq!(path_of(head), "");
        }
        assert_eq!(path_of(&[b"GET /", &[b'a'; PATH_BYTES_MAX][..]].concat()), "");
    }

    #[test]
    fn a_long_path_is_not_repeated() {
        let path = "/a".repeat(PATH_BYTES_MAX / 2);
        assert_eq!(shown(&path), path);
        assert_eq!(shown(&format!("{path}a")), "");
    }

    #[test]
    fn the_wire_has_the_whole_answer() {
        let response = refuse(bare, StatusCode::BAD_REQUEST, "");
        let wire = String::from_utf8(to_wire(&response)).unwrap();
        assert!(wire.starts_with("HTTP/1.1 400 Bad Request\r\ndate: "), "{wire}");
        assert!(wire.ends_with("content-length: 0\r\nconnection: close\r\n\r\n"), "{wire}");
    }
}
