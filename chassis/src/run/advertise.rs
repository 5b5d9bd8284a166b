//! Where others reach this instance: callers its public port, the registry's agent its internal
//! one. Both are worked out from what is listened on, unless the configuration says them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};

use anyhow::Context as _;

use crate::config::{ConfigError, DiscoveryConfig, DiscoveryMode, ServerConfig};
use crate::discovery::{Endpoint, Registration};

/// An address that is nobody's (RFC 5737), to which only the way out leads.
const OUTSIDE: &str = "http://192.0.2.1";

/// The addresses that a process listens on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listening {
    /// Of its public port.
    pub(super) public: SocketAddr,
    /// Of metrics and probes.
    pub(super) internal: SocketAddr,
}

/// Refuses a configuration with which the agent could not ask this instance whether it is ready:
/// the agent would take it for dead and forget it, and nothing here would say so.
pub(super) fn check(server: &ServerConfig, discovery: &DiscoveryConfig) -> Result<(), ConfigError> {
    let internal = server.internal_listen;
    let own = probed_itself(internal, server);
    let is_asked = discovery.mode == DiscoveryMode::Consul;
    if is_asked && own.is_some_and(is_loopback) && !is_here(&discovery.consul_url) {
        let message = format!(
            "is {internal}, which only this machine reaches, and the Consul agent that asks there \
             whether this instance is ready is at {}: listen on an address that leads there, or \
             set `server.advertise_internal_port`",
            discovery.consul_url
        );
        return Err(ConfigError::value("server.internal_listen", message));
    }
    Ok(())
}

/// What this instance announces of itself.
pub(super) async fn registration(
    name: &str,
    listening: Listening,
    server: &ServerConfig,
    discovery: &DiscoveryConfig,
) -> anyhow::Result<Registration> {
    let (asking, towards) = (server.clone(), discovery.clone());
    // The registry's name is looked up, and a server of names may take its time.
    let looking = tokio::task::spawn_blocking(move || {
        advertised_host(&asking, listening.public.ip(), &towards)
    });
    let host = looking.await.context("the thread ended")?;
    Ok(announcement(name, listening, server, &host))
}

/// What an instance announces that others reach under `host`. It was looked up once: callers and the
/// agent must not be sent to two addresses.
fn announcement(
    name: &str,
    listening: Listening,
    server: &ServerConfig,
    host: &str,
) -> Registration {
    let Listening { public, internal } = listening;
    let port_or = |said: u16, own: SocketAddr| if said == 0 { own.port() } else { said };
    let probed_host =
        probed_itself(internal, server).map_or_else(|| host.to_owned(), |own| own.to_string());
    let probed = Endpoint::new(probed_host, port_or(server.advertise_internal_port, internal));
    // Not the gRPC port's own protocol: an agent cannot present a certificate.
    let ready_url = format!("http://{probed}/readyz");
    let endpoint = Endpoint::new(host, port_or(server.advertise_port, public));
    Registration::new(name, endpoint, ready_url)
}

/// The internal address, if it is there itself that the agent asks; else that is at the host of the
/// public port: at the port that is advertised for it, or where all addresses are listened on.
fn probed_itself(internal: SocketAddr, server: &ServerConfig) -> Option<IpAddr> {
    let own = internal.ip();
    (server.advertise_internal_port == 0 && !own.is_unspecified()).then_some(own)
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Under which host others reach this instance: as configured, else the address listened on,
/// else (listening on all of them) the one that leads to the registry, or out if the registry's name
/// is not known yet: after a restart of a machine its container may come later than this one.
fn advertised_host(server: &ServerConfig, listened: IpAddr, discovery: &DiscoveryConfig) -> String {
    if !server.advertise_host.is_empty() {
        return server.advertise_host.clone();
    }
    if !listened.is_unspecified() {
        return listened.to_string();
    }
    let towards = match discovery.mode {
        DiscoveryMode::Consul => route_to(&discovery.consul_url).or_else(|| route_to(OUTSIDE)),
        DiscoveryMode::Static => None,
    };
    towards.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |route| route.own).to_string()
}

/// Whether `url` leads to this machine, by loopback or by one of its other addresses.
fn is_here(url: &str) -> bool {
    route_to(url).is_some_and(|route| route.peer.is_loopback() || route.peer == route.own)
}

/// The two ends of a way.
struct Route {
    own: IpAddr,
    peer: IpAddr,
}

