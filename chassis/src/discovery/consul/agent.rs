//! The conversation with the agent, in `consulrs`' terms.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use consulrs::api::check::common::AgentServiceCheck;
use consulrs::api::service::requests::RegisterServiceRequest;
use consulrs::client::{ConsulClient, ConsulClientSettings};
use consulrs::error::ClientError;
use tokio::time::timeout;

use super::follow::Answers;
use super::wire::{HealthQuery, InstanceQuery, ServiceEntry, millis};
use crate::config::DiscoveryConfig;
use crate::discovery::{Endpoint, Registration, RegistryError, ServiceView};

/// How long a plain request to the agent may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// A Consul agent.
pub(super) struct Agent {
    client: ConsulClient,
    check_interval: Duration,
    deregister_after: Duration,
}

impl Agent {
    #[expect(clippy::disallowed_methods, reason = "consulrs' HTTP client brings its own TLS")]
    pub(super) fn new(config: &DiscoveryConfig) -> Result<Self, RegistryError> {
        let http = reqwest_consul::Client::builder()
            // The agent adds up to a sixteenth to the wait, so that waiters do not return at once.
            .timeout(config.wait() + config.wait() / 16 + REQUEST_TIMEOUT)
            .connect_timeout(REQUEST_TIMEOUT)
            .tcp_nodelay(true)
            .no_proxy()
            .build()
            .map_err(|error| RegistryError::Configuration(error.to_string()))?;
        let settings = settings(config)?;
        let http = rustify::clients::reqwest::Client::new(&settings.address, http);
        Ok(Self {
            client: ConsulClient { http, settings },
            check_interval: config.check_interval(),
            deregister_after: config.deregister_after(),
        })
    }

    /// Tells whether the agent knows the instance with this id.
    pub(super) async fn knows(&self, instance_id: &str) -> Result<bool, RegistryError> {
        let query = InstanceQuery::new(instance_id);
        match bounded(consulrs::api::exec_with_result(&self.client, query)).await {
            Ok(_known) => Ok(true),
            Err(error) if is_not_found(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn register(&self, registration: &Registration) -> Result<(), RegistryError> {
        let request = self.registration_request(registration);
        bounded(consulrs::api::exec_with_empty(&self.client, request)).await?;
        Ok(())
    }

    pub(super) async fn deregister(&self, instance_id: &str) -> Result<(), RegistryError> {
        bounded(consulrs::service::deregister(&self.client, instance_id, None)).await?;
        Ok(())
    }

    /// Returns every service of the catalogue with all its instances.
    pub(super) async fn services(&self) -> Result<Vec<ServiceView>, RegistryError> {
        let catalog = bounded(consulrs::catalog::services(&self.client, None)).await?;
        let mut views = Vec::new();
        for name in catalog.response.into_keys() {
            let query = HealthQuery::all(&name);
            let entries = bounded(consulrs::api::exec_with_result(&self.client, query)).await?;
            let instances = entries.response.into_iter().map(ServiceEntry::into_view).collect();
            views.push(ServiceView { name, instances });
        }
        views.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(views)
    }

    fn registration_request(&self, registration: &Registration) -> RegisterServiceRequest {
        let check = AgentServiceCheck {
            name: Some("ready".to_owned()),
            interval: Some(millis(self.check_interval)),
            timeout: Some(millis(self.check_interval.max(Duration::from_secs(1)))),
            http: Some(registration.ready_url.clone()),
            deregister_critical_service_after: Some(millis(self.deregister_after)),
            ..AgentServiceCheck::default()
        };
        RegisterServiceRequest {
            id: Some(registration.instance_id.clone()),
            name: Some(registration.service.clone()),
            address: Some(registration.endpoint.host.clone()),
            port: Some(registration.endpoint.port.into()),
            check: Some(check),
            ..RegisterServiceRequest::default()
        }
    }
}

#[async_trait]
impl Answers for Agent {
    async fn passing(
        &self,
        service: &str,
        index: u64,
        wait: Duration,
    ) -> Result<(u64, Vec<Endpoint>), RegistryError> {
        let query = HealthQuery::passing(service, index, wait);
        let answer = consulrs::api::exec_with_result(&self.client, query);
        // An agent that hangs must not be taken for one that has no news.
        let reply = match index {
            0 => bounded(answer).await?,
            _ => answer.await.map_err(unavailable)?,
        };
        let answered_index = reply.index.and_then(|text| text.parse().ok());
        // Without an index the next query would not block and this would become a busy loop.
        let answered_index: u64 = answered_index
            .filter(|index| *index > 0)
            .ok_or_else(|| RegistryError::Unavailable("the answer carries no index".into()))?;
        let endpoints = reply.response.iter().map(ServiceEntry::endpoint).collect();
        Ok((answered_index, endpoints))
    }
}

/// Checks what `consulrs` would take on trust and panic about later.
fn settings(config: &DiscoveryConfig) -> Result<ConsulClientSettings, RegistryError> {
    let refuse = |text: &str| RegistryError::Configuration(text.to_owned());
    let address = config.consul_url.trim_end_matches('/');
    let url = reqwest_consul::Url::parse(address).map_err(|error| refuse(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("the agent's address must begin with http:// or https://"));
    }
    let token = config.token.expose();
    if http::HeaderValue::from_str(token).is_err() {
        return Err(refuse("the agent's token cannot be sent in a header"));
    }
    Ok(ConsulClientSettings {
        address: address.to_owned(),
        ca_certs: Vec::new(),
        client_cert: None,
        client_key: None,
        token: (!token.is_empty()).then(|| token.to_owned()),
        verify: true,
        version: 1,
    })
}

async fn bounded<T>(
    request: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, RegistryError> {
    match timeout(REQUEST_TIMEOUT, request).await {
        Ok(outcome) => outcome.map_err(unavailable),
        Err(elapsed) => Err(RegistryError::Unavailable(elapsed.into())),
    }
}

fn unavailable(error: ClientError) -> RegistryError {
    RegistryError::Unavailable(error.into())
}

fn is_not_found(error: &RegistryError) -> bool {
    let RegistryError::Unavailable(source) = error else {
        return false;
    };
    matches!(source.downcast_ref(), Some(ClientError::APIError { code: 404, .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn unusable_settings_are_refused_when_the_process_starts() {
        let with = |url: &str, token: &str| {
            settings(&DiscoveryConfig {
                consul_url: url.to_owned(),
                token: Secret::new(token),
                ..DiscoveryConfig::default()
            })
        };
        assert_eq!(with("http://127.0.0.1:8500/", "").unwrap().address, "http://127.0.0.1:8500");
        assert_eq!(with("http://127.0.0.1:8500", "t").unwrap().token.as_deref(), Some("t"));
        for url in ["", "127.0.0.1:8500", "ftp://127.0.0.1"] {
            assert!(with(url, "").is_err(), "{url}");
        }
        assert!(with("http://127.0.0.1:8500", "a\nb").is_err());
    }
}
