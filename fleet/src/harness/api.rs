//! A client of the fleet's HTTP API, as small as the tests and the demo need it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::random;

const REQUEST_LIMIT: Duration = Duration::from_secs(20);
const CUSTOMER_PASSWORD: &str = "a-customers-long-password";

/// An answer with its body read.
#[derive(Clone, Debug)]
pub struct Reply {
    /// What was asked, for messages.
    pub request: String,
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body; null when it is empty, a string when it is not JSON.
    pub body: Value,
    /// From sending to the last byte.
    pub elapsed: Duration,
}

impl Reply {
    /// The body if the status is the expected one, else an error that shows the answer.
    pub fn require(self, status: u16) -> Result<Value> {
        self.require_any(&[status])
    }

    /// As [`Reply::require`] with several good answers.
    pub fn require_any(self, statuses: &[u16]) -> Result<Value> {
        if !statuses.contains(&self.status) {
            bail!(
                "{} answered {} instead of {statuses:?}: {}",
                self.request,
                self.status,
                self.body
            );
        }
        Ok(self.body)
    }

    /// The error code of a problem document.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A client, with or without an account.
#[derive(Clone, Debug)]
pub struct Api {
    base: String,
    client: reqwest::Client,
    token: Option<String>,
}

impl Api {
    /// A client without an account.
    pub fn new(base: impl Into<String>) -> Result<Self> {
        let client = crate::http::client().timeout(REQUEST_LIMIT).build()?;
        Ok(Self { base: base.into(), client, token: None })
    }

    /// A client without an account, at an address of its own among those of the loopback network:
    /// the gateway counts by address.
    pub fn bound_to(base: impl Into<String>, address: IpAddr) -> Result<Self> {
        let client = crate::http::client().timeout(REQUEST_LIMIT).local_address(address).build()?;
        Ok(Self { base: base.into(), client, token: None })
    }

    /// The same client at another gateway.
    #[must_use]
    pub fn at(&self, base: impl Into<String>) -> Self {
        Self { base: base.into(), ..self.clone() }
    }

    /// The same client with an access token.
    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// The access token.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// A request to be completed by the caller; see [`Api::send`].
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Reply> {
        let request = request.build()?;
        let name = format!("{} {}", request.method(), request.url().path());
        let start = Instant::now();
        let reply =
            self.client.execute(request).await.with_context(|| format!("{name}: no answer"))?;
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        let text = reply.text().await.with_context(|| format!("{name}: half an answer"))?;
        let body = match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(_) if text.is_empty() => Value::Null,
            Err(_) => Value::String(text),
        };
        Ok(Reply { request: name, status, headers, body, elapsed: start.elapsed() })
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// PUT with a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Reply> {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// POST with a JSON body and an idempotency key.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Result<Reply> {
        let request = self.request(Method::POST, path).header("Idempotency-Key", key).json(body);
        self.send(request).await
    }

    /// Registers an account.
    pub async fn register(&self, email: &str, password: &str, name: &str) -> Result<Reply> {
        let body = json!({"email": email, "password": password, "display_name": name});
        self.post("/api/v1/users", &body).await
    }

    /// Logs in and returns a client with the token.
    pub async fn login(&self, email: &str, password: &str) -> Result<Self> {
        let body = json!({"email": email, "password": password});
        let tokens = self.post("/api/v1/auth/login", &body).await?.require(200)?;
        let token = tokens["access_token"].as_str().context("the login returned no token")?;
        Ok(self.with_token(token))
    }

    /// Registers a customer with a made-up address and logs in.
    pub async fn new_customer(&self) -> Result<Self> {
        let email = new_email();
        self.register(&email, CUSTOMER_PASSWORD, "Customer").await?.require(201)?;
        self.login(&email, CUSTOMER_PASSWORD).await
    }

    /// Orders one product under a fresh idempotency key.
    pub async fn order(&self, sku: &str, quantity: u32, payment_method: &str) -> Result<Reply> {
        let items = json!([{"sku": sku, "quantity": quantity}]);
        let body = json!({"items": items, "payment_method": payment_method});
        self.post_once("/api/v1/orders", &new_key(), &body).await
    }
}

/// An e-mail address that nobody has used.
pub fn new_email() -> String {
    format!("customer-{}@example.com", random::token())
}

/// An idempotency key that nobody has used.
pub fn new_key() -> String {
    random::token()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: Value) -> Reply {
        let request = "GET /x".to_owned();
        Reply { request, status, headers: HeaderMap::new(), body, elapsed: Duration::ZERO }
    }

    #[test]
    fn an_unexpected_status_shows_the_answer() {
        let error = reply(409, json!({"code": "ORDER_STATE"})).require(201).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("GET /x answered 409") && message.contains("ORDER_STATE"));
    }

    #[test]
    fn an_expected_status_yields_the_body() {
        assert_eq!(reply(202, json!(1)).require_any(&[201, 202]).unwrap(), json!(1));
    }
}
