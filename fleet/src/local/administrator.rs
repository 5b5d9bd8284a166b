//! How the tool itself reaches the middleware of the local fleet: with the administrators' accounts.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::audit::Provider;
use crate::layout::Layout;
use crate::middleware::Addresses;
use crate::sandbox::SandboxProcess;

/// Addresses with the accounts of administrators; kept in a file that only its owner may read.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdministratorAddresses {
    /// The database server.
    pub mysql: String,
    /// The broker's management API, where there is one.
    pub amqp_management: Option<String>,
    /// The broker.
    #[serde(default)]
    pub amqp: String,
    /// Redis.
    #[serde(default)]
    pub redis: String,
    /// Consul.
    #[serde(default)]
    pub consul: String,
    /// The sandbox provider, where it takes the payments.
    #[serde(default)]
    pub provider: Option<ProviderAddress>,
}

/// Where a provider answers, and what its clients prove themselves with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderAddress {
    /// Base address.
    pub url: String,
    /// Key of its API.
    pub api_key: String,
}

impl AdministratorAddresses {
    /// Those of a running fleet.
    pub fn of(addresses: &Addresses, provider: Option<&SandboxProcess>) -> Self {
        let Addresses { mysql, amqp_management, amqp, redis, consul } = addresses.clone();
        let provider = provider.map(|provider| ProviderAddress {
            url: provider.url().to_owned(),
            api_key: provider.api_key().to_owned(),
        });
        Self { mysql, amqp_management, amqp, redis, consul, provider }
    }

    /// Where the servers answer.
    pub fn servers(&self) -> Addresses {
        let Self { mysql, amqp_management, amqp, redis, consul, .. } = self.clone();
        Addresses { mysql, redis, amqp, amqp_management, consul }
    }

    /// Whose ledger an audit compares with ours.
    pub fn ledger(&self) -> Provider {
        self.provider.clone().map_or(Provider::Simulated, |ProviderAddress { url, api_key }| {
            Provider::Http { url, api_key }
        })
    }

    /// Keeps them for the other commands.
    pub fn save(&self, layout: &Layout) -> Result<()> {
        // A file that is already there would keep its rights.
        Self::forget(layout);
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(file(layout));
        let text = serde_json::to_vec_pretty(self)?;
        file.and_then(|mut file| file.write_all(&text)).context("the addresses cannot be written")
    }

    /// Those of the last start.
    pub fn load(layout: &Layout) -> Result<Self> {
        let text = match fs::read(file(layout)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!("no fleet runs here; start it: cargo ehub up")
            }
            text => text.context("the addresses cannot be read")?,
        };
        serde_json::from_slice(&text).context("the addresses cannot be read")
    }

    /// Removes what [`AdministratorAddresses::save`] wrote.
    pub fn forget(layout: &Layout) {
        let _ = fs::remove_file(file(layout));
    }
}

/// Passwords do not print.
impl std::fmt::Debug for AdministratorAddresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdministratorAddresses(***)")
    }
}

fn file(layout: &Layout) -> PathBuf {
    layout.state().join("administrator.json")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_accounts_are_for_their_owner_alone() {
        let folder = std::env::temp_dir().join(format!("ehub-admin-{}", std::process::id()));
        let layout = Layout::discover().unwrap().with_state(folder.clone());
        fs::create_dir_all(&folder).unwrap();
        let addresses = AdministratorAddresses {
            mysql: "mysql://root:s3cret@127.0.0.1:1".to_owned(),
            amqp_management: None,
            amqp: "amqp://guest:s3cret@127.0.0.1:3".to_owned(),
            redis: "redis://127.0.0.1:4".to_owned(),
            consul: "http://127.0.0.1:5".to_owned(),
            provider: Some(ProviderAddress {
                url: "http://127.0.0.1:2".to_owned(),
                api_key: "s3cret".to_owned(),
            }),
        };
        fs::write(file(&layout), "left by somebody").unwrap();
        addresses.save(&layout).unwrap();
        assert_eq!(file(&layout).metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(AdministratorAddresses::load(&layout).unwrap(), addresses);
        assert!(!format!("{addresses:?}").contains("s3cret"));
        AdministratorAddresses::forget(&layout);
        assert!(AdministratorAddresses::load(&layout).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
