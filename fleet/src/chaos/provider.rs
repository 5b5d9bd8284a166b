//! The sandbox provider as chaos sees it: it follows scripts, and has callbacks to deliver.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

/// A provider that another fault holds up answers to nobody.
const LIMIT: Duration = Duration::from_secs(2);

/// Where the provider answers, and the key it asks for.
#[derive(Clone, Debug)]
pub struct Provider {
    client: Client,
    url: String,
    api_key: String,
}

impl Provider {
    /// The provider at an address.
    pub fn new(url: impl Into<String>, api_key: impl Into<String>) -> Result<Self> {
        let client = crate::http::client().timeout(LIMIT).build()?;
        Ok(Self { client, url: url.into(), api_key: api_key.into() })
    }

    /// Makes it follow a script; the empty object is the script without faults.
    pub async fn follow(&self, script: &Value) -> Result<()> {
        let request = self.request(Method::PUT, "/v1/script").json(script);
        request.send().await?.error_for_status().context("the script was refused")?;
        Ok(())
    }

    /// Callbacks that it has not delivered yet.
    pub async fn pending_callbacks(&self) -> Result<u64> {
        let request = self.request(Method::GET, "/v1/callbacks/pending");
        let reply: Value = request.send().await?.error_for_status()?.json().await?;
        reply["pending"].as_u64().context("no count of pending callbacks")
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.api_key)
    }
}
