//! How large the head of a request may be, by whichever version of HTTP it comes.
//!
//! The library bounds heads of HTTP/1 while it reads them, in bytes and in lines. It does not count
//! the fields of HTTP/2, and what it finds too large there it refuses with a bare status. So it
//! hears more than is served, and every head that it has read is measured here.

use http::{Request, StatusCode};

/// Most header fields: as many as the library reads in HTTP/1.
const FIELDS_MAX: usize = 100;

/// What the first line has beside method and target: two spaces, the version, and its end.
const FIRST_LINE_BYTES: usize = 12;

/// What a field has beside its name and value: a colon, a space, and the end of the line.
const FIELD_BYTES: usize = 4;

/// What is heard of a head of HTTP/2 beyond twice the bound: for each field it counts 32 bytes more.
const SPARE_BYTES: u32 = 4 * 1_024;

/// The bounds of a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadBounds {
    bytes: u32,
}

impl HeadBounds {
    /// Heads of at most so many bytes.
    pub(super) fn new(bytes: u32) -> Self {
        Self { bytes }
    }

    /// How much the library has to hear of a head of HTTP/2, so that one that is up to twice as
    /// large as it may be is refused with words.
    pub(super) fn heard(self) -> u32 {
        self.bytes.saturating_mul(2).saturating_add(SPARE_BYTES)
    }

    /// The status for a request whose head is too large. It is measured by what it takes in HTTP/1.
    pub(super) fn refusal<B>(self, request: &Request<B>) -> Option<StatusCode> {
        let (uri, headers) = (request.uri(), request.headers());
        let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
        let first_line = request.method().as_str().len() + target + FIRST_LINE_BYTES;
        let bytes = self.bytes as usize;
        if first_line > bytes {
            return Some(StatusCode::URI_TOO_LONG);
        }
        let host = uri.authority().map_or(0, |host| host.as_str().len());
        let fields = headers.iter();
        let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES);
        let is_too_large =
            headers.len() > FIELDS_MAX || first_line + host + fields.sum::<usize>() > bytes;
        is_too_large.then_some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Version};

    use super::*;

    const BOUNDS: HeadBounds = HeadBounds { bytes: 1_000 };

    /// The status for a request of this path with these fields.
    fn refusal(path: &str, fields: &HeaderMap) -> Option<u16> {
        let statuses = [Version::HTTP_11, Version::HTTP_2].map(|version| {
            let mut request = Request::get(path).version(version).body(()).unwrap();
            *request.headers_mut() = fields.clone();
            BOUNDS.refusal(&request).map(|status| status.as_u16())
        });
        assert_eq!(statuses[0], statuses[1]);
        statuses[0]
    }

    fn fields(count: usize) -> HeaderMap {
        let field = (HeaderName::from_static("x"), HeaderValue::from_static("y"));
        let mut fields = HeaderMap::new();
        for (name, value) in std::iter::repeat_n(field, count) {
            fields.append(name, value);
        }
        fields
    }

    #[test]
    fn a_hundred_fields_are_heard_whatever_their_names() {
        assert_eq!(refusal("/", &fields(100)), None);
        assert_eq!(refusal("/", &fields(101)), Some(431));
        let mut others = fields(50);
        for number in 0..51 {
            let name = HeaderName::try_from(format!("x-{number}")).unwrap();
            others.append(name, HeaderValue::from_static(""));
        }
        assert_eq!(refusal("/", &others), Some(431));
    }

    #[test]
    fn a_head_is_measured_by_what_it_takes_in_http1() {
        // `GET / HTTP/1.1` and its end are 16 bytes, `x: ` and its end 5.
        for (length, status) in [(979, None), (980, Some(431))] {
            let mut long = HeaderMap::new();
            long.insert("x", HeaderValue::try_from("a".repeat(length)).unwrap());
            assert_eq!(refusal("/", &long), status, "{length}");
        }
        let host = format!("http://{}/", "a".repeat(985));
        assert_eq!(refusal(&host, &HeaderMap::new()), Some(431));
    }

    #[test]
    fn a_first_line_that_is_too_long_alone_is_called_so() {
        for (length, status) in [(985, None), (986, Some(414))] {
            let path = format!("/{}", "a".repeat(length - 1));
            assert_eq!(refusal(&path, &HeaderMap::new()), status, "{length}");
        }
        let query = format!("/?{}", "a".repeat(1_000));
        assert_eq!(refusal(&query, &fields(101)), Some(414));
    }

    #[test]
    fn more_is_heard_than_is_served() {
        assert!(HeadBounds::new(32 * 1_024).heard() > 66 * 1_024);
        assert_eq!(HeadBounds::new(u32::MAX).heard(), u32::MAX);
    }
}
