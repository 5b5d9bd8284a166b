//! Addresses from the configuration: for Kubernetes DNS names and set-ups without Consul.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::dns::{Address, Follower, System, endpoints_of};
use super::{
    Endpoint, InstanceStatus, InstanceView, Registration, Registry, RegistryError, ServiceView,
};
use crate::config::DiscoveryConfig;

/// A registry that changes only where its names do: registration is a formality and health is not
/// known.
#[derive(Debug)]
pub struct FixedRegistry {
    services: BTreeMap<String, watch::Sender<Arc<[Endpoint]>>>,
    /// Those of the services with names, until they are set to work.
    followers: Vec<Follower>,
    /// Answers for services that are not configured; held open so that watchers do not end.
    unknown: watch::Sender<Arc<[Endpoint]>>,
}

impl FixedRegistry {
    /// Reads the addresses of `[discovery.static]`.
    pub fn new(config: &DiscoveryConfig) -> Result<Self, RegistryError> {
        let mut services = BTreeMap::new();
        let mut followers = Vec::new();
        for (service, addresses) in &config.fixed {
            let addresses: Vec<Address> = addresses
                .iter()
                .map(|address| Address::parse(address))
                .collect::<Result<_, _>>()?;
            let endpoints = watch::Sender::new(endpoints_of(&addresses));
            services.insert(service.clone(), endpoints.clone());
            if addresses.iter().any(Address::is_name) {
                let (service, every) = (service.clone(), config.dns_refresh());
                let resolver = Arc::new(System);
                followers.push(Follower { service, addresses, endpoints, resolver, every });
            }
        }
        if !followers.is_empty() && config.dns_refresh_ms == 0 {
            let reason = "discovery.dns_refresh_ms must be at least 1";
            return Err(RegistryError::Configuration(reason.to_owned()));
        }
        Ok(Self { services, followers, unknown: watch::Sender::new(Arc::from([])) })
    }

    /// Looks the names among the addresses up, on `tasks` and until `stop`.
    pub(crate) fn follow(mut self, tasks: &TaskTracker, stop: &CancellationToken) -> Self {
        for follower in std::mem::take(&mut self.followers) {
            tasks.spawn(follower.run(stop.clone()));
        }
        self
    }
}

#[async_trait]
impl Registry for FixedRegistry {
    async fn register(&self, _: Registration) -> Result<(), RegistryError> {
        Ok(())
    }

    async fn deregister(&self, _: &str) -> Result<(), RegistryError> {
        Ok(())
    }

    fn watch(&self, service: &str) -> watch::Receiver<Arc<[Endpoint]>> {
        self.services.get(service).unwrap_or(&self.unknown).subscribe()
    }

    async fn services(&self) -> Result<Vec<ServiceView>, RegistryError> {
        let views = self.services.iter().map(|(name, endpoints)| ServiceView {
            name: name.clone(),
            instances: endpoints.borrow().iter().map(view).collect(),
        });
        Ok(views.collect())
    }
}

fn view(endpoint: &Endpoint) -> InstanceView {
    InstanceView {
        id: endpoint.to_string(),
        endpoint: endpoint.clone(),
        status: InstanceStatus::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn registry(addresses: &[&str]) -> Result<FixedRegistry, RegistryError> {
        registry_with(addresses, DiscoveryConfig::default())
    }

    fn registry_with(
        addresses: &[&str],
        config: DiscoveryConfig,
    ) -> Result<FixedRegistry, RegistryError> {
        let addresses = addresses.iter().map(ToString::to_string).collect();
        let fixed = BTreeMap::from([("order-service".to_owned(), addresses)]);
        let config = DiscoveryConfig { fixed, ..config };
        FixedRegistry::new(&config)
    }

    #[tokio::test]
    async fn a_configured_service_has_its_addresses_at_once() {
        let registry = registry(&["127.0.0.1:50053", "orders.svc:50053"]).unwrap();
        let endpoints = registry.watch("order-service").borrow().clone();
        assert_eq!(endpoints[1], Endpoint::new("orders.svc", 50053));
        assert_eq!(registry.services().await.unwrap()[0].instances.len(), 2);
    }

    #[test]
    fn a_service_without_addresses_is_empty_and_stays_watched() {
        let registry = registry(&[]).unwrap();
        for service in ["order-service", "unheard-of"] {
            let receiver = registry.watch(service);
            assert!(receiver.borrow().is_empty());
            assert!(receiver.has_changed().is_ok(), "the sender is alive");
        }
    }

    #[test]
    fn a_malformed_address_is_refused_when_the_process_starts() {
        assert!(matches!(registry(&["nowhere"]), Err(RegistryError::InvalidEndpoint(_))));
    }

    #[tokio::test]
    async fn a_name_is_looked_up_in_the_background() {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let registry = registry(&["dns+localhost:50053"]).unwrap().follow(&tasks, &stop);
        let mut endpoints = registry.watch("order-service");
        let found = endpoints.wait_for(|found| !found.is_empty());
        let found = tokio::time::timeout(Duration::from_secs(30), found).await.unwrap().unwrap();
        assert!(found.iter().all(|one| one.is_loopback() && one.port == 50053), "{found:?}");
        drop(found);
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    }

    #[test]
    fn names_need_a_pause_between_two_looks() {
        let never = DiscoveryConfig { dns_refresh_ms: 0, ..DiscoveryConfig::default() };
        assert!(registry_with(&["orders.svc:50053"], never.clone()).is_ok());
        let refused = registry_with(&["dns+orders.svc:50053"], never).unwrap_err().to_string();
        assert!(refused.contains("discovery.dns_refresh_ms"), "{refused}");
    }
}
