//! Who sends: four groups of sources whose addresses never meet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the address of a client that knocks honestly: 2^20 of them in 172.16.0.0/12.
pub(super) fn client(index: u64) -> IpAddr {
    v4(Ipv4Addr::new(172, 16, 0, 0), scatter(index, 20))
}

/// Returns the address of a source in a flood or scan: 2^27 of them in 128.0.0.0/5.
pub(super) fn stranger(index: u64) -> IpAddr {
    v4(Ipv4Addr::new(128, 0, 0, 0), scatter(index, 27))
}

/// Returns the IPv4 address of a host that talks to a service here: 2^24 of them in 10.0.0.0/8.
pub(super) fn peer_v4(index: u64) -> IpAddr {
    v4(Ipv4Addr::new(10, 0, 0, 0), scatter(index, 24))
}

/// Returns the IPv6 address of a host that talks to a service here: in 2001:db8:1::/48.
pub(super) fn peer_v6(index: u64) -> IpAddr {
    let base = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0));
    // One host in each /64, as homes have it, with an interface identifier that looks random.
    let subnet = u128::from(scatter(index, 16)) << 64;
    let interface = u128::from(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    IpAddr::V6(Ipv6Addr::from(base | subnet | interface))
}

/// Maps the numbers below 2^`bits` onto themselves in an order that looks random.
///
/// An odd factor has an inverse modulo a power of two, so no two numbers meet. Counting from 1
/// keeps the all-zero host part, which no host has, for the very last.
const fn scatter(index: u64, bits: u32) -> u64 {
    index.wrapping_add(1).wrapping_mul(0x9e37_79b1) & ((1 << bits) - 1)
}

fn v4(base: Ipv4Addr, host: u64) -> IpAddr {
    let host = u32::try_from(host).expect("a host part has at most 27 bits");
    IpAddr::V4(Ipv4Addr::from(u32::from(base) | host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn neighbours_get_different_addresses_inside_their_group() {
        let clients: HashSet<IpAddr> = (0..1 << 20).map(client).collect();
        assert_eq!(clients.len(), 1 << 20);
        assert!(clients.iter().all(|address| match address {
            IpAddr::V4(address) => address.octets()[0] == 172 && address.octets()[1] & 0xf0 == 16,
            IpAddr::V6(_) => false,
        }));
        let strangers: HashSet<IpAddr> = (0..1_000_000).map(stranger).collect();
        assert_eq!(strangers.len(), 1_000_000);
        assert_eq!((0..20_000).map(peer_v6).collect::<HashSet<_>>().len(), 20_000);
    }
}
