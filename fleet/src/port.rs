//! Free TCP ports on the loopback interface.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

/// Below the range from which the kernel takes ports of outgoing connections, so that a port
/// that was free when it was chosen is still free when a server binds it.
const RANGE: Range<u16> = 20_000..32_000;
const ATTEMPTS: u32 = 2_000;

/// Ports this process has handed out, also those that no server has bound yet.
static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Hands out a port that nobody listens on.
pub fn free() -> Result<u16> {
    (0..ATTEMPTS)
        .map(|_| rand::random_range(RANGE))
        .find(|port| reserve(*port))
        .context("no free TCP port between 20000 and 32000 on 127.0.0.1")
}

/// Hands out the preferred port when it is free, else any other.
pub fn preferred(port: u16) -> Result<u16> {
    if reserve(port) { Ok(port) } else { free() }
}

/// Whether somebody accepts connections there.
pub fn is_listening(port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port).into();
    TcpStream::connect_timeout(&address, Duration::from_millis(300)).is_ok()
}

fn reserve(port: u16) -> bool {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    !taken.contains(&port) && can_bind(port) && taken.insert(port)
}

/// A wildcard listener (a container's published port) does not stop a bind to 127.0.0.1 on every
/// system, hence both trials.
fn can_bind(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_handed_out_twice() {
        let ports: BTreeSet<u16> = (0..50).map(|_| free().unwrap()).collect();
        assert_eq!(ports.len(), 50);
    }

    #[test]
    fn a_taken_port_is_replaced_by_another() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        assert_ne!(preferred(port).unwrap(), port);
        assert!(is_listening(port));
    }
}
