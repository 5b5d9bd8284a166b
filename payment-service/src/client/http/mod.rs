//! A payment provider that is asked over HTTP, with JSON in both directions.
//!
//! An answer counts only if it is whole, has the agreed form and is about the charge that was asked
//! for. Everything else, from a refused connection to an amount that differs, leaves the outcome
//! unknown: what the provider did is found out later, and never guessed.

mod guard;
mod reply;
#[cfg(test)]
pub(super) mod tests;
mod wire;

use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use chassis::config::Secret;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use tokio::sync::Semaphore;

use self::guard::Guard;
use self::reply::Reply;
use super::{ChargeRequest, PaymentProvider, ProviderError, RefundRequest};
use crate::model::{Charge, ChargePage};

/// The provider's word for a reference that it never heard of.
const UNKNOWN_REFERENCE: &str = "unknown_reference";

/// How the provider is reached.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Where its API begins, such as `https://api.provider.example`.
    pub url: String,
    /// Proves who asks.
    pub api_key: Secret,
    /// Longest attempt to connect.
    pub connect_timeout: Duration,
    /// Longest call, from the connection to the end of the answer.
    pub timeout: Duration,
    /// Calls, and so connections, at once; further ones wait.
    pub max_connections: usize,
    /// How long a connection without a call is kept.
    pub idle_timeout: Duration,
    /// Largest answer that is read.
    pub response_max_bytes: usize,
    /// Failures in a row after which the provider is left alone.
    pub breaker_failures: u32,
    /// How long it is then; afterwards one call per pause finds out whether it is back.
    pub breaker_pause: Duration,
}

/// A [`PaymentProvider`] behind an HTTP API.
pub struct HttpProvider {
    client: Client,
    /// The address of all charges, without a slash at its end.
    charges: String,
    calls: Semaphore,
    guard: Guard,
    response_max_bytes: usize,
}

impl HttpProvider {
    /// Prepares to ask the provider; connects to nothing yet.
    pub fn new(settings: &HttpSettings) -> anyhow::Result<Self> {
        // A client that speaks plain HTTP needs a TLS provider in the process, too; an error says
        // that there is one already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = client(settings)?;
        Ok(Self {
            client,
            charges: format!("{}/v1/charges", settings.url.trim_end_matches('/')),
            calls: Semaphore::new(settings.max_connections),
            guard: Guard::new(settings),
            response_max_bytes: settings.response_max_bytes,
        })
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Reply, ProviderError> {
        let _turn = self.calls.acquire().await.map_err(ProviderError::unknown)?;
        // Asked for behind the wait, which the provider may have failed in.
        let call = self.guard.begin()?;
        let answer = self.send(request).await;
        call.end(&answer);
        answer
    }

    async fn send(&self, request: RequestBuilder) -> Result<Reply, ProviderError> {
        let sent = request.send().await;
        let response = sent.map_err(|error| ProviderError::unknown(error.without_url()))?;
        Reply::read(response, self.response_max_bytes).await
    }

    fn charge_url(&self, reference: impl std::fmt::Display) -> String {
        format!("{}/{reference}", self.charges)
    }
}

#[expect(clippy::disallowed_methods, reason = "`new` has installed a TLS provider")]
fn client(settings: &HttpSettings) -> anyhow::Result<Client> {
    let mut key = HeaderValue::from_str(&format!("Bearer {}", settings.api_key.expose()))
        .context("provider.api_key is no header value")?;
    key.set_sensitive(true);
    Client::builder()
        .default_headers(HeaderMap::from_iter([(AUTHORIZATION, key)]))
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.timeout)
        .pool_idle_timeout(settings.idle_timeout)
        .pool_max_idle_per_host(settings.max_connections)
        // An answer from elsewhere is not the provider's, and the key is not for elsewhere.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .build()
        .context("no HTTP client for the provider")
}

#[async_trait]
impl PaymentProvider for HttpProvider {
    async fn capture(&self, request: &ChargeRequest) -> Result<Charge, ProviderError> {
        let call = self.client.post(&self.charges).json(&wire::NewCharge::of(request));
        let reply = self.ask(call).await?;
        match reply.status {
            StatusCode::OK | StatusCode::CREATED => reply.charge_of(request),
            StatusCode::UNPROCESSABLE_ENTITY => Err(reply.refusal()),
            StatusCode::CONFLICT => {
                // Somebody charged other money under our reference. Whether that was us, people
                // have to find out.
                tracing::error!(payment.id = %request.reference, "provider reference is taken");
                Err(reply.unexpected())
            }
            _ => Err(reply.unexpected()),
        }
    }

    async fn query(&self, request: &ChargeRequest) -> Result<Option<Charge>, ProviderError> {
        let reply = self.ask(self.client.get(self.charge_url(request.reference))).await?;
        match reply.status {
            StatusCode::OK => reply.charge_of(request).map(Some),
            // A status alone may come from anything in between, such as a wrong address.
            StatusCode::NOT_FOUND if reply.says(UNKNOWN_REFERENCE) => Ok(None),
            _ => Err(reply.unexpected()),
        }
    }

    async fn refund(&self, request: &RefundRequest) -> Result<(), ProviderError> {
        let url = format!("{}/refunds", self.charge_url(request.reference));
        let call = self.client.post(url).json(&wire::NewRefund::of(request));
        let reply = self.ask(call).await?;
        match reply.status {
            StatusCode::OK | StatusCode::CREATED => reply.confirms(request),
            // Both say that this refund was not made; it is asked for again all the same.
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT => Err(reply.refusal()),
            _ => Err(reply.unexpected()),
        }
    }

    async fn list_charges(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<ChargePage, ProviderError> {
        let call = self.client.get(&self.charges).query(&[("limit", limit)]);
        let call = match after {
            Some(after) => call.query(&[("after", after)]),
            None => call,
        };
        let reply = self.ask(call).await?;
        match reply.status {
            StatusCode::OK => reply.page(),
            _ => Err(reply.unexpected()),
        }
    }
}
