//! The addresses that knockd takes for its own (R1, R6).

use std::net::IpAddr;

use knock_engine::local::LocalAddresses;

use super::Families;

/// The interface's addresses, as far as knockd looks at them.
#[derive(Clone, Debug)]
pub(super) struct Host {
    local: LocalAddresses,
    families: Families,
}

impl Host {
    pub(super) const fn new(local: LocalAddresses, families: Families) -> Self {
        Self { local, families }
    }

    /// Tells whether a packet to this destination is for this host.
    pub(super) fn contains(&self, destination: IpAddr) -> bool {
        self.listens_to(Family::of(destination)) && self.local.contains(destination)
    }

    /// Tells whether the interface has an address of the family that knockd looks at; where the
    /// addresses are not known, it has both.
    pub(super) fn has(&self, family: Family) -> bool {
        self.listens_to(family)
            && match &self.local {
                LocalAddresses::Unknown => true,
                LocalAddresses::Known(list) => list.iter().any(|&ip| Family::of(ip) == family),
            }
    }

    fn listens_to(&self, family: Family) -> bool {
        match (self.families, family) {
            (Families::Both, _) | (Families::OnlyIpv4, Family::Ipv4) => true,
            (Families::OnlyIpv4, Family::Ipv6) => false,
        }
    }
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    pub(super) const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }
}
