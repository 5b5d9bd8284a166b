//! Configuration: compiled-in defaults, then a profile's file, then the environment.
//!
//! 1. The service's `default.toml`, compiled in; it is the documentation.
//! 2. `{EH_CONFIG_DIR}/{profile}.toml`, if there is one; `EH_PROFILE` is the profile.
//! 3. `EH_<SERVICE>__SECTION__KEY` in the environment.
//! 4. `EH_<SERVICE>__SECTION__KEY_FILE`: the value is what that file holds, as orchestrators mount
//!    secrets.
//!
//! Unknown keys stop the start: a misspelt limit must not silently be no limit. Therefore every
//! configuration type carries `#[serde(deny_unknown_fields)]`.

mod amqp;
mod audit;
mod bounds;
mod database;
mod discovery;
mod error;
mod events;
mod explain;
mod former;
pub mod list;
mod paging;
mod profile;
mod redis;
mod revocation;
mod secret;
mod server;
mod source;
mod strength;
mod telemetry;
mod throttle;
mod tls;
mod token;
mod tree;
mod upstream;

use serde::de::DeserializeOwned;

pub use amqp::{AmqpConfig, OutboxConfig};
pub use audit::AuditConfig;
pub use database::DatabaseConfig;
pub use discovery::{DiscoveryConfig, DiscoveryMode};
pub use error::ConfigError;
pub use events::{DEVELOPMENT_KEY, EventRole, EventsConfig};
pub use explain::{Explained, Told};
pub use former::FormerKey;
pub use paging::PagingConfig;
pub use profile::{MIN_KEY_BYTES, Profile, require_strong};
pub use redis::RedisConfig;
pub use revocation::RevocationConfig;
pub use secret::Secret;
pub use server::{RuntimeConfig, ServerConfig};
pub use source::Sources;
pub use telemetry::{LogFormat, TelemetryConfig};
pub use throttle::AttemptsConfig;
pub use tls::{TlsConfig, TlsMode};
pub use token::TokenConfig;
pub use upstream::UpstreamConfig;

/// The sections that every service has.
pub trait BaseConfig {
    /// `[server]`.
    fn server(&self) -> &ServerConfig;
    /// `[runtime]`.
    fn runtime(&self) -> &RuntimeConfig;
    /// `[telemetry]`.
    fn telemetry(&self) -> &TelemetryConfig;
    /// `[discovery]`.
    fn discovery(&self) -> &DiscoveryConfig;
    /// `[tls]`.
    fn tls(&self) -> &TlsConfig;

    /// Checks what the types cannot, such as the strength of keys. Called once, before anything
    /// else happens.
    fn validate(&self, profile: Profile) -> Result<(), ConfigError> {
        let _ = profile;
        Ok(())
    }
}

/// Reads the configuration of the service whose variables begin with `prefix`.
pub fn load<C: DeserializeOwned>(prefix: &str, defaults: &str) -> Result<C, ConfigError> {
    Sources::from_process(prefix, defaults)?.load()
}
