//! Verifies the access token of a call and names its caller.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, header};

use super::{Around, Next, refuse};
use crate::auth::{AuthError, Caller, Verifier};
use crate::grpc::context;

/// The scheme in front of a token, compared without regard to case (RFC 9110, section 11.1).
const SCHEME: &str = "bearer ";

/// A token that comes is verified; one that does not is the handler's to demand, because only it
/// knows whether its method needs a caller.
#[derive(Clone)]
pub(crate) struct Authn {
    verifier: Option<Arc<Verifier>>,
    public: &'static [&'static str],
}

impl Authn {
    pub(crate) fn new(verifier: Option<Arc<Verifier>>, public: &'static [&'static str]) -> Self {
        Self { verifier, public }
    }

    async fn caller(&self, path: &str, headers: &HeaderMap) -> Result<Option<Caller>, AuthError> {
        let Some(verifier) = &self.verifier else {
            return Ok(None);
        };
        if self.public.contains(&path) {
            return Ok(None);
        }
        match bearer_token(headers)? {
            Some(token) => verifier.verify(token).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Around for Authn {
    async fn around<N: Next>(&self, mut request: Request, next: N) -> Response {
        let caller = self.caller(request.uri().path(), request.headers()).await;
        match caller {
            Ok(Some(caller)) => {
                request.extensions_mut().insert(caller.clone());
                context::scope_caller(caller, next.run(request)).await
            }
            Ok(None) => next.run(request).await,
            Err(error) => refuse(&error),
        }
    }
}

fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, AuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(AuthError::Invalid("more than one credential"));
    }
    let text = value.to_str().map_err(|_| AuthError::Invalid("not ASCII"))?;
    match text.split_at_checked(SCHEME.len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => Ok(Some(token)),
        _ => Err(AuthError::Invalid("not a bearer token")),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(values: &[&'static str]) -> Result<Option<String>, AuthError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        bearer_token(&headers).map(|token| token.map(str::to_owned))
    }

    #[test]
    fn the_scheme_is_read_without_regard_to_case() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["Bearer abc"]), Ok(Some("abc".to_owned())));
        assert_eq!(read(&["bEARER abc"]), Ok(Some("abc".to_owned())));
    }

    #[test]
    fn other_schemes_and_double_credentials_are_refused() {
        assert!(read(&["Basic abc"]).is_err());
        assert!(read(&["Bearer"]).is_err());
        assert!(read(&["Bearer a", "Bearer b"]).is_err());
    }
}
