//! The broker's queues, as its management API tells of them.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Url;
use serde::Deserialize;

const LIMIT: Duration = Duration::from_secs(10);

/// One queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Messages in it, handed out or not.
    #[serde(default)]
    pub messages: u64,
    /// Who takes from it.
    #[serde(default)]
    pub consumers: u64,
}

impl Queue {
    /// Whether it holds dead letters.
    pub fn is_dead(&self) -> bool {
        self.name.rsplit_once('.').is_some_and(|(_, last)| last == "dead")
    }

    /// Whether it holds something that is still to be done.
    pub fn is_busy(&self) -> bool {
        self.messages > 0 && !self.is_dead()
    }
}

/// The queues of a name space. What the API tells may be some seconds old.
pub async fn list(management: &str, namespace: &str) -> Result<Vec<Queue>> {
    let client = crate::http::client().timeout(LIMIT).build()?;
    let url = Url::parse(management)?.join("/api/queues/%2f")?;
    let reply = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let reply =
        reply.map_err(reqwest::Error::without_url).context("the broker's management API")?;
    let queues: Vec<Queue> = reply.json().await.map_err(reqwest::Error::without_url)?;
    let prefix = format!("{namespace}.");
    Ok(queues.into_iter().filter(|queue| queue.name.starts_with(&prefix)).collect())
}
