//! Conditions on the version of a resource (RFC 9110, section 13).

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};

use crate::error::{ApiError, codes};

/// A version that no resource has: the first one is 1.
const NEVER_CURRENT: u64 = 0;

/// What a client says of the versions that it holds.
pub(crate) struct Conditions(HeaderMap);

impl<S: Send + Sync> FromRequestParts<S> for Conditions {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let mut headers = HeaderMap::new();
        for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
            for value in parts.headers.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        Ok(Self(headers))
    }
}

impl Conditions {
    /// Whether the client already holds what `etag` stands for; compared weakly, as caches do.
    pub(crate) fn holds_already(&self, etag: &str) -> bool {
        let values = self.0.get_all(header::IF_NONE_MATCH).iter();
        let mut tags = values.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
        tags.any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
        })
    }

    /// The version that the client wants to change: `None` without the header or for `*`.
    ///
    /// Tags other than one strong one that `read` understands cannot match. They stand for a version
    /// that is never current, and not for a refusal: the condition is looked at last, after the service
    /// has found everything else right (section 13.2.1).
    pub(crate) fn expected_version(
        &self,
        read: impl FnOnce(&str) -> Option<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let values = self.0.get_all(header::IF_MATCH).iter();
        let values: Vec<&[u8]> = values.map(HeaderValue::as_bytes).collect();
        if values.is_empty() {
            return Ok(None);
        }
        // Several headers are one list (section 5.3).
        let list = values.join(&b","[..]);
        if list == b"*" {
            return Ok(None);
        }
        if !are_entity_tags(&list) {
            let text = "If-Match must be `*` or entity tags, each in quotes";
            return Err(ApiError::new(codes::IF_MATCH_INVALID, text));
        }
        let tag = std::str::from_utf8(&list).ok();
        Ok(Some(tag.and_then(read).unwrap_or(NEVER_CURRENT)))
    }
}

/// Whether a value is a list of at least one entity tag, be it weak (sections 5.6.1 and 8.8.3).
fn are_entity_tags(list: &[u8]) -> bool {
    // What stands around quotes and what stands within them, in turn.
    let parts: Vec<&[u8]> = list.split(|byte| *byte == b'"').collect();
    let last = parts.len() - 1;
    let fits = |(at, part): (usize, &[u8])| {
        if at % 2 == 1 {
            return part.iter().all(|byte| matches!(byte, 0x21..=0x7E | 0x80..));
        }
        let gap = if at == last { part } else { part.strip_suffix(b"W/").unwrap_or(part) };
        let is_between = at > 0 && at < last;
        gap.iter().all(|byte| b" \t,".contains(byte)) && (!is_between || gap.contains(&b','))
    };
    last > 0 && last.is_multiple_of(2) && parts.iter().copied().enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Request};

    use super::*;

    async fn read(name: &HeaderName, values: &[&[u8]]) -> Conditions {
        let request = values.iter().fold(Request::get("/"), |request, value| {
            request.header(name, HeaderValue::from_bytes(value).unwrap())
        });
        let mut parts = request.body(()).unwrap().into_parts().0;
        let Ok(conditions) = Conditions::from_request_parts(&mut parts, &()).await;
        conditions
    }

    async fn expected(values: &[&[u8]]) -> Result<Option<u64>, String> {
        let version = |tag: &str| tag.strip_prefix("\"v")?.strip_suffix('"')?.parse().ok();
        let conditions = read(&header::IF_MATCH, values).await;
        conditions.expected_version(version).map_err(|error| error.code().to_owned())
    }

    #[tokio::test]
    async fn one_strong_tag_names_a_version() {
        assert_eq!(expected(&[b"\"v7\""]).await, Ok(Some(7)));
        assert_eq!(expected(&[b"*"]).await, Ok(None));
        assert_eq!(expected(&[]).await, Ok(None));
    }

    #[tokio::test]
    async fn other_tags_are_never_current() {
        let tags: [&[&[u8]]; 9] = [
            &[b"W/\"v7\""],
            &[b"\"v6\", \"v7\""],
            &[b"\"v7\"", b"\"v7\""],
            &[b"\"v6\"\t,,W/\"v7\" ,"],
            &[b"\"x\""],
            &[b"\"\""],
            &[b"\"a,b\""],
            &[b"\"*\""],
            &[b"\"\xff\""],
        ];
        for values in tags {
            assert_eq!(expected(values).await, Ok(Some(NEVER_CURRENT)), "{values:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_tag_is_no_condition() {
        let malformed: [&[&[u8]]; 14] = [
            &[b""],
            &[b"null"],
            &[b"v7"],
            &[b","],
            &[b"**"],
            &[b"\""],
            &[b"\"v7"],
            &[b"v7\""],
            &[b"\"v 7\""],
            &[b"\"v6\" \"v7\""],
            &[b"w/\"v7\""],
            &[b"\"v7\", W/"],
            &[b"*", b"\"v7\""],
            &[b"\xff"],
        ];
        for values in malformed {
            let refused = expected(values).await;
            assert_eq!(refused, Err("IF_MATCH_INVALID".to_owned()), "{values:?}");
        }
    }

    #[tokio::test]
    async fn what_is_held_is_compared_weakly() {
        for (value, held) in [
            ("\"v7\"", true),
            ("W/\"v7\"", true),
            ("\"v6\", \"v7\"", true),
            ("*", true),
            ("\"v8\"", false),
            ("v7", false),
        ] {
            let conditions = read(&header::IF_NONE_MATCH, &[value.as_bytes()]).await;
            assert_eq!(conditions.holds_already("\"v7\""), held, "{value}");
        }
    }
}
