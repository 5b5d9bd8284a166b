//! Where a flood comes from.

use std::fmt;
use std::net::IpAddr;

use crate::harness::raw::new_address;

/// Where a flood comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Every login from the same address, which has a quota.
    OneAddress,
    /// Every login from another address, so that no quota of an address holds it up.
    ManyAddresses,
}

impl Source {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 2] = [Self::OneAddress, Self::ManyAddresses];

    /// The addresses of one login after another.
    pub(super) fn addresses(self) -> impl FnMut() -> IpAddr {
        let only = (self == Self::OneAddress).then(new_address);
        move || only.unwrap_or_else(new_address)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneAddress => "one address",
            Self::ManyAddresses => "new addresses",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_flood_has_one_address_or_many() {
        let count = |source: Source| {
            let mut address = source.addresses();
            (0..1_000).map(|_| address()).collect::<BTreeSet<_>>().len()
        };
        assert_eq!(count(Source::OneAddress), 1);
        // Of sixteen million, hardly any is drawn twice.
        assert!(count(Source::ManyAddresses) > 990);
    }
}
