//! The links of a fleet that run through proxies, so that a test can break them one by one.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use super::{Fleet, FleetOptions};
use crate::middleware::Addresses;
use crate::proxy::Proxy;
use crate::services::{Seat, Service};
use crate::{address, port};

/// A link that runs through a proxy of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// From the processes of a service to its schema.
    Mysql(&'static str),
    /// From the processes of a service to the broker.
    Amqp(&'static str),
    /// To Redis.
    Redis,
    /// To Consul.
    Consul,
    /// From everybody to the gRPC port of one process.
    Grpc(&'static str, usize),
    /// From payment-service to the sandbox provider.
    Provider,
    /// From the sandbox provider to one gateway, which takes its callbacks.
    Callbacks(usize),
}

/// All proxies of a fleet.
pub(super) type Proxies = BTreeMap<Link, Proxy>;

impl Fleet {
    /// The proxy of a link.
    pub fn proxy(&self, link: Link) -> Result<&Proxy> {
        self.proxies.get(&link).with_context(|| {
            format!("{link:?} runs through no proxy; ask for FleetOptions::proxied")
        })
    }
}

/// Starts a proxy before everything that the services call, and tells each process its way.
pub(super) async fn start(
    options: &FleetOptions,
    addresses: &Addresses,
    seats: &mut BTreeMap<String, Seat>,
) -> Result<Proxies> {
    let mut proxies = Proxies::new();
    if !options.is_proxied() {
        return Ok(proxies);
    }
    let redis = before(&mut proxies, Link::Redis, &addresses.redis).await?;
    let consul = before(&mut proxies, Link::Consul, &addresses.consul).await?;
    let counts = options.replica_counts();
    for service in Service::ALL {
        let mut ways = vec![("__REDIS__URL", redis), ("__DISCOVERY__CONSUL_URL", consul)];
        if service.schema.is_some() {
            let mysql = before(&mut proxies, Link::Mysql(service.name), &addresses.mysql).await?;
            let amqp = before(&mut proxies, Link::Amqp(service.name), &addresses.amqp).await?;
            ways.extend([("__DATABASE__URL", mysql), ("__AMQP__URL", amqp)]);
        }
        for replica in 0..counts.get(service.name).copied().unwrap_or(1) {
            let seat = seats.entry(service.instance_name(replica)).or_default();
            seat.ways.clone_from(&ways);
            // Clients of the gateway are outside, where nobody's proxies are.
            if service.name != Service::GATEWAY {
                let own = port::free()?;
                let proxy = Proxy::start(own).await?;
                seat.port = Some(own);
                let name = format!("{}__SERVER__ADVERTISE_PORT", service.variable);
                seat.variables.push((name, proxy.port().to_string()));
                proxies.insert(Link::Grpc(service.name, replica), proxy);
            }
        }
    }
    Ok(proxies)
}

/// Starts a proxy before a server and returns its port.
async fn before(proxies: &mut Proxies, link: Link, url: &str) -> Result<u16> {
    let schemes = ["mysql", "mariadb", "redis", "amqp", "http"];
    let url = address::parse(url, &schemes)?;
    if !matches!(url.host_str(), Some("127.0.0.1" | "localhost")) {
        bail!(
            "proxies stand before servers of this machine only, not {}",
            url.host_str().unwrap_or_default()
        );
    }
    let upstream = url.port().with_context(|| format!("{link:?} has no port"))?;
    let proxy = Proxy::start(upstream).await?;
    let port = proxy.port();
    proxies.insert(link, proxy);
    Ok(port)
}
