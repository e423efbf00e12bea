//! Source addresses as compact table keys.

use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::quality::FixedState;

/// The key of the engine's hash tables: random for a live daemon, so that nobody can choose
/// sources that collide, and fixed for a replay (S15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashKey(pub [u64; 2]);

/// Hashes table keys with the caller's key.
#[derive(Clone, Debug)]
pub(super) struct KeyedHasher {
    state: FixedState,
    prefix: u64,
}

impl KeyedHasher {
    pub(super) fn new(key: HashKey) -> Self {
        Self { state: FixedState::with_seed(key.0[0]), prefix: key.0[1] }
    }

    /// Hashes a source and a number that goes with it in the table's key.
    pub(super) fn hash(&self, source: &SourceKey, extra: u32) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write_u64(self.prefix ^ u64::from(extra));
        hasher.write_u128(u128::from_ne_bytes(source.octets));
        hasher.finish()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// An IP address in 17 bytes without padding. An IPv4 address and its IPv4-mapped IPv6 form are
/// different sources (R36).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SourceKey {
    octets: [u8; 16],
    family: Family,
}

impl SourceKey {
    pub(super) fn new(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let mut octets = [0; 16];
                octets[..4].copy_from_slice(&v4.octets());
                Self { octets, family: Family::V4 }
            }
            IpAddr::V6(v6) => Self { octets: v6.octets(), family: Family::V6 },
        }
    }

    pub(super) fn address(self) -> IpAddr {
        let [a, b, c, d, ..] = self.octets;
        match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from(self.octets)),
        }
    }

    /// Returns the key that failures are counted under (S13): the address, for IPv6 its /64.
    pub(super) fn failure_prefix(mut self) -> Self {
        if self.family == Family::V6 {
            self.octets[8..].fill(0);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip() {
        for text in ["0.0.0.0", "203.0.113.9", "::", "::ffff:203.0.113.9", "2001:db8::1"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(SourceKey::new(address).address(), address);
        }
    }

    #[test]
    fn a_mapped_address_is_another_source() {
        let v4 = SourceKey::new("203.0.113.9".parse().unwrap());
        let mapped = SourceKey::new("::ffff:203.0.113.9".parse().unwrap());
        assert_ne!(v4, mapped);
    }

    #[test]
    fn failures_are_counted_by_64_bits_of_an_ipv6_address() {
        let key = |text: &str| SourceKey::new(text.parse().unwrap()).failure_prefix();
        assert_eq!(key("2001:db8:1:2::3"), key("2001:db8:1:2:ffff::"));
        assert_ne!(key("2001:db8:1:2::3"), key("2001:db8:1:3::3"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[test]
    fn both_halves_of_the_key_count() {
        let source = SourceKey::new("192.0.2.1".parse().unwrap());
        let hash = |key| KeyedHasher::new(HashKey(key)).hash(&source, 0);
        assert_ne!(hash([1, 2]), hash([3, 2]));
        assert_ne!(hash([1, 2]), hash([1, 3]));
    }
}
