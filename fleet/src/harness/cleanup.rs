//! The end of a fleet that a test is done with.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Url;
use serde_json::Value;
use sqlx::Connection;
use tokio::sync::Mutex;

use super::{Fleet, SERVER_STOP_LIMIT};
use crate::{schema, wait};

/// How long the relays may take to publish what the test has caused.
const OUTBOX_LIMIT: Duration = Duration::from_secs(20);
const EVENT_SOURCES: [&str; 4] =
    ["user-service", "auth-service", "order-service", "payment-service"];

impl Fleet {
    /// Checks that every event was published and that every process ends in order, then removes
    /// everything the fleet has created.
    pub async fn finish(mut self) -> Result<()> {
        for service in EVENT_SOURCES {
            self.until_published(service).await?;
        }
        for (process, status) in self.stack.stop().await? {
            // A process that the test itself killed has no code.
            if status.code().is_some_and(|code| code != 0) {
                bail!("{process} ended with {status}; logs: {}", self.layout.state().display());
            }
        }
        if let Some(provider) = &mut self.provider {
            let status = provider.stop().await?;
            if !status.success() {
                bail!("the provider ended with {status}; logs: {}", self.layout.state().display());
            }
        }
        self.remove_queues().await?;
        if let Some(broker) = &mut self.broker {
            broker.stop().await?;
        }
        while let Some(mut server) = self.servers.pop() {
            server.stop(SERVER_STOP_LIMIT).await?;
        }
        schema::remove(&self.admin, self.settings.schemas.iter().map(|(_, schema)| schema)).await?;
        if let Some(database) = &mut self.database {
            database.stop().await?;
        }
        std::fs::remove_dir_all(self.layout.state()).context("the fleet's folder remains")
    }

    /// Waits until the broker has every event that a service has committed so far.
    pub async fn until_published(&self, service: &str) -> Result<()> {
        let what = format!("publishing everything in the outbox of {service}");
        let connection = Mutex::new(self.database(service).await?);
        wait::until(&what, OUTBOX_LIMIT, || async {
            let mut connection = connection.lock().await;
            let waiting: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM outbox")
                .fetch_one(&mut *connection)
                .await
                .with_context(|| what.clone())?;
            Ok((waiting == 0).then_some(()))
        })
        .await?;
        Ok(connection.into_inner().close().await?)
    }

    /// A shared broker outlives the fleet; its queues must not.
    async fn remove_queues(&self) -> Result<()> {
        let (None, Some(management)) = (&self.broker, &self.addresses().amqp_management) else {
            return Ok(());
        };
        let base = Url::parse(management)?;
        for kind in ["queues", "exchanges"] {
            for name in self.own_names(&base, kind).await? {
                let url = base.join(&format!("/api/{kind}/%2f/{name}"))?;
                request(reqwest::Method::DELETE, url).await?;
            }
        }
        Ok(())
    }

    async fn own_names(&self, base: &Url, kind: &str) -> Result<Vec<String>> {
        let reply = request(reqwest::Method::GET, base.join(&format!("/api/{kind}/%2f"))?).await?;
        let list: Vec<Value> = reply.json().await?;
        let prefix = format!("{}.", self.namespace());
        let names = list.iter().filter_map(|entry| entry["name"].as_str());
        Ok(names.filter(|name| name.starts_with(&prefix)).map(str::to_owned).collect())
    }
}

/// The account comes with the address.
async fn request(method: reqwest::Method, url: Url) -> Result<reqwest::Response> {
    let client = crate::http::client().build()?;
    Ok(client.request(method, url).send().await?)
}
