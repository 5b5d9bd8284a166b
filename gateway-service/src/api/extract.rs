//! What handlers take from a request; whatever does not fit is refused with its own code.

use axum::extract::{FromRequestParts, Path};
use chassis::auth::{AuthError, Caller};
use chassis::error::codes as fleet;
use http::request::Parts;
use http::{HeaderMap, HeaderName, header};
use uuid::Uuid;

use crate::error::{ApiError, codes};

/// The header that makes a request repeatable.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Longest idempotency key.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// Length of a UUID in its usual form; the library would also read three others.
const UUID_CHARS: usize = 36;

/// The user who calls. Present on every route that is not open to anyone.
pub(crate) struct CurrentUser(pub(crate) Caller);

impl<S: Send + Sync> FromRequestParts<S> for CurrentUser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.map(Self).ok_or_else(|| ApiError::from(&AuthError::Missing))
    }
}

/// The identity in the path.
pub(crate) struct PathId(pub(crate) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let PathText(text) = PathText::from_request_parts(parts, state).await?;
        let id = Uuid::try_parse(&text).ok().filter(|_| text.len() == UUID_CHARS);
        id.map(Self).ok_or_else(id_invalid)
    }
}

/// The text in the path.
pub(crate) struct PathText(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(text)| Self(text)).map_err(|_| id_invalid())
    }
}

fn id_invalid() -> ApiError {
    ApiError::new(fleet::ID_INVALID, "the identity in the path is not a UUID")
}

/// The key under which the services remember the answer.
pub(crate) struct IdempotencyKey(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else {
            let text = "this operation needs an Idempotency-Key";
            return Err(ApiError::new(fleet::IDEMPOTENCY_KEY_MISSING, text));
        };
        let key = value.as_bytes();
        let is_valid = values.next().is_none()
            && (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len())
            && key.iter().all(u8::is_ascii_graphic);
        match value.to_str() {
            Ok(text) if is_valid => Ok(Self(text.to_owned())),
            _ => {
                let text = "the Idempotency-Key must be 1 to 255 visible ASCII characters";
                Err(ApiError::new(fleet::IDEMPOTENCY_KEY_INVALID, text))
            }
        }
    }
}

/// The query parameters of a route. That they are known and come once is checked before.
pub(crate) struct Query(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        if parts.uri.query().is_none() {
            return Ok(Self(Vec::new()));
        }
        let pairs = axum::extract::Query::try_from_uri(&parts.uri);
        pairs
            .map(|axum::extract::Query(pairs)| Self(pairs))
            .map_err(|_| ApiError::new(codes::QUERY_INVALID, "the query string cannot be parsed"))
    }
}

impl Query {
    /// The value of a parameter.
    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `page_size`; 0, the services' word for the default, when it is absent.
    pub(crate) fn page_size(&self) -> Result<i32, ApiError> {
        let Some(text) = self.find("page_size") else { return Ok(0) };
        let size = text.parse().ok().filter(|size| (1..=100).contains(size));
        size.ok_or_else(|| invalid("page_size", "OUT_OF_RANGE", "must be an integer from 1 to 100"))
    }

    /// `page_token`; empty on the first page.
    pub(crate) fn page_token(&self) -> String {
        self.find("page_token").unwrap_or_default().to_owned()
    }

    /// A boolean parameter; false when it is absent.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.find(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(invalid(name, "TYPE", "must be `true` or `false`")),
        }
    }
}

/// A field with a value that the operation does not accept.
pub(crate) fn invalid(field: &str, reason: &str, description: &str) -> ApiError {
    ApiError::field(fleet::VALIDATION_FAILED, field, reason, description)
}

