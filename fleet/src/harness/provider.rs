//! The sandbox provider of a fleet whose payments it takes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Url;

use super::links::Proxies;
use super::{Fleet, FleetOptions, Link};
use crate::audit::Provider;
use crate::layout::Layout;
use crate::port;
use crate::proxy::Proxy;
use crate::sandbox::{Plan, SandboxProcess};
use crate::services::{Seat, Service};

const PAYMENT: &str = "payment-service";
/// Tests wait for what is decided later.
const DECIDED_AFTER: Duration = Duration::from_millis(500);

impl Fleet {
    /// The sandbox provider, if the fleet has one.
    pub fn provider(&self) -> Option<&SandboxProcess> {
        self.provider.as_ref()
    }

    /// The sandbox provider, to kill it and to start it again.
    pub fn provider_mut(&mut self) -> Result<&mut SandboxProcess> {
        self.provider.as_mut().context("ask for FleetOptions::sandbox_provider")
    }

    /// Where an audit finds the provider's ledger.
    pub fn provider_ledger(&self) -> Provider {
        match &self.provider {
            None => Provider::Simulated,
            Some(provider) => Provider::Http {
                url: provider.url().to_owned(),
                api_key: provider.api_key().to_owned(),
            },
        }
    }
}

/// Starts the provider that was asked for, and makes payment-service ask it.
pub(super) async fn start(
    options: &FleetOptions,
    (layout, binaries): (&Layout, &Path),
    seats: &mut BTreeMap<String, Seat>,
    proxies: &mut Proxies,
) -> Result<Option<SandboxProcess>> {
    if !options.has_sandbox_provider() {
        return Ok(None);
    }
    let mut gateways = gateway_ports(options, seats)?;
    if options.is_proxied() {
        for (replica, port) in gateways.iter_mut().enumerate() {
            let proxy = Proxy::start(*port).await?;
            *port = proxy.port();
            proxies.insert(Link::Callbacks(replica), proxy);
        }
    }
    let plan =
        Plan { program: binaries.join("ehub"), gateways, decided_after: DECIDED_AFTER, seed: 0 };
    let provider = SandboxProcess::start(&plan, layout).await?;
    let mut url = provider.url().to_owned();
    if options.is_proxied() {
        let port = Url::parse(&url)?.port().context("a provider without a port")?;
        let proxy = Proxy::start(port).await?;
        url = format!("http://127.0.0.1:{}", proxy.port());
        proxies.insert(Link::Provider, proxy);
    }
    let variables = provider.variables(&url);
    for name in instances(options, PAYMENT)? {
        seats.entry(name).or_default().variables.extend(variables.iter().cloned());
    }
    Ok(Some(provider))
}

/// Chosen before the gateways start: the provider has to know where its callbacks go.
fn gateway_ports(options: &FleetOptions, seats: &mut BTreeMap<String, Seat>) -> Result<Vec<u16>> {
    let mut ports = Vec::new();
    for name in instances(options, Service::GATEWAY)? {
        let port = port::free()?;
        seats.entry(name).or_default().port = Some(port);
        ports.push(port);
    }
    Ok(ports)
}

fn instances(options: &FleetOptions, service: &str) -> Result<Vec<String>> {
    let service = Service::find(service).context("no such service")?;
    let count = options.replica_counts().get(service.name).copied().unwrap_or(1);
    Ok((0..count).map(|replica| service.instance_name(replica)).collect())
}
