//! Where the local fleet answers: shown as a table, and kept for the other commands.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::layout::Layout;
use crate::middleware::Addresses;
use crate::sandbox::SandboxProcess;
use crate::services::{Service, Stack};
use crate::{address, seed, ui};

/// Addresses of a running fleet, without any password but the documented development ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalAddresses {
    /// Base address of the API.
    pub gateway: String,
    rows: Vec<Vec<String>>,
}

impl LocalAddresses {
    /// Collects them.
    pub fn of(stack: &Stack, middleware: &Addresses) -> Result<Self> {
        let gateway = stack.gateway_url()?;
        let mut rows = vec![
            row("API", &gateway, "HTTP/JSON"),
            row("API documentation", &format!("{gateway}/docs"), ""),
            row("OpenAPI", &format!("{gateway}/openapi.json"), ""),
        ];
        for one in stack.instances() {
            let metrics = format!("{}/metrics", one.internal_url());
            let api = if one.service.name == Service::GATEWAY { "http" } else { "grpc" };
            rows.push(row(one.service.name, &format!("{api}://127.0.0.1:{}", one.port), &metrics));
        }
        rows.extend(middleware_rows(middleware));
        let admin = format!("{} / {}", seed::ADMIN_EMAIL, seed::ADMIN_PASSWORD);
        rows.push(row("Administrator", &admin, "development only"));
        Ok(Self { gateway, rows })
    }

    /// Adds the sandbox provider. Its key is in a file, which only this account may read.
    pub fn add_provider(&mut self, provider: &SandboxProcess) {
        let key = format!("key in {}", provider.api_key_file().display());
        self.rows.push(row("Sandbox provider", provider.url(), &key));
    }

    /// As a table.
    pub fn table(&self) -> String {
        ui::table(&self.rows)
    }

    /// Keeps them for the other commands.
    pub fn save(&self, layout: &Layout) -> Result<()> {
        fs::write(file(layout), serde_json::to_vec_pretty(self)?)
            .context("the addresses cannot be written")
    }

    /// The addresses of the last start.
    pub fn load(layout: &Layout) -> Result<Self> {
        let text = match fs::read(file(layout)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!("no fleet runs here; start it: cargo ehub up")
            }
            text => text.context("the addresses cannot be read")?,
        };
        serde_json::from_slice(&text).context("the addresses cannot be read")
    }

    /// Removes what [`LocalAddresses::save`] wrote.
    pub fn forget(layout: &Layout) {
        let _ = fs::remove_file(file(layout));
    }
}

fn middleware_rows(addresses: &Addresses) -> Vec<Vec<String>> {
    let mut rows = vec![
        row("Consul", &format!("{}/ui", addresses.consul), ""),
        row("MySQL", &address::redact(&addresses.mysql), "accounts hub_*, see the README"),
        row("Redis", &address::redact(&addresses.redis), ""),
        row("RabbitMQ", &address::redact(&addresses.amqp), ""),
    ];
    if let Some(management) = &addresses.amqp_management {
        rows.push(row("RabbitMQ management", &without_account(management), "guest / guest"));
    }
    rows
}

/// Browsers refuse or warn about addresses that carry an account.
fn without_account(url: &str) -> String {
    match url.split_once('@') {
        Some((_, host)) => format!("http://{host}"),
        None => url.to_owned(),
    }
}

fn row(name: &str, value: &str, note: &str) -> Vec<String> {
    vec![name.to_owned(), value.to_owned(), note.to_owned()]
}

fn file(layout: &Layout) -> PathBuf {
    layout.state().join("addresses.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_servers_are_not_shown() {
        let addresses = Addresses {
            mysql: "mysql://root:s3cret@127.0.0.1:1".to_owned(),
            amqp: "amqp://guest:s3cret@127.0.0.1:2".to_owned(),
            redis: "redis://:s3cret@127.0.0.1:3".to_owned(),
            amqp_management: Some("http://guest:s3cret@127.0.0.1:4".to_owned()),
            consul: "http://127.0.0.1:5".to_owned(),
        };
        let text = ui::table(&middleware_rows(&addresses));
        assert!(!text.contains("s3cret"), "{text}");
        assert!(text.contains("http://127.0.0.1:4"), "{text}");
    }
}
