//! The configuration of this service; `config/default.toml` documents every key.

use chassis::config::{
    AmqpConfig, BaseConfig, ConfigError, DatabaseConfig, DiscoveryConfig, PagingConfig, Profile,
    RuntimeConfig, ServerConfig, TelemetryConfig, TokenConfig, UpstreamConfig,
};
use serde::Deserialize;

/// Every section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Ports and their limits.
    pub server: ServerConfig,
    /// Threads.
    pub runtime: RuntimeConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// How services find each other.
    pub discovery: DiscoveryConfig,
    /// The schema `hub_notify`.
    pub database: DatabaseConfig,
    /// The broker.
    pub amqp: AmqpConfig,
    /// What an access token must look like.
    pub token: TokenConfig,
    /// Calls to other services (the key set of auth-service).
    pub upstream: UpstreamConfig,
    /// Page tokens.
    pub paging: PagingConfig,
}

impl BaseConfig for Config {
    fn server(&self) -> &ServerConfig {
        &self.server
    }

    fn runtime(&self) -> &RuntimeConfig {
        &self.runtime
    }

    fn telemetry(&self) -> &TelemetryConfig {
        &self.telemetry
    }

    fn discovery(&self) -> &DiscoveryConfig {
        &self.discovery
    }

    fn validate(&self, profile: Profile) -> Result<(), ConfigError> {
        self.paging.validate(profile)
    }
}
