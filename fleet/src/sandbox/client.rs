//! A typed client of the provider's API: for audits, for chaos, for tests.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use uuid::Uuid;

use super::charge::{Charge, Page};
use super::script::Script;

/// Longest wait for an answer; a scripted latency may be longer.
const LIMIT: Duration = Duration::from_secs(10);
/// Charges fetched in one go.
const PAGE: usize = 1_000;

/// The provider at an address.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    api_key: String,
}

impl Client {
    /// Connects to nothing yet.
    pub fn new(url: &str, api_key: &str) -> Result<Self> {
        let http = crate::http::client().timeout(LIMIT).build()?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { http, url, api_key: api_key.to_owned() })
    }

    /// Whether the provider answers.
    pub async fn is_alive(&self) -> bool {
        let reply = self.http.get(format!("{}/livez", self.url)).send().await;
        reply.is_ok_and(|reply| reply.status().is_success())
    }

    /// A charge, if there is one under this reference.
    pub async fn find(&self, reference: Uuid) -> Result<Option<Charge>> {
        let reply = self.request(Method::GET, &format!("/v1/charges/{reference}")).send().await?;
        if reply.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(reply.error_for_status()?.json().await?))
    }

    /// A page of the ledger, in order of creation.
    pub async fn page(&self, after: Option<&str>, limit: usize) -> Result<Page> {
        let mut request = self.request(Method::GET, "/v1/charges").query(&[("limit", limit)]);
        if let Some(after) = after {
            request = request.query(&[("after", after)]);
        }
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    /// The whole ledger.
    pub async fn ledger(&self) -> Result<Vec<Charge>> {
        let (mut charges, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.page(after.as_deref(), PAGE).await?;
            charges.extend(page.charges);
            match page.next {
                None => return Ok(charges),
                // A cursor that does not move would be followed for ever.
                next if next == after => bail!("the ledger does not go on after {after:?}"),
                next => after = next,
            }
        }
    }

    /// The script in force.
    pub async fn script(&self) -> Result<Script> {
        let reply = self.request(Method::GET, "/v1/script").send().await?;
        Ok(reply.error_for_status()?.json().await?)
    }

    /// Makes the provider follow another script; the default is the one without faults.
    pub async fn set_script(&self, script: &Script) -> Result<()> {
        let reply = self.request(Method::PUT, "/v1/script").json(script).send().await?;
        reply.error_for_status().context("the script was refused")?;
        Ok(())
    }

    /// Decisions to come and callbacks to be delivered.
    pub async fn pending(&self) -> Result<u64> {
        let reply = self.request(Method::GET, "/v1/callbacks/pending").send().await?;
        let body: Value = reply.error_for_status()?.json().await?;
        body["pending"].as_u64().context("no count of what is pending")
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.api_key)
    }
}
