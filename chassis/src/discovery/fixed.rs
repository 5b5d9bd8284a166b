//! Fixed addresses from the configuration: for Kubernetes DNS names and set-ups without Consul.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Endpoint, InstanceStatus, InstanceView, Registration, Registry, RegistryError, ServiceView,
};
use crate::config::DiscoveryConfig;

/// A registry that never changes: registration is a formality and health is not known.
#[derive(Debug)]
pub struct FixedRegistry {
    services: BTreeMap<String, watch::Sender<Arc<[Endpoint]>>>,
    /// Answers for services that are not configured; held open so that watchers do not end.
    unknown: watch::Sender<Arc<[Endpoint]>>,
}

impl FixedRegistry {
    /// Reads the addresses of `[discovery.static]`.
    pub fn new(config: &DiscoveryConfig) -> Result<Self, RegistryError> {
        let mut services = BTreeMap::new();
        for (service, addresses) in &config.fixed {
            let endpoints: Result<Arc<[Endpoint]>, _> =
                addresses.iter().map(|address| Endpoint::parse(address)).collect();
            services.insert(service.clone(), watch::Sender::new(endpoints?));
        }
        Ok(Self { services, unknown: watch::Sender::new(Arc::from([])) })
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
    use super::*;

    fn registry(addresses: &[&str]) -> Result<FixedRegistry, RegistryError> {
        let addresses = addresses.iter().map(ToString::to_string).collect();
        FixedRegistry::new(&DiscoveryConfig {
            fixed: BTreeMap::from([("order-service".to_owned(), addresses)]),
            ..DiscoveryConfig::default()
        })
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
}
