//! Quotas on the wire: `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).

use std::net::IpAddr;
use std::time::Duration;

use axum::response::Response;
use http::HeaderValue;

use super::authn::Identity;
use super::client_address::subscriber;
use crate::error::{ApiError, codes};
use crate::limit::{Class, Decision, Key, Limiter, Quota, Subject};

/// The quota of one class of routes.
pub(crate) struct Policy {
    class: Class,
    /// Rendered once: it is the same in every answer.
    header: HeaderValue,
}

impl Policy {
    pub(crate) fn new(class: Class, quota: &Quota) -> Self {
        let text = format!("\"{}\";q={};w={}", class.name(), quota.requests, quota.window_s);
        let header = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        Self { class, header }
    }

    /// Takes one request from the budget of a user, or of an address for anyone else.
    pub(crate) async fn take(
        &self,
        limiter: &Limiter,
        identity: &Identity,
        address: IpAddr,
    ) -> Decision {
        let subject = match identity {
            Identity::Known { caller, .. } => Subject::User(caller.user_id),
            Identity::Anonymous | Identity::Refused(_) => Subject::Address(subscriber(address)),
        };
        limiter.take(Key { class: self.class, subject }).await
    }

    /// Tells the caller about its budget.
    pub(crate) fn describe(&self, response: &mut Response, decision: &Decision) {
        let class = self.class.name();
        let reset = whole_seconds(decision.reset);
        let text = format!("\"{class}\";r={};t={reset}", decision.remaining);
        let headers = response.headers_mut();
        headers.insert("ratelimit-policy", self.header.clone());
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert("ratelimit", value);
        }
    }
}

/// The refusal of a caller whose budget is used up.
pub(crate) fn refusal(decision: &Decision) -> ApiError {
    ApiError::new(codes::RATE_LIMITED, "the quota of requests is used up for now")
        .retry_after(decision.retry_after)
}

/// Rounds up: rounding down would invite the next request too early.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn the_headers_follow_the_draft() {
        let quota = Quota { requests: 100, window_s: 60, lease: 1 };
        let decision = Decision {
            is_allowed: true,
            remaining: 42,
            reset: Duration::from_millis(34_100),
            retry_after: Duration::ZERO,
        };
        let mut response = ().into_response();
        Policy::new(Class::Login, &quota).describe(&mut response, &decision);
        assert_eq!(response.headers()["ratelimit-policy"], "\"login\";q=100;w=60");
        assert_eq!(response.headers()["ratelimit"], "\"login\";r=42;t=35");
    }
}
