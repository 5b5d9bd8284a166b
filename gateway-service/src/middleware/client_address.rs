//! Which address a request comes from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap};

/// An address or a network such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text is not an address or a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address or a network such as 10.0.0.0/8")]
pub struct InvalidNetwork(String);

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = || InvalidNetwork(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), str::parse).map_err(|_| invalid())?;
        if prefix > longest {
            return Err(invalid());
        }
        Ok(Self { address, prefix })
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => shares_prefix(
                u32::from(network).into(),
                u32::from(address).into(),
                32 - self.prefix,
            ),
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                shares_prefix(network.into(), address.into(), 128 - self.prefix)
            }
            _ => false,
        }
    }
}

fn shares_prefix(one: u128, other: u128, ignored_bits: u8) -> bool {
    (one ^ other).checked_shr(ignored_bits.into()).unwrap_or(0) == 0
}

/// Returns the address of the client: the peer of the connection, unless that is a trusted proxy.
/// Then it is the last address of `X-Forwarded-For` that no trusted proxy wrote about another
/// trusted proxy; everything left of it could have been invented by the client.
pub(crate) fn client_address(
    headers: &HeaderMap,
    extensions: &Extensions,
    trusted: &[Network],
) -> IpAddr {
    // Without a peer (in-process calls) all callers share one budget, which errs on the safe side.
    let peer = peer(extensions).unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    if !is_trusted(trusted, peer) {
        return peer;
    }
    let mut nearest = peer;
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    // Bytes, as a line that is not text is still one: whoever skipped it would believe what the client
    // wrote in front of it.
    for hop in lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
        let Some(address) = address_in(hop) else { return nearest };
        nearest = address.to_canonical();
        if !is_trusted(trusted, nearest) {
            return nearest;
        }
    }
    nearest
}

fn address_in(hop: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(hop).ok()?.trim().parse().ok()
}

/// The other end of the connection, client or proxy.
pub(crate) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical())
}

/// Whether an address is that of a proxy of ours.
pub(crate) fn is_trusted(proxies: &[Network], address: IpAddr) -> bool {
    proxies.iter().any(|network| network.contains(address))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// What lines of `X-Forwarded-For` are made of, and what is no part of one.
    const PARTS: &[&str] = &[
        "6.6.6.6",
        "10.1.1.1",
        "2001:db8::1",
        "::ffff:10.0.0.1",
        "[::1]",
        "010.1.1.1",
        "10.1",
        ",",
        ", ",
        ",,",
        " ",
        "\t",
        ":80",
        "unknown",
        "-",
        "é",
        "99999999999",
    ];

    fn address_of(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            let line = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            headers.append("x-forwarded-for", line);
        }
        let mut extensions = Extensions::new();
        let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
        extensions.insert(ConnectInfo(peer));
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        client_address(&headers, &extensions, &trusted).to_string()
    }

    #[test]
    fn a_stranger_cannot_name_its_own_address() {
        assert_eq!(address_of("192.0.2.9", &["198.51.100.1"], &["10.0.0.0/8"]), "192.0.2.9");
        assert_eq!(address_of("192.0.2.9", &["198.51.100.1"], &[]), "192.0.2.9");
    }

    #[test]
    fn behind_a_trusted_proxy_the_last_foreign_address_counts() {
        let trusted = ["10.0.0.0/8", "::1"];
        let forwarded = ["6.6.6.6, 198.51.100.1", "10.1.1.1"];
        assert_eq!(address_of("10.0.0.1", &forwarded, &trusted), "198.51.100.1");
        assert_eq!(address_of("::1", &["2001:db8::1"], &trusted), "2001:db8::1");
        assert_eq!(address_of("::ffff:10.0.0.1", &["198.51.100.1"], &trusted), "198.51.100.1");
    }

    #[test]
    fn garbage_in_the_header_ends_the_search() {
        assert_eq!(address_of("10.0.0.1", &["198.51.100.1, unknown"], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(address_of("10.0.0.1", &[], &["10.0.0.0/8"]), "10.0.0.1");
        // A proxy may add a line, or write behind the last one of the client.
        let trusted = ["10.0.0.0/8"];
        assert_eq!(address_of("10.0.0.1", &["6.6.6.6", "é"], &trusted), "10.0.0.1");
        assert_eq!(address_of("10.0.0.1", &["6.6.6.6", "é, 192.0.2.9"], &trusted), "192.0.2.9");
    }

    #[test]
    fn networks_are_parsed_strictly() {
        for text in ["", "10.0.0.0/33", "::1/129", "10.0.0.0/x", "localhost", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        let everything: Network = "0.0.0.0/0".parse().unwrap();
        assert!(everything.contains("203.0.113.7".parse().unwrap()));
    }

    /// A line of the header, as a client invents it.
    fn invented() -> impl Strategy<Value = String> {
        let parts = prop::collection::vec(prop::sample::select(PARTS), 0..6);
        parts.prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn nothing_that_a_client_writes_changes_what_proxies_write_of_it(
            first in invented(),
            second in invented(),
        ) {
            let trusted = ["10.0.0.0/8"];
            let in_front = format!("{second},198.51.100.1, 10.1.1.1");
            for lines in [
                [first.as_str(), in_front.as_str(), "10.1.1.2"],
                [first.as_str(), second.as_str(), "198.51.100.1"],
            ] {
                prop_assert_eq!(address_of("10.0.0.1", &lines, &trusted), "198.51.100.1");
                prop_assert_eq!(address_of("192.0.2.9", &lines, &trusted), "192.0.2.9");
            }
        }

        #[test]
        fn an_address_is_one_that_was_named(line in invented()) {
            let address = address_of("10.0.0.1", &[line.as_str()], &["10.0.0.0/8"]);
            let address: IpAddr = address.parse().unwrap();
            let mut hops = line.split(',').filter_map(|hop| hop.trim().parse::<IpAddr>().ok());
            let is_named = hops.any(|hop| hop.to_canonical() == address);
            let is_peer = address == IpAddr::from([10, 0, 0, 1]);
            prop_assert!(is_named || is_peer, "{} of {:?}", address, line);
        }
    }
}
