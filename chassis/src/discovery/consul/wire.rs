//! The two queries that `consulrs` lacks or cannot decode, and what the agent answers to them.

use std::time::Duration;

use consulrs::api::features::{Blocking, FeaturedEndpoint, Features};
use rustify_derive::Endpoint as ConsulQuery;
use serde::Deserialize;

use crate::discovery::{Endpoint, InstanceStatus, InstanceView};

/// `GET /v1/health/service/:service`, which `consulrs` lacks.
#[derive(Debug, ConsulQuery)]
#[endpoint(path = "health/service/{self.service}", response = "Vec<ServiceEntry>")]
pub(super) struct HealthQuery {
    #[endpoint(skip)]
    service: String,
    #[endpoint(skip)]
    blocking: Option<Blocking>,
    #[endpoint(query)]
    passing: Option<bool>,
}

impl HealthQuery {
    pub(super) fn passing(service: &str, index: u64, wait: Duration) -> Self {
        let wait = Some(millis(wait));
        Self {
            service: service.to_owned(),
            blocking: Some(Blocking { index, wait }),
            passing: Some(true),
        }
    }

    pub(super) fn all(service: &str) -> Self {
        Self { service: service.to_owned(), blocking: None, passing: None }
    }
}

impl FeaturedEndpoint for HealthQuery {
    fn features(&self) -> Option<Features> {
        let blocking = self.blocking.clone();
        Some(Features { blocking, ..Features::default() })
    }
}

/// `GET /v1/agent/service/:id`; the one of `consulrs` cannot read an answer with an address.
#[derive(Debug, ConsulQuery)]
#[endpoint(path = "agent/service/{self.id}", response = "KnownInstance")]
pub(super) struct InstanceQuery {
    #[endpoint(skip)]
    id: String,
}

impl InstanceQuery {
    pub(super) fn new(id: &str) -> Self {
        Self { id: id.to_owned() }
    }
}

impl FeaturedEndpoint for InstanceQuery {
    fn features(&self) -> Option<Features> {
        None
    }
}

/// That the agent answers at all is all that is asked.
#[derive(Debug, Deserialize)]
pub(super) struct KnownInstance {}

/// One instance with its node and its checks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ServiceEntry {
    node: Node,
    service: Instance,
    #[serde(default)]
    checks: Vec<CheckResult>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    address: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Instance {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    address: String,
    port: u16,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CheckResult {
    status: String,
}

impl ServiceEntry {
    /// An instance without an address of its own is reached at its node's.
    pub(super) fn endpoint(&self) -> Endpoint {
        let own = &self.service.address;
        let host = if own.is_empty() { &self.node.address } else { own };
        Endpoint::new(host, self.service.port)
    }

    pub(super) fn into_view(self) -> InstanceView {
        let worst = self.checks.iter().map(|check| status(&check.status)).max();
        InstanceView {
            endpoint: self.endpoint(),
            id: self.service.id,
            status: worst.unwrap_or(InstanceStatus::Unknown),
        }
    }
}

fn status(text: &str) -> InstanceStatus {
    match text {
        "passing" => InstanceStatus::Passing,
        "warning" => InstanceStatus::Warning,
        "critical" => InstanceStatus::Critical,
        _ => InstanceStatus::Unknown,
    }
}

/// A duration in Consul's notation.
pub(super) fn millis(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_with_and_without_an_address_of_its_own() {
        let entry = |address: &str| {
            let json = format!(
                r#"{{"Node":{{"Node":"n1","Address":"10.0.0.1"}},
                "Service":{{"ID":"i","Service":"s","Address":"{address}","Port":80,
                "TaggedAddresses":{{"lan_ipv4":{{"Address":"10.0.0.2","Port":80}}}}}},
                "Checks":[{{"Status":"passing"}},{{"Status":"critical"}}]}}"#
            );
            serde_json::from_str::<ServiceEntry>(&json).unwrap()
        };
        assert_eq!(entry("").endpoint(), Endpoint::new("10.0.0.1", 80));
        assert_eq!(entry("10.0.0.2").endpoint(), Endpoint::new("10.0.0.2", 80));
        assert_eq!(entry("").into_view().status, InstanceStatus::Critical);
    }
}
