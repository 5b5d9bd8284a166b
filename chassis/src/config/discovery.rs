//! `[discovery]`: how instances find each other.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::Secret;

/// How instances find each other.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiscoveryConfig {
    /// Which registry is used.
    pub mode: DiscoveryMode,
    /// HTTP address of the Consul agent.
    pub consul_url: String,
    /// Consul ACL token; empty means none.
    pub token: Secret,
    /// How long one blocking query waits for a change.
    pub wait_ms: u64,
    /// How often Consul checks the health of this instance.
    pub check_interval_ms: u64,
    /// After which time in a critical state Consul forgets this instance.
    pub deregister_after_ms: u64,
    /// Pause between two looks at what the names among `fixed` stand for.
    pub dns_refresh_ms: u64,
    /// Addresses for the mode `static`, service to list of `host:port`; behind `dns+` stands a name
    /// that is looked up again and again.
    #[serde(rename = "static", deserialize_with = "super::list::map_of_lists")]
    pub fixed: BTreeMap<String, Vec<String>>,
}

impl DiscoveryConfig {
    /// How long one blocking query waits for a change.
    pub fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }

    /// How often Consul checks the health of this instance.
    pub fn check_interval(&self) -> Duration {
        Duration::from_millis(self.check_interval_ms)
    }

    /// Pause between two looks at what names stand for.
    pub fn dns_refresh(&self) -> Duration {
        Duration::from_millis(self.dns_refresh_ms)
    }

    /// After which time in a critical state Consul forgets this instance.
    pub fn deregister_after(&self) -> Duration {
        Duration::from_millis(self.deregister_after_ms)
    }
}

impl Default for DiscoveryConfig {
    fn default() -> Self {
        Self {
            mode: DiscoveryMode::Consul,
            consul_url: "http://127.0.0.1:8500".to_owned(),
            token: Secret::default(),
            wait_ms: 30_000,
            check_interval_ms: 1_000,
            deregister_after_ms: 60_000,
            dns_refresh_ms: 5_000,
            fixed: BTreeMap::new(),
        }
    }
}

/// Which registry is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiscoveryMode {
    /// A Consul agent.
    Consul,
    /// The addresses of `[discovery.static]`: for Kubernetes DNS names and small set-ups.
    Static,
}
