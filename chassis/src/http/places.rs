//! How many connections an address may hold at once.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reduces an address to what one subscriber has: an IPv6 address to its /64 (RFC 6177), an IPv4
/// address in IPv6 form to itself.
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Something of which each address may have a bounded number at once. Remembers only addresses
/// that have one.
#[derive(Debug)]
pub struct Places {
    taken: Mutex<HashMap<IpAddr, usize>>,
    per_address: usize,
}

impl Places {
    /// Allows `per_address` at once, at least 1.
    pub fn new(per_address: usize) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), per_address: per_address.max(1) })
    }

    /// Takes a place for the [`subscriber`] at an address, if it has one left.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = subscriber(address);
        let mut taken = self.taken();
        let count = taken.entry(address).or_default();
        if *count >= self.per_address {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Place { places: Arc::clone(self), address })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // A count is changed in one step.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place, given back when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_subscriber_has_its_own_places() {
        let places = Places::new(2);
        let take = |text: &str| places.take(text.parse().unwrap());
        let first = take("192.0.2.1");
        let second = take("::ffff:192.0.2.1");
        assert!(first.is_some() && second.is_some());
        assert!(take("192.0.2.1").is_none());
        let others = [take("192.0.2.2"), take("2001:db8::1"), take("2001:db8::ffff:2")];
        assert!(others.iter().all(Option::is_some));
        assert!(take("2001:db8::3").is_none(), "the same /64");
        assert!(take("2001:db8:0:1::1").is_some());
        drop(first);
        assert!(take("192.0.2.1").is_some());
    }

    #[test]
    fn nothing_is_remembered_of_who_has_left() {
        let places = Places::new(1);
        for last in 0..=255 {
            drop(places.take(IpAddr::from([192, 0, 2, last])));
        }
        assert!(places.taken().is_empty());
    }
}
