//! `[server]` and `[runtime]`: where a process listens and how it works and stops.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;
use super::bounds::at_least_one;

/// Where a process listens, and the limits of its public port.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Public address.
    pub listen: SocketAddr,
    /// Address of metrics, liveness and readiness; never reachable from outside.
    pub internal_listen: SocketAddr,
    /// Host under which other services reach this one; empty means the address listened on.
    pub advertise_host: String,
    /// Port under which other services reach this one; 0 means the port listened on.
    pub advertise_port: u16,
    /// Port under which the registry's agent reaches `internal_listen` at that host, where it is
    /// mapped or passed on; 0 means at the address listened on, which then must lead there.
    pub advertise_internal_port: u16,
    /// Time in which running work may finish after the process was asked to stop.
    pub drain_timeout_ms: u64,
    /// Longest time that one request may take, whatever its caller allows.
    pub request_timeout_ms: u64,
    /// Requests worked on at once; more are refused at once.
    pub max_concurrency: usize,
    /// Largest message accepted.
    pub max_message_bytes: usize,
    /// Connections that may wait to be accepted, on either port; the system's own bound
    /// (`net.core.somaxconn`) holds too. A client whose last packet of the handshake found no room
    /// believes that it is connected.
    pub accept_backlog: u32,
    /// Connections held at once by an HTTP port; more wait in the kernel's queue.
    pub max_connections: usize,
    /// Time in which a client must have sent the head of its HTTP request.
    pub header_read_timeout_ms: u64,
}

impl ServerConfig {
    /// Time in which running work may finish after the process was asked to stop.
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }

    /// Longest time that one request may take.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// Time in which a client must have sent the head of its HTTP request.
    pub fn header_read_timeout(&self) -> Duration {
        Duration::from_millis(self.header_read_timeout_ms)
    }

    /// Refuses limits under which nothing would ever be served.
    pub fn validate(&self) -> Result<(), ConfigError> {
        at_least_one([
            ("server.request_timeout_ms", self.request_timeout_ms == 0),
            ("server.max_concurrency", self.max_concurrency == 0),
            ("server.max_message_bytes", self.max_message_bytes == 0),
            ("server.accept_backlog", self.accept_backlog == 0),
            ("server.max_connections", self.max_connections == 0),
            ("server.header_read_timeout_ms", self.header_read_timeout_ms == 0),
        ])
    }
}

impl Default for ServerConfig {
    /// Ports chosen by the system, as tests want them; every service states its own.
    fn default() -> Self {
        let any_port = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self {
            listen: any_port,
            internal_listen: any_port,
            advertise_host: String::new(),
            advertise_port: 0,
            advertise_internal_port: 0,
            drain_timeout_ms: 10_000,
            request_timeout_ms: 10_000,
            max_concurrency: 512,
            max_message_bytes: 1_048_576,
            accept_backlog: 4_096,
            max_connections: 4_096,
            header_read_timeout_ms: 10_000,
        }
    }
}

/// How the process uses the machine.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeConfig {
    /// Threads that work on requests.
    pub worker_threads: usize,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self { worker_threads: 2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_may_come_at_once() {
        assert!(ServerConfig::default().accept_backlog >= 1_000);
    }

    #[test]
    fn limits_under_which_nothing_is_served_are_refused_by_name() {
        let good = ServerConfig::default();
        good.validate().unwrap();
        for (key, bad) in [
            ("request_timeout_ms", ServerConfig { request_timeout_ms: 0, ..good.clone() }),
            ("max_concurrency", ServerConfig { max_concurrency: 0, ..good.clone() }),
            ("max_message_bytes", ServerConfig { max_message_bytes: 0, ..good.clone() }),
            ("accept_backlog", ServerConfig { accept_backlog: 0, ..good.clone() }),
            ("max_connections", ServerConfig { max_connections: 0, ..good.clone() }),
            ("header_read_timeout_ms", ServerConfig { header_read_timeout_ms: 0, ..good.clone() }),
        ] {
            let error = bad.validate().unwrap_err().to_string();
            assert!(error.contains(&format!("server.{key}")), "{error}");
        }
    }
}
