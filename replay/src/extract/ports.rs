//! Ports mapped to others.

use std::num::NonZeroU16;

use knock_engine::config::{Knock, PortRange, PortSet, Sequence};

use super::key::Key;

/// A keyed permutation of all ports, the same for TCP and UDP. Port 0, which no knock can have,
/// stays.
pub(super) struct Ports(Vec<u16>);

impl Ports {
    /// The purpose of the key's numbers.
    const PURPOSE: u8 = b'p';

    pub(super) fn new(key: &Key) -> Self {
        let mut ports: Vec<u16> = (0..=u16::MAX).collect();
        // Port 0 is left where it is, and so is the last port that would only meet itself.
        for place in (2..ports.len()).rev() {
            let number = key.number(Self::PURPOSE, 0, place as u128);
            let other = number % place as u64 + 1;
            ports.swap(place, usize::try_from(other).unwrap_or(place));
        }
        Self(ports)
    }

    pub(super) fn map(&self, port: u16) -> u16 {
        self.0.get(usize::from(port)).copied().unwrap_or(port)
    }

    pub(super) fn map_sequence(&self, sequence: &Sequence) -> Sequence {
        let map = |knock: &Knock| {
            let port = NonZeroU16::new(self.map(knock.port.get())).unwrap_or(knock.port);
            Knock { port, ..*knock }
        };
        let knocks = sequence.knocks().iter().map(map).collect();
        Sequence::new(knocks).unwrap_or_else(|| sequence.clone())
    }

    pub(super) fn map_set(&self, set: &PortSet) -> PortSet {
        PortSet::new(set.ranges().iter().flat_map(|range| self.map_range(*range)).collect())
    }

    /// Returns the fewest ranges that hold the images of a range's ports.
    fn map_range(&self, range: PortRange) -> Vec<PortRange> {
        let mut images: Vec<u16> = (range.first..=range.last).map(|port| self.map(port)).collect();
        images.sort_unstable();
        let mut ranges: Vec<PortRange> = Vec::new();
        for port in images {
            match ranges.last_mut() {
                Some(range) if range.last.checked_add(1) == Some(port) => range.last = port,
                _ => ranges.push(PortRange { first: port, last: port, ..range }),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use knock_engine::packet::Protocol;

    use super::*;

    #[test]
    fn every_port_has_an_image_of_its_own_and_0_stays() {
        let ports = Ports::new(&Key::random().unwrap());
        assert_eq!(ports.map(0), 0);
        let images: BTreeSet<u16> = (0..=u16::MAX).map(|port| ports.map(port)).collect();
        assert_eq!(images.len(), 65_536);
        let same = (1..=u16::MAX).filter(|port| ports.map(*port) == *port).count();
        assert!(same < 20, "{same} ports are their own images");
    }

    #[test]
    fn sets_hold_the_images_of_their_ports() {
        let ports = Ports::new(&Key::random().unwrap());
        let range = |protocol, first, last| PortRange { protocol, first, last };
        let set =
            PortSet::new(vec![range(None, 20, 90), range(Some(Protocol::Udp), 60_000, 65_535)]);
        let image = ports.map_set(&set);
        for port in 0..=u16::MAX {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let is_in = image.contains(protocol, ports.map(port));
                assert_eq!(is_in, set.contains(protocol, port), "{port}");
            }
        }
    }
}