/// How `url` is reached. Connecting a datagram socket sends nothing.
fn route_to(url: &str) -> Option<Route> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host()?.trim_matches(['[', ']']);
    let mut peers = (host, uri.port_u16().unwrap_or(80)).to_socket_addrs().ok()?;
    peers.find_map(|peer| {
        let any: IpAddr = match peer {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(peer).ok()?;
        let own = socket.local_addr().ok()?.ip();
        Some(Route { own, peer: peer.ip() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent on another machine, by an address that is nobody's (RFC 5737).
    const ELSEWHERE: &str = "http://192.0.2.1:8500";

    fn consul(url: &str) -> DiscoveryConfig {
        DiscoveryConfig { consul_url: url.to_owned(), ..DiscoveryConfig::default() }
    }

    fn server(listen: &str, internal: &str) -> ServerConfig {
        ServerConfig {
            listen: listen.parse().unwrap(),
            internal_listen: internal.parse().unwrap(),
            ..ServerConfig::default()
        }
    }

    fn announced(server: &ServerConfig, discovery: &DiscoveryConfig) -> (String, String) {
        let listening = Listening { public: server.listen, internal: server.internal_listen };
        let host = advertised_host(server, server.listen.ip(), discovery);
        let made = announcement("order-service", listening, server, &host);
        (made.endpoint.to_string(), made.ready_url)
    }

    #[test]
    fn an_internal_port_that_the_agent_cannot_reach_is_refused() {
        let odd = server("10.0.0.7:50053", "127.0.0.1:9053");
        let refused = check(&odd, &consul(ELSEWHERE)).unwrap_err().to_string();
        for part in ["server.internal_listen", "127.0.0.1:9053", ELSEWHERE] {
            assert!(refused.contains(part), "{refused}");
        }
        let named = ServerConfig { advertise_host: "order-service".to_owned(), ..odd.clone() };
        assert!(check(&named, &consul(ELSEWHERE)).is_err(), "the name does not help");
        let fixed = DiscoveryConfig { mode: DiscoveryMode::Static, ..consul(ELSEWHERE) };
        check(&odd, &fixed).unwrap();
        check(&server("10.0.0.7:50053", "0.0.0.0:9053"), &consul(ELSEWHERE)).unwrap();
    }

    #[test]
    fn an_agent_on_the_same_machine_asks_on_loopback() {
        let server = server("10.0.0.7:50053", "127.0.0.1:9053");
        for url in ["http://127.0.0.1:8500", "http://localhost:8500"] {
            let (endpoint, ready_url) = announced(&server, &consul(url));
            assert_eq!(endpoint, "10.0.0.7:50053");
            assert_eq!(ready_url, "http://127.0.0.1:9053/readyz");
        }
    }

    #[test]
    fn the_agent_asks_at_the_address_that_is_listened_on() {
        let both = server("10.0.0.7:50053", "10.1.0.7:9053");
        assert_eq!(announced(&both, &consul(ELSEWHERE)).1, "http://10.1.0.7:9053/readyz");
        let mut every = server("0.0.0.0:50053", "0.0.0.0:9053");
        every.advertise_host = "order-service".to_owned();
        let (endpoint, ready_url) = announced(&every, &consul(ELSEWHERE));
        assert_eq!(endpoint, "order-service:50053");
        assert_eq!(ready_url, "http://order-service:9053/readyz");
    }

    #[tokio::test]
    async fn callers_and_the_agent_are_sent_to_one_host() {
        let every = server("0.0.0.0:50053", "0.0.0.0:9053");
        let listening = Listening { public: every.listen, internal: every.internal_listen };
        let near = consul("http://127.0.0.1:8500");
        let made = registration("order-service", listening, &every, &near).await.unwrap();
        assert_eq!(made.endpoint.to_string(), "127.0.0.1:50053");
        assert_eq!(made.ready_url, "http://127.0.0.1:9053/readyz");
        let told = announcement("order-service", listening, &every, "2001:db8::7");
        assert_eq!(told.endpoint.to_string(), "[2001:db8::7]:50053");
        assert_eq!(told.ready_url, "http://[2001:db8::7]:9053/readyz");
    }

    #[test]
    fn ports_that_are_mapped_are_said() {
        let mapped = ServerConfig {
            advertise_host: "192.0.2.7".to_owned(),
            advertise_port: 30_053,
            advertise_internal_port: 30_054,
            ..server("0.0.0.0:50053", "127.0.0.1:9053")
        };
        let (endpoint, ready_url) = announced(&mapped, &consul(ELSEWHERE));
        assert_eq!(endpoint, "192.0.2.7:30053");
        assert_eq!(ready_url, "http://192.0.2.7:30054/readyz");
    }

    #[test]
    fn the_advertised_host_is_one_that_others_can_reach() {
        let mut server = ServerConfig::default();
        let discovery = DiscoveryConfig::default();
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let own = IpAddr::from([10, 0, 0, 7]);
        assert_eq!(advertised_host(&server, own, &discovery), "10.0.0.7");
        assert_eq!(advertised_host(&server, any, &discovery), "127.0.0.1");
        server.advertise_host = "order-service".to_owned();
        assert_eq!(advertised_host(&server, any, &discovery), "order-service");
    }

    #[test]
    fn before_the_registry_has_a_name_the_address_that_leads_out_is_advertised() {
        let (server, unknown) = (ServerConfig::default(), consul("/no-host"));
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        // A machine without a network has loopback alone.
        let outwards =
            route_to(ELSEWHERE).map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |route| route.own);
        assert_eq!(advertised_host(&server, any, &unknown), outwards.to_string());
        let fixed = DiscoveryConfig { mode: DiscoveryMode::Static, ..unknown };
        assert_eq!(advertised_host(&server, any, &fixed), "127.0.0.1", "nobody is told");
    }
}
