//! Where the other services are: registration of this instance and the endpoint sets of others.
//!
//! [`Registry`] is the port; [`consul`] and [`fixed`] are its adapters. To add one (such as etcd),
//! implement the trait in a sibling module and choose it where the process is started. Two rules
//! bind every adapter: a call never waits for the registry, because endpoint sets are kept current
//! in the background; and an empty or failed answer never clears the last good set, because a
//! stale address that works beats no address at all. Where there is a [`cache`], that holds beyond
//! the end of the process.

pub mod cache;
pub mod consul;
mod dns;
pub mod fixed;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use tokio::sync::watch;

/// A registry of service instances.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Announces this instance and keeps it announced. Returns without waiting for the registry
    /// to answer: a service must start while its registry is away.
    async fn register(&self, registration: Registration) -> Result<(), RegistryError>;

    /// Withdraws the instance with this id and stops announcing it.
    async fn deregister(&self, instance_id: &str) -> Result<(), RegistryError>;

    /// Returns the healthy endpoints of `service`, kept current in the background. The set is
    /// empty until the first answer arrives.
    fn watch(&self, service: &str) -> watch::Receiver<Arc<[Endpoint]>>;

    /// Lists every known service with its instances and their health, for operators.
    async fn services(&self) -> Result<Vec<ServiceView>, RegistryError>;
}

/// Where one instance of a service listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Endpoint {
    /// Returns the endpoint at `host` and `port`.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Parses `host:port`; an IPv6 host stands in brackets.
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let invalid = || RegistryError::InvalidEndpoint(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(invalid());
        }
        let port = port.parse().map_err(|_| invalid())?;
        Ok(Self::new(host, port))
    }

    /// Whether only this machine reaches it, as far as its host says without asking anybody.
    pub fn is_loopback(&self) -> bool {
        let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
        self.host == "localhost" || self.host.parse().is_ok_and(is_loopback)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What an instance announces about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The service's name.
    pub service: String,
    /// Unique among all instances that live at once. What starts again at its address has it again, and
    /// so takes the place of what died there without a word.
    pub instance_id: String,
    /// Where callers reach the instance.
    pub endpoint: Endpoint,
    /// What answers a GET with 2xx while the instance is ready, such as
    /// `http://127.0.0.1:9080/readyz`.
    pub ready_url: String,
}

impl Registration {
    /// Describes the instance of `service` at `endpoint`.
    pub fn new(service: &str, endpoint: Endpoint, ready_url: impl Into<String>) -> Self {
        // Part of an address of the registry, where brackets and colons have a meaning.
        let instance_id =
            format!("{service}-{}-{}", endpoint.host.replace(':', "-"), endpoint.port);
        Self { service: service.to_owned(), instance_id, endpoint, ready_url: ready_url.into() }
    }
}

/// A service as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceView {
    /// The service's name.
    pub name: String,
    /// All its instances, healthy or not.
    pub instances: Vec<InstanceView>,
}

/// One instance as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceView {
    /// The id it registered under.
    pub id: String,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What its checks say.
    pub status: InstanceStatus,
}

/// The worst result among an instance's checks, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceStatus {
    /// The registry runs no checks.
    Unknown,
    /// Every check passes.
    Passing,
    /// A check warns.
    Warning,
    /// A check fails; the instance gets no calls.
    Critical,
}

/// Why a registry could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A configured address is not `host:port`.
    #[error("{0:?} is not an address of the form host:port")]
    InvalidEndpoint(String),
    /// The registry's own settings are unusable.
    #[error("the registry is not usable as configured: {0}")]
    Configuration(String),
    /// The registry did not answer, or not as expected.
    #[error("the registry did not answer as expected")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Shows operators, and tools that wait for a fleet to find itself, how many instances are known.
fn count_endpoints(service: &str, count: usize) {
    let gauge = metrics::gauge!("eh_discovery_endpoints", "peer" => service.to_owned());
    gauge.set(u32::try_from(count).unwrap_or(u32::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_prints_as_it_was_parsed() {
        for text in ["127.0.0.1:50051", "order-service.default.svc:80", "[::1]:443"] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_host_and_port_is_refused() {
        for text in ["", "localhost", ":80", "localhost:", "localhost:70000", "localhost:-1"] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_has_several_names() {
        let is_loopback = |host: &str| Endpoint::new(host, 1).is_loopback();
        let here = ["localhost", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"];
        assert!(here.into_iter().all(is_loopback));
        assert!(!["localhost.evil", "0.0.0.0", "::", "10.0.0.7", ""].into_iter().any(is_loopback));
    }

    #[test]
    fn an_instance_has_the_id_of_its_service_and_address() {
        let id = |service: &str, host: &str, port: u16| {
            let ready_url = format!("http://127.0.0.1:{}/readyz", rand::random::<u16>());
            Registration::new(service, Endpoint::new(host, port), ready_url).instance_id
        };
        assert_eq!(id("order-service", "::1", 7), "order-service---1-7");
        assert_eq!(id("order-service", "10.0.0.7", 1), id("order-service", "10.0.0.7", 1));
        let others = [("user-service", "10.0.0.7", 1), ("order-service", "10.0.0.8", 1)];
        for (service, host, port) in [others[0], others[1], ("order-service", "10.0.0.7", 2)] {
            assert_ne!(id("order-service", "10.0.0.7", 1), id(service, host, port));
        }
    }
}
