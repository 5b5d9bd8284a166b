//! `[provider]`: who takes the money, and how it is reached.

use std::time::Duration;

use chassis::config::{ConfigError, Profile, Secret};
use reqwest::Url;
use serde::Deserialize;

use crate::client::http::HttpSettings;

/// Room that a charge takes in a page of the ledger, with some refunds.
const CHARGE_BYTES: u64 = 1_024;

/// `[provider]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// Which adapter.
    pub kind: ProviderKind,
    /// Longest wait for an answer; afterwards the outcome is unknown.
    pub timeout_ms: u64,
    /// HTTP provider: where its API begins.
    pub url: String,
    /// HTTP provider: proves who asks.
    pub api_key: Secret,
    /// HTTP provider: longest attempt to connect.
    pub connect_timeout_ms: u64,
    /// HTTP provider: calls, and so connections, at once; further ones wait.
    pub max_connections: usize,
    /// HTTP provider: how long a connection without a call is kept.
    pub idle_timeout_ms: u64,
    /// HTTP provider: largest answer that is read.
    pub response_max_bytes: usize,
    /// HTTP provider: failures in a row after which it is left alone.
    pub breaker_failures: u32,
    /// HTTP provider: how long it is left alone; then one call per pause finds out.
    pub breaker_pause_ms: u64,
    /// Simulated provider: time until a pending charge is decided and its callback is sent.
    pub callback_delay_ms: u64,
}

/// Which adapter of the provider is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// In the process; moves no money.
    Simulated,
    /// Asked over HTTP.
    Http,
}

impl ProviderConfig {
    /// Longest wait for an answer.
    pub const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// How the HTTP provider is reached.
    pub fn http(&self) -> HttpSettings {
        HttpSettings {
            url: self.url.clone(),
            api_key: self.api_key.clone(),
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
            timeout: self.timeout(),
            max_connections: self.max_connections,
            idle_timeout: Duration::from_millis(self.idle_timeout_ms),
            response_max_bytes: self.response_max_bytes,
            breaker_failures: self.breaker_failures,
            breaker_pause: Duration::from_millis(self.breaker_pause_ms),
        }
    }

    /// Refuses a bound of answers that a page of the provider's ledger would not keep to.
    pub fn require_room_for(&self, page: u32) -> Result<(), ConfigError> {
        let needed = u64::from(page) * CHARGE_BYTES;
        if self.kind == ProviderKind::Simulated || self.response_max_bytes as u64 >= needed {
            return Ok(());
        }
        let why = format!(
            "must be at least {needed}: {CHARGE_BYTES} for each charge of ledger.page ({page})"
        );
        Err(ConfigError::value("provider.response_max_bytes", why))
    }

    /// Checks what the types cannot.
    pub fn validate(&self, profile: Profile) -> Result<(), ConfigError> {
        if self.kind == ProviderKind::Simulated {
            return Ok(());
        }
        let refuse = |key: &str, why: &str| Err(ConfigError::value(format!("provider.{key}"), why));
        if self.url.is_empty() {
            return refuse("url", "is required when provider.kind is \"http\"");
        }
        if !is_address(&self.url, profile) {
            let why = "must be an https address, or one of loopback, without account and query";
            return refuse("url", why);
        }
        if self.api_key.is_empty() {
            return refuse("api_key", "is required when provider.kind is \"http\"");
        }
        if !self.api_key.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse("api_key", "must be printable ASCII without spaces");
        }
        if profile == Profile::Production && self.api_key.expose().contains("development") {
            return refuse("api_key", "is the key for development");
        }
        if self.timeout_ms == 0 || self.connect_timeout_ms == 0 {
            return refuse("timeout_ms", "and connect_timeout_ms must be above 0");
        }
        if !(1..=1_000).contains(&self.max_connections) {
            return refuse("max_connections", "must be between 1 and 1000");
        }
        if !(1_024..=16_777_216).contains(&self.response_max_bytes) {
            return refuse("response_max_bytes", "must be between 1024 and 16777216");
        }
        if !(1..=100).contains(&self.breaker_failures) {
            return refuse("breaker_failures", "must be between 1 and 100");
        }
        if !(1..=60_000).contains(&self.breaker_pause_ms) {
            return refuse("breaker_pause_ms", "must be between 1 and 60000");
        }
        Ok(())
    }
}

/// Whether the key may be sent there: what others can read is for a developer's machine only.
fn is_address(text: &str, profile: Profile) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    let loopback = match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse().is_ok_and(|ip: std::net::Ipv4Addr| ip.is_loopback()),
        None => return false,
    };
    let private = url.scheme() == "https"
        || (url.scheme() == "http" && (loopback || profile == Profile::Development));
    plain && private && url.fragment().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ProviderConfig {
        ProviderConfig {
            kind: ProviderKind::Http,
            timeout_ms: 2_300,
            url: "https://api.provider.example/payments".to_owned(),
            api_key: Secret::new("sk_live_0123456789"),
            connect_timeout_ms: 500,
            max_connections: 32,
            idle_timeout_ms: 30_000,
            response_max_bytes: 65_536,
            breaker_failures: 5,
            breaker_pause_ms: 1_000,
            callback_delay_ms: 1_000,
        }
    }

    fn refusal(config: &ProviderConfig) -> String {
        config.validate(Profile::Production).unwrap_err().to_string()
    }

    #[test]
    fn an_http_provider_needs_an_address_and_a_key() {
        config().validate(Profile::Production).unwrap();
        let refused = refusal(&ProviderConfig { url: String::new(), ..config() });
        assert!(refused.contains("provider.url"), "{refused}");
        for key in ["", "two words", "for-development-only"] {
            let refused = refusal(&ProviderConfig { api_key: Secret::new(key), ..config() });
            assert!(refused.contains("provider.api_key"), "{refused}");
        }
        let kind = ProviderKind::Simulated;
        let simulated =
            ProviderConfig { kind, url: String::new(), api_key: Secret::default(), ..config() };
        simulated.validate(Profile::Production).unwrap();
    }

    #[test]
    fn the_key_travels_in_plain_text_on_loopback_only() {
        let at = |url: &str| ProviderConfig { url: url.to_owned(), ..config() };
        for url in ["http://127.0.0.1:9/", "http://localhost:9", "http://[::1]:9", "https://x.y"] {
            at(url).validate(Profile::Production).unwrap();
        }
        for url in
            ["http://provider.example", "ftp://localhost", "https://a:b@x.y", "https://x?y=1", "x"]
        {
            let refused = refusal(&at(url));
            assert!(refused.contains("provider.url"), "{url}: {refused}");
        }
        at("http://provider.example").validate(Profile::Development).unwrap();
    }

    #[test]
    fn bounds_that_bound_nothing_are_refused_by_name() {
        for (odd, key) in [
            (ProviderConfig { max_connections: 0, ..config() }, "provider.max_connections"),
            (ProviderConfig { response_max_bytes: 0, ..config() }, "provider.response_max_bytes"),
            (ProviderConfig { connect_timeout_ms: 0, ..config() }, "provider.timeout_ms"),
            (ProviderConfig { breaker_failures: 0, ..config() }, "provider.breaker_failures"),
            (ProviderConfig { breaker_failures: 101, ..config() }, "provider.breaker_failures"),
            (ProviderConfig { breaker_pause_ms: 0, ..config() }, "provider.breaker_pause_ms"),
            (ProviderConfig { breaker_pause_ms: 60_001, ..config() }, "provider.breaker_pause_ms"),
        ] {
            let refused = refusal(&odd);
            assert!(refused.contains(key), "{refused}");
        }
    }
}
