//! What handlers take from a request; whatever does not fit is refused with its own code.

use axum::extract::{FromRequestParts, Path};
use chassis::auth::{AuthError, Caller};
use chassis::error::codes as fleet;
use http::HeaderName;
use http::request::Parts;
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

#[cfg(test)]
mod tests {
    use axum::extract::FromRequestParts;
    use http::Request;

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
}
