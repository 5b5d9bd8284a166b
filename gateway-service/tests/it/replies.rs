//! What the gateway answered, and what is true of every answer.

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::contract;

/// The members of a problem document, as the design lists them.
const MEMBERS: [&str; 8] =
    ["type", "title", "status", "detail", "instance", "code", "trace_id", "violations"];

/// Headers of every answer, whatever it says.
pub(crate) const SAFETY: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// An answer to a request.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) async fn read(method: String, path: String, response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let (status, headers) = (parts.status.as_u16(), parts.headers);
        let reply = Self { method, path, status, headers, body };
        reply.check_headers();
        reply
    }

    /// What is true of every answer.
    fn check_headers(&self) {
        let id = self.header("x-request-id").unwrap();
        assert!((1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()));
        for (name, value) in SAFETY {
            assert_eq!(self.header(name), Some(value), "{name}");
        }
        let policy = self.header("content-security-policy").unwrap();
        // None of these follows from another one, but `object-src`, which ASVS 3.4.3 wants named.
        for source in ["default-src", "object-src", "base-uri", "form-action", "frame-ancestors"] {
            let directive = format!("{source} 'none'");
            assert!(policy.split("; ").any(|one| one == directive), "{directive}: {policy}");
        }
        assert!(self.header("cache-control").is_some());
    }

    /// That the documentation knows this answer, if it knows the operation.
    pub(crate) fn check_documented(&self) {
        let Some(operation) = contract::operation(&self.method, &self.path) else { return };
        // A body where none belongs is refused by its size before its operation is known.
        if self.status == 413 && operation.get("requestBody").is_none() {
            return;
        }
        contract::check(operation, self);
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The content type without its parameters.
    pub(crate) fn media_type(&self) -> Option<&str> {
        self.header("content-type").map(|text| text.split(';').next().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body of a success.
    pub(crate) fn json(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        assert_eq!(self.media_type(), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The body of a refusal, after a look at its form.
    pub(crate) fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.headers.contains_key(header::WWW_AUTHENTICATE), self.status == 401);
        if matches!(self.status, 503 | 504) {
            assert!(self.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
        }
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        check_form(&problem, self.status, &self.path);
        problem
    }

    /// The code of a refusal.
    pub(crate) fn code(&self) -> String {
        self.problem()["code"].as_str().unwrap().to_owned()
    }

    /// Code, first field at fault and its reason.
    pub(crate) fn fault(&self) -> (String, String, String) {
        let problem = self.problem();
        let member = |name| problem["violations"][0][name].as_str().unwrap_or("none").to_owned();
        (self.code(), member("field"), member("reason"))
    }
}

/// The form of a problem document about `path`.
pub(crate) fn check_form(problem: &Value, status: u16, path: &str) {
    let members = problem.as_object().unwrap();
    assert!(members.keys().all(|name| MEMBERS.contains(&name.as_str())), "{problem}");
    let code = problem["code"].as_str().unwrap();
    assert_eq!(problem["status"], Value::from(status), "{problem}");
    if let Some(page) = proto::errors::find(code) {
        assert_eq!(page.status, status, "{problem}");
        assert_eq!(problem["title"], page.title);
        assert_eq!(problem["type"], format!("/docs/errors/{code}"));
    } else {
        // Of a service that is newer than the gateway.
        assert_eq!(problem["type"], "about:blank", "{problem}");
    }
    assert_eq!(problem["instance"].as_str().unwrap_or_default(), path);
    assert!(!problem["detail"].as_str().unwrap().is_empty(), "{problem}");
    let trace_id = problem["trace_id"].as_str().unwrap();
    assert!(trace_id.len() == 32 && trace_id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    for violation in members.get("violations").iter().flat_map(|list| list.as_array().unwrap()) {
        for member in ["field", "reason", "description"] {
            assert!(violation[member].is_string(), "{problem}");
        }
    }
}
