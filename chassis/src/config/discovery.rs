//! `[discovery]`: how instances find each other.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, Secret};

/// Longest time for which what an earlier process was told may be believed: a week.
const CACHE_AGE_MAX_S: u32 = 7 * 24 * 3_600;

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
    /// For how long after an outage of Consul its answers only add endpoints and take none away,
    /// from the first one on: instances come back one after the other.
    pub relearn_ms: u64,
    /// Folder for the last good endpoints, of this process alone; empty means none. A process that
    /// starts while Consul does not answer goes on with what it finds there.
    pub cache_dir: String,
    /// How long these are believed after Consul has told them, in seconds.
    pub cache_max_age_s: u32,
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

    /// For how long after an outage answers only add endpoints, from the first one on.
    pub fn relearn(&self) -> Duration {
        Duration::from_millis(self.relearn_ms)
    }

    /// Refuses what Consul would understand in another way, and what would never be believed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        // No wait at all would mean Consul's own, which is five minutes; ten are its longest.
        if !(100..=600_000).contains(&self.wait_ms) {
            return Err(ConfigError::value("discovery.wait_ms", "must be 100 to 600000"));
        }
        if self.relearn_ms > 600_000 {
            return Err(ConfigError::value("discovery.relearn_ms", "must be at most 600000"));
        }
        // Endpoints that stay are saved once a minute, and not while a query waits.
        let shortest = 120 + self.wait_ms.div_ceil(1_000);
        if u64::from(self.cache_max_age_s) < shortest || self.cache_max_age_s > CACHE_AGE_MAX_S {
            let reason = format!("must be {shortest} to {CACHE_AGE_MAX_S}");
            return Err(ConfigError::value("discovery.cache_max_age_s", reason));
        }
        Ok(())
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
            relearn_ms: 15_000,
            cache_dir: String::new(),
            cache_max_age_s: 86_400,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_make_no_sense_are_refused_by_name() {
        DiscoveryConfig::default().validate().unwrap();
        let with = |change: fn(&mut DiscoveryConfig)| {
            let mut config = DiscoveryConfig::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(with(|config| config.wait_ms = 0).contains("discovery.wait_ms"));
        assert!(with(|config| config.wait_ms = 600_001).contains("discovery.wait_ms"));
        assert!(with(|config| config.relearn_ms = 600_001).contains("discovery.relearn_ms"));
        assert!(with(|config| config.cache_max_age_s = 149).contains("discovery.cache_max_age_s"));
        assert!(with(|config| config.cache_max_age_s = 604_801).contains("150 to 604800"));
    }
}
