//! The HTTP server: an accept loop of our own, and the internal port.
//!
//! `axum::serve` sets no timer, which makes hyper's header timeout inert, bounds no connections
//! and leaves Nagle's algorithm on; hence the loop here. It bounds what a peer can hold (places,
//! time, memory) before there is a request, and gives what hyper refuses a body.

mod bodies;
mod bounds;
mod connection;
mod frames;
mod heads;
mod internal;
mod linger;
mod pieces;
mod places;
mod progress;
mod refusal;
mod requests;
mod serve;
mod streams;
mod unread;
mod wire;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;

pub use internal::internal_router;
pub use places::{Place, Places, subscriber};
pub use refusal::{Refusal, Refuse};
pub use serve::serve;

use crate::config::ServerConfig;

/// What an HTTP port serves.
#[derive(Clone)]
pub struct HttpApp {
    /// Answers requests.
    pub router: Router,
    /// Limits of the port.
    pub config: HttpServerConfig,
    /// Answers what is not a request.
    pub refuse: Refuse,
    /// Addresses that may hold any number of connections: proxies, which bring those of others.
    pub is_proxy: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>,
}

impl HttpApp {
    /// Serves a router within limits, refuses without words, and knows no proxy.
    pub fn new(router: Router, config: HttpServerConfig) -> Self {
        Self { router, config, refuse: refusal::bare, is_proxy: Arc::new(|_| false) }
    }
}

impl fmt::Debug for HttpApp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HttpApp").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Limits of an HTTP port.
#[derive(Clone, Debug)]
pub struct HttpServerConfig {
    /// Connections held at once; more wait in the kernel's queue.
    pub max_connections: usize,
    /// Of these, connections of one address (IPv6: of one /64); more are closed at once.
    pub max_connections_per_address: usize,
    /// Time in which a client must have sent the head of a request, counted from the end of the
    /// answer before it. A connection on which nothing is asked ends after the same time.
    pub header_read_timeout: Duration,
    /// Time in which a client must have taken an answer, on HTTP/2 to the end of its stream.
    pub answer_timeout: Duration,
    /// Largest head of a request; at least 8 KiB.
    pub max_header_bytes: u32,
    /// Requests at once on one HTTP/2 connection.
    pub max_streams: u32,
    /// HTTP/2 streams that were reset and are still remembered; more end the connection.
    pub max_reset_streams: usize,
    /// HTTP/2 frames without a request or bytes of one that may come at once; a tenth of this
    /// comes back per second. More end the connection.
    pub max_control_frames: u32,
    /// Bytes of one HTTP/2 request body, or of one answer, that the process holds while nobody
    /// takes them.
    pub stream_window_bytes: u32,
    /// Bytes of all request bodies of one HTTP/2 connection that the process holds.
    pub connection_window_bytes: u32,
    /// How often a quiet HTTP/2 connection is asked whether it still lives.
    pub keep_alive_interval: Duration,
    /// How long it may take to answer.
    pub keep_alive_timeout: Duration,
}

impl Default for HttpServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 4_096,
            max_connections_per_address: 4_096,
            header_read_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            max_header_bytes: 32 * 1_024,
            max_streams: 100,
            max_reset_streams: 50,
            max_control_frames: 1_000,
            stream_window_bytes: 64 * 1_024,
            connection_window_bytes: 256 * 1_024,
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
