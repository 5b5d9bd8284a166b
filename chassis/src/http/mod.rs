//! The HTTP server: an accept loop of our own, and the internal port.
//!
//! `axum::serve` sets no timer, which makes hyper's header timeout inert, bounds no connections
//! and leaves Nagle's algorithm on; hence the loop here.

mod internal;
mod linger;
mod serve;
mod unread;

use std::time::Duration;

pub use internal::internal_router;
pub use serve::serve;

use crate::config::ServerConfig;

/// Limits of an HTTP port.
#[derive(Clone, Debug)]
pub struct HttpServerConfig {
    /// Connections held at once; more wait in the kernel's queue.
    pub max_connections: usize,
    /// Time in which a client must have sent the head of a request.
    pub header_read_timeout: Duration,
    /// Largest head of a request.
    pub max_header_bytes: u32,
    /// Requests at once on one HTTP/2 connection.
    pub max_streams: u32,
    /// How often a quiet HTTP/2 connection is asked whether it still lives.
    pub keep_alive_interval: Duration,
    /// How long it may take to answer.
    pub keep_alive_timeout: Duration,
}

impl Default for HttpServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 4_096,
            header_read_timeout: Duration::from_secs(10),
            max_header_bytes: 32 * 1_024,
            max_streams: 200,
            keep_alive_interval: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(10),
        }
    }
}

impl From<&ServerConfig> for HttpServerConfig {
    fn from(config: &ServerConfig) -> Self {
        Self {
            max_connections: config.max_connections,
            header_read_timeout: config.header_read_timeout(),
            ..Self::default()
        }
    }
}
