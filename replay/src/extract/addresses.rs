//! Addresses mapped to others so that networks stay networks.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::key::Key;

/// Maps addresses.
///
/// Two addresses whose first n bits are the same have images whose first n bits are the same, and
/// no others do (as Crypto-PAn does it): whether a bit is turned over depends on the key and the
/// bits in front of it. Networks that mean something to a decision or a reader keep their first
/// bits, as does whatever lies in front of these bits in the tree, so nothing else gets into them.
///
/// IPv4 addresses are mapped as the IPv6 addresses that stand for them (`::ffff:0:0/96`).
pub(super) struct Addresses {
    key: Key,
    /// Those mapped before: there are few, and each takes up to 128 hashes.
    known: HashMap<IpAddr, IpAddr>,
}

/// Networks that stay, with the length of their prefixes.
const KEPT: [(&str, u32); 9] = [
    ("::ffff:0.0.0.0", 104),
    ("::ffff:127.0.0.0", 104),
    ("::ffff:169.254.0.0", 112),
    ("::ffff:224.0.0.0", 100),
    // 255.255.255.255 is no multicast, but nobody's address either (S4).
    ("::ffff:255.255.255.255", 128),
    // Nobody's address, and with it its neighbour, loopback.
    ("::", 128),
    ("::ffff:0:0", 96),
    ("fe80::", 10),
    ("ff00::", 8),
];

impl Addresses {
    /// The most addresses that are kept in memory, however many a flood forges.
    const MOST_KNOWN: usize = 65_536;
    /// The purpose of the key's numbers.
    const PURPOSE: u8 = b'a';

    pub(super) fn new(key: Key) -> Self {
        Self { key, known: HashMap::new() }
    }

    pub(super) fn map(&mut self, address: IpAddr) -> IpAddr {
        if let Some(known) = self.known.get(&address) {
            return *known;
        }
        let image = match address {
            IpAddr::V4(v4) => {
                let image = Ipv6Addr::from_bits(self.map_bits(v4.to_ipv6_mapped().to_bits()));
                // The prefix of such addresses is kept.
                IpAddr::V4(image.to_ipv4_mapped().unwrap_or(Ipv4Addr::UNSPECIFIED))
            }
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(self.map_bits(v6.to_bits()))),
        };
        if self.known.len() >= Self::MOST_KNOWN {
            self.known.clear();
        }
        self.known.insert(address, image);
        image
    }

    /// Maps a network to the one that holds the images of its addresses, and no others.
    pub(super) fn map_net(&mut self, net: IpNet) -> IpNet {
        let image = self.map(net.network());
        IpNet::new(image, net.prefix_len()).map_or(net, |image| image.trunc())
    }

    fn map_bits(&self, bits: u128) -> u128 {
        let kept = KEPT.map(|(prefix, length)| {
            (prefix.parse::<Ipv6Addr>().map_or(0, Ipv6Addr::to_bits), length)
        });
        let mut image = bits;
        for (place, index) in (0..128_u32).zip(0_u8..) {
            let leads_to = |(prefix, length): &(u128, u32)| {
                place < *length && first_bits(bits, place) == first_bits(*prefix, place)
            };
            if kept.iter().any(leads_to) {
                continue;
            }
            let turn = self.key.number(Self::PURPOSE, index, first_bits(bits, place)) & 1;
            image ^= u128::from(turn) << (127 - place);
        }
        image
    }
}

/// Returns the first so many bits, with zeros behind them.
fn first_bits(bits: u128, length: u32) -> u128 {
    bits & u128::MAX.checked_shl(128 - length).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addresses(key: u8) -> Addresses {
        let mut digits = format!("{key:02x}");
        digits.push_str(&"0".repeat(30));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), digits).unwrap();
        Addresses::new(Key::read(file.path()).unwrap())
    }

    fn shared(a: IpAddr, b: IpAddr) -> u32 {
        match (a, b) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => panic!("the family changes"),
        }
    }

    fn class(address: IpAddr) -> (bool, bool, bool, bool) {
        let link_local = match address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
        (address.is_loopback(), address.is_multicast(), link_local, broadcast)
    }

    /// Addresses near each other and near the kept networks, and any others.
    fn any_address() -> impl Strategy<Value = IpAddr> {
        let near = (prop::sample::select(KEPT.to_vec()), 0..128_u32, any::<u128>());
        let near = near.prop_map(|((prefix, _), place, low)| {
            let prefix = prefix.parse::<Ipv6Addr>().unwrap().to_bits();
            let bits = Ipv6Addr::from_bits(
                first_bits(prefix, place) | low & !first_bits(u128::MAX, place),
            );
            bits.to_ipv4_mapped().map_or(IpAddr::V6(bits), IpAddr::V4)
        });
        prop_oneof![
            near,
            any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
            any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
            (0..16_u32).prop_map(|low| IpAddr::V4(Ipv4Addr::from_bits(0xc633_6400 | low))),
        ]
    }

    proptest! {
        #[test]
        fn prefixes_and_classes_stay(a in any_address(), b in any_address(), key: u8) {
            let mut map = addresses(key);
            let (x, y) = (map.map(a), map.map(b));
            if a.is_ipv4() == b.is_ipv4() {
                prop_assert_eq!(shared(a, b), shared(x, y));
            }
            prop_assert_eq!(class(a), class(x));
            prop_assert_eq!(a.is_ipv4(), x.is_ipv4());
            prop_assert_eq!(map.map(a), x);
        }

        #[test]
        fn networks_hold_the_images_of_their_addresses(
            a in any_address(), b in any_address(), length in 0..=128_u8,
        ) {
            let mut map = addresses(7);
            let longest = if a.is_ipv4() { 32 } else { 128 };
            let net = IpNet::new(a, length.min(longest)).unwrap().trunc();
            let image = map.map_net(net);
            prop_assert_eq!(net.contains(&b), image.contains(&map.map(b)));
            prop_assert!(image.contains(&map.map(a)));
        }
    }

    #[test]
    fn nobody_s_address_and_loopback_stay_under_every_key() {
        for key in 0..=255 {
            let mut map = addresses(key);
            for address in [Ipv6Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST].map(IpAddr::V6) {
                assert_eq!(map.map(address), address, "key {key}");
            }
        }
    }

    #[test]
    fn another_key_is_another_mapping() {
        let address = "198.51.100.7".parse().unwrap();
        let images: std::collections::HashSet<IpAddr> =
            (0..16).map(|key| addresses(key).map(address)).collect();
        assert!(images.len() > 12, "{images:?}");
    }
}
