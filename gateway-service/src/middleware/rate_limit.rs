//! Quotas on the wire: `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).

use std::net::IpAddr;
use std::time::Duration;

use axum::response::Response;
use chassis::http::subscriber;
use http::HeaderValue;

use super::authn::Identity;
use crate::error::{ApiError, codes};
use crate::limit::{Class, Decision, Key, Limiter, Quota, Subject};

/// The quotas that a route counts against.
pub(crate) struct Policy {
    class: Shown,
    address: Shown,
}

/// A quota and how it is told.
struct Shown {
    class: Class,
    /// Rendered once: it is the same in every answer.
    header: HeaderValue,
}

/// What is said about one request, and by which quota.
pub(crate) struct Verdict<'a> {
    shown: &'a Shown,
    pub(crate) decision: Decision,
}

impl Policy {
    /// The quota of a class, and that of all requests of an address.
    pub(crate) fn new(class: Class, limiter: &Limiter) -> Self {
        let shown = |class| Shown::new(class, limiter.quota(class));
        Self { class: shown(class), address: shown(Class::Address) }
    }

    /// Takes one request from the budget of a user whose token is in force, or of an address for
    /// anyone else: what an old token spent would be missing to its owner. And one from that of the
    /// address, whoever asks. Told is the one that refuses, else that of the class.
    pub(crate) async fn take(
        &self,
        limiter: &Limiter,
        identity: &Identity,
        address: IpAddr,
    ) -> Verdict<'_> {
        let address = Subject::Address(subscriber(address));
        let subject = match identity {
            Identity::Known { caller, .. } => Subject::User(caller.user_id),
            Identity::Anonymous | Identity::Spent { .. } | Identity::Refused(_) => address,
        };
        let all = limiter.take(Key { class: Class::Address, subject: address }).await;
        if !all.is_allowed {
            return Verdict { shown: &self.address, decision: all };
        }
        let decision = limiter.take(Key { class: self.class.class, subject }).await;
        Verdict { shown: &self.class, decision }
    }
}

impl Shown {
    fn new(class: Class, quota: &Quota) -> Self {
        let text = format!("\"{}\";q={};w={}", class.name(), quota.requests, quota.window_s);
        let header = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        Self { class, header }
    }
}

impl Verdict<'_> {
    /// Tells the caller about its budget.
    pub(crate) fn describe(&self, response: &mut Response) {
        let (class, decision) = (self.shown.class.name(), &self.decision);
        let reset = whole_seconds(decision.reset);
        let text = format!("\"{class}\";r={};t={reset}", decision.remaining);
        let headers = response.headers_mut();
        headers.insert("ratelimit-policy", self.shown.header.clone());
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
        let shown = Shown::new(Class::Login, &quota);
        Verdict { shown: &shown, decision }.describe(&mut response);
        assert_eq!(response.headers()["ratelimit-policy"], "\"login\";q=100;w=60");
        assert_eq!(response.headers()["ratelimit"], "\"login\";r=42;t=35");
    }
}
