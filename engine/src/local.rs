//! Which destinations are this host.

use std::net::{IpAddr, Ipv4Addr};

/// The addresses of the host that a capture was made on (S4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalAddresses {
    /// Not known: any destination that is not multicast or 255.255.255.255 counts as local.
    Unknown,
    /// These and no others.
    Known(Vec<IpAddr>),
}

impl LocalAddresses {
    /// Tells whether a packet to this destination is for this host.
    #[must_use]
    pub fn contains(&self, destination: IpAddr) -> bool {
        match self {
            Self::Unknown => {
                !destination.is_multicast() && destination != IpAddr::V4(Ipv4Addr::BROADCAST)
            }
            Self::Known(addresses) => addresses.contains(&destination),
        }
    }
}
