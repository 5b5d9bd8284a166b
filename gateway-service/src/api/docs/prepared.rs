//! Content that is the same for everybody: in memory once, and compressed once.
//!
//! An answer that is not taken holds what it is made of. A copy, or a compressor, per answer would
//! let a client that opens many streams and takes nothing fill the memory of the process.

use std::io::{self, Write as _};
use std::sync::OnceLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, header};

/// Below this, compression costs more than it saves.
const GZIP_BYTES_MIN: usize = 1_024;

/// Documentation changes with a release only.
pub(super) const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// Content in the forms in which it is sent.
pub(super) struct Prepared {
    kind: HeaderValue,
    plain: Bytes,
    /// Made when it is first asked for; `None`: there is none.
    gzip: OnceLock<Option<Bytes>>,
}

impl Prepared {
    pub(super) fn new(kind: HeaderValue, plain: Bytes) -> Self {
        Self { kind, plain, gzip: OnceLock::new() }
    }

    /// The answer to a request with these headers. It shares its body with all others.
    pub(super) fn answer(&self, request: &HeaderMap) -> Response {
        let packed = if takes_gzip(request) { self.packed() } else { None };
        let is_packed = packed.is_some();
        let mut response = packed.unwrap_or(&self.plain).clone().into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.kind.clone());
        headers.insert(header::CACHE_CONTROL, CACHED);
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if is_packed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    fn packed(&self) -> Option<&Bytes> {
        let make = || {
            let is_worth_it = self.plain.len() >= GZIP_BYTES_MIN;
            is_worth_it.then(|| pack(&self.plain).ok()).flatten()
        };
        self.gzip.get_or_init(make).as_ref()
    }
}

fn pack(plain: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain)?;
    encoder.finish().map(Bytes::from)
}

/// Whether a client names gzip among what it takes, and not to refuse it (RFC 9110, section 12.5.3).
fn takes_gzip(request: &HeaderMap) -> bool {
    let values = request.get_all(header::ACCEPT_ENCODING).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let mut codings = texts.flat_map(|text| text.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use http_body_util::BodyExt as _;

    use super::*;

    fn asking(encodings: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(encodings))])
    }

    async fn body(response: Response) -> Bytes {
        response.into_body().collect().await.unwrap().to_bytes()
    }

    fn prepared(plain: &'static [u8]) -> Prepared {
        Prepared::new(HeaderValue::from_static("text/css"), Bytes::from_static(plain))
    }

    #[test]
    fn gzip_is_for_those_who_name_it() {
        for taken in ["gzip", "br, GZIP", "br;q=1.0, gzip;q=0.8", "gzip; q=1"] {
            assert!(takes_gzip(&asking(taken)), "{taken}");
        }
        for refused in ["", "br", "identity", "gzip;q=0", "gzip; q=0.000", "gzip;q=x", "xgzip"] {
            assert!(!takes_gzip(&asking(refused)), "{refused}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn no_answer_has_a_copy_of_its_own() {
        static TEXT: [u8; 100_000] = [b'a'; 100_000];
        let prepared = prepared(&TEXT);
        let plain = body(prepared.answer(&HeaderMap::new())).await;
        assert_eq!((plain.as_ptr(), plain.len()), (TEXT.as_ptr(), TEXT.len()));
        let one = prepared.answer(&asking("gzip"));
        assert_eq!(one.headers()[header::CONTENT_ENCODING], "gzip");
        let (one, other) = (body(one).await, body(prepared.answer(&asking("gzip"))).await);
        assert_eq!(one.as_ptr(), other.as_ptr(), "compressed once");
        let mut unpacked = Vec::new();
        GzDecoder::new(&*one).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, TEXT);
    }

    #[tokio::test]
    async fn what_is_short_stays_as_it_is() {
        let answer = prepared(b"a").answer(&asking("gzip"));
        assert_eq!(answer.headers().get(header::CONTENT_ENCODING), None);
        assert_eq!(answer.headers()[header::VARY], "accept-encoding");
        assert_eq!(body(answer).await, "a");
    }
}