/// Conditions on the version of a resource (RFC 9110, section 13).
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

    /// The version that the client wants to change: `None` without the header or for `*`. Anything
    /// but one strong tag that `read` understands cannot match, and changing without a match is
    /// what the header forbids.
    pub(crate) fn expected_version(
        &self,
        read: impl FnOnce(&str) -> Option<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let mut values = self.0.get_all(header::IF_MATCH).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let tag = value.to_str().ok().filter(|_| values.next().is_none()).map(str::trim);
        if tag == Some("*") {
            return Ok(None);
        }
        tag.and_then(read).map(Some).ok_or_else(|| {
            ApiError::new(fleet::VERSION_MISMATCH, "If-Match does not name the current version")
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::FromRequestParts;
    use http::{HeaderValue, Request};

    use super::*;

    fn parts(uri: &str, headers: &[(&HeaderName, &str)]) -> Parts {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    async fn key(values: &[&str]) -> Result<String, String> {
        let name = IDEMPOTENCY_KEY;
        let headers: Vec<_> = values.iter().map(|value| (&name, *value)).collect();
        let key = IdempotencyKey::from_request_parts(&mut parts("/", &headers), &()).await;
        key.map(|key| key.0).map_err(|error| error.code().to_owned())
    }

    #[tokio::test]
    async fn idempotency_keys_are_one_visible_word() {
        assert_eq!(key(&["a-1"]).await.unwrap(), "a-1");
        assert_eq!(key(&["'; DROP".replace(' ', "").as_str()]).await.unwrap(), "';DROP");
        assert_eq!(key(&[]).await.unwrap_err(), "IDEMPOTENCY_KEY_MISSING");
        let long = "a".repeat(256);
        for values in [&[""][..], &["a b"], &["é"], &[&long], &["a", "a"]] {
            assert_eq!(key(values).await.unwrap_err(), "IDEMPOTENCY_KEY_INVALID", "{values:?}");
        }
    }

    #[tokio::test]
    async fn page_sizes_are_bounded() {
        for (query, expected) in
            [("/", Some(0)), ("/?page_size=1", Some(1)), ("/?page_size=100", Some(100))]
        {
            let query = Query::from_request_parts(&mut parts(query, &[]), &()).await.unwrap();
            assert_eq!(query.page_size().ok(), expected);
        }
        for size in ["0", "-1", "101", "1000000000", "abc", "", "1.0"] {
            let uri = format!("/?page_size={size}");
            let query = Query::from_request_parts(&mut parts(&uri, &[]), &()).await.unwrap();
            assert_eq!(query.page_size().unwrap_err().code(), "VALIDATION_FAILED", "{size}");
        }
    }

    #[tokio::test]
    async fn conditions_follow_the_rules_of_their_header() {
        let version = |tag: &str| tag.strip_prefix("\"v")?.strip_suffix('"')?.parse().ok();
        let read = async |name: &HeaderName, value: &str| {
            Conditions::from_request_parts(&mut parts("/", &[(name, value)]), &()).await.unwrap()
        };
        let expected = async |value| read(&header::IF_MATCH, value).await.expected_version(version);
        assert_eq!(expected("\"v7\"").await.unwrap(), Some(7));
        assert_eq!(expected("*").await.unwrap(), None);
        for malformed in ["v7", "W/\"v7\"", "\"v7\", \"v8\"", "\"x\"", ""] {
            assert_eq!(expected(malformed).await.unwrap_err().code(), "VERSION_MISMATCH");
        }
        for (value, held) in [
            ("\"v7\"", true),
            ("W/\"v7\"", true),
            ("\"v6\", \"v7\"", true),
            ("*", true),
            ("\"v8\"", false),
        ] {
            assert_eq!(read(&header::IF_NONE_MATCH, value).await.holds_already("\"v7\""), held);
        }
    }

    #[tokio::test]
    async fn headers_that_are_not_text_match_nothing() {
        let mut parts = parts("/", &[]);
        let garbage = HeaderValue::from_bytes(b"\xff").unwrap();
        parts.headers.insert(header::IF_MATCH, garbage);
        let conditions = Conditions::from_request_parts(&mut parts, &()).await.unwrap();
        assert!(conditions.expected_version(|_| Some(1)).is_err());
    }
}
