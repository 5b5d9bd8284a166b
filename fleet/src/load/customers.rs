//! Who puts the load on the fleet.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};
use futures::future::try_join_all;
use reqwest::Url;

use crate::harness::Api;
use crate::harness::api::new_email;

/// Accounts registered at once: each costs two password hashes.
const AT_ONCE: u32 = 4;
pub(super) const PASSWORD: &str = "a-busy-customers-long-password";

/// A customer who is logged in.
#[derive(Clone, Debug)]
pub struct Customer {
    pub(super) api: Api,
    pub(super) email: String,
}

/// Registers so many customers and logs them in.
///
/// On this machine each has an address of its own, because the gateway counts by address too: one
/// would stand for all of them, and only show its limit.
pub async fn register(base: &str, count: u32) -> Result<Vec<Customer>> {
    let is_local = is_loopback(base);
    let mut customers = Vec::new();
    for first in (0..count).step_by(AT_ONCE as usize) {
        let batch = first..count.min(first + AT_ONCE);
        let batch = batch.map(|number| customer(base, is_local.then(|| address(number))));
        customers.extend(try_join_all(batch).await.context("the customers cannot be registered")?);
    }
    Ok(customers)
}

async fn customer(base: &str, address: Option<IpAddr>) -> Result<Customer> {
    let visitor = match address {
        Some(address) => Api::bound_to(base, address)?,
        None => Api::new(base)?,
    };
    let email = new_email();
    visitor.register(&email, PASSWORD, "Load").await?.require(201)?;
    let api = visitor.login(&email, PASSWORD).await?;
    Ok(Customer { api, email })
}

/// Whether a gateway is on this machine, where a client has as many addresses as it wants.
pub(crate) fn is_loopback(base: &str) -> bool {
    let host = Url::parse(base).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.and_then(|host| host.parse().ok()).is_some_and(|host: Ipv4Addr| host.is_loopback())
}

/// One of the loopback network; never 127.0.0.1, which others use.
fn address(number: u32) -> IpAddr {
    let [_, high, middle, low] = (number + 1).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 100_u8.wrapping_add(high), middle, low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_on_this_machine_have_an_address_each() {
        assert!(is_loopback("http://127.0.0.1:8080") && is_loopback("http://127.1.2.3"));
        for other in ["http://10.0.0.1:8080", "https://shop.example", "http://[::1]:8080", "x"] {
            assert!(!is_loopback(other), "{other}");
        }
        let addresses: std::collections::BTreeSet<IpAddr> = (0..1_000).map(address).collect();
        assert_eq!(addresses.len(), 1_000);
        assert!(addresses.iter().all(IpAddr::is_loopback));
        assert_eq!(address(0).to_string(), "127.100.0.1");
    }
}
