//! Who sent what to whom, also where a frame is no packet to the engine.

use std::net::IpAddr;

use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6Header, Ipv6HeaderSlice};

use super::{Datagram, LinkType, Undecoded, datagram, step_over};
use crate::packet::Protocol;

/// The addresses of a TCP or UDP datagram, and which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parties {
    /// The address that sent it.
    pub source: IpAddr,
    /// The address it was sent to.
    pub destination: IpAddr,
    /// What its IP header says that it carries.
    pub protocol: Protocol,
}

/// Finds the addresses of a frame that [`decode`](super::decode) refuses for what lies behind
/// them: a later fragment, a packet cut short before its ports, an impossible TCP header. `None`
/// where the addresses can't be told either, or it is neither TCP nor UDP.
///
/// For explanations only: no decision rests on it.
#[must_use]
pub fn parties(link: LinkType, captured: &[u8]) -> Option<Parties> {
    let (source, destination, carried) = match datagram(link, captured).ok()? {
        Datagram::V4(bytes) => {
            let header = Ipv4HeaderSlice::from_slice(bytes).ok()?;
            let (source, destination) = (header.source_addr(), header.destination_addr());
            (IpAddr::V4(source), IpAddr::V4(destination), header.protocol())
        }
        Datagram::V6(bytes) => {
            let header = Ipv6HeaderSlice::from_slice(bytes).ok()?;
            let (source, destination) = (header.source_addr(), header.destination_addr());
            let carried = carried_by_ipv6(header.next_header(), bytes.get(Ipv6Header::LEN..)?)?;
            (IpAddr::V6(source), IpAddr::V6(destination), carried)
        }
    };
    let protocol = match carried {
        IpNumber::TCP => Protocol::Tcp,
        IpNumber::UDP => Protocol::Udp,
        _ => return None,
    };
    Some(Parties { source, destination, protocol })
}

/// Follows the extension headers to what they carry. A later fragment's header still names it.
fn carried_by_ipv6(mut next: IpNumber, mut payload: &[u8]) -> Option<IpNumber> {
    while next.is_ipv6_ext_header_value() {
        (next, payload) = match step_over(next, payload) {
            Ok(step) => step,
            Err(Undecoded::LaterFragment) => return payload.first().copied().map(IpNumber),
            Err(_) => return None,
        };
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 header that carries `protocol`, with this fragment offset, and no more.
    fn ipv4_header(protocol: u8, offset: u16) -> Vec<u8> {
        let [high, low] = offset.to_be_bytes();
        let mut bytes = vec![0x45, 0, 0, 40, 0, 1, high, low, 64, protocol, 0, 0];
        bytes.extend([198, 51, 100, 7, 192, 0, 2, 1]);
        bytes
    }

    #[test]
    fn a_later_fragment_and_a_cut_packet_have_parties() {
        for bytes in [ipv4_header(17, 64), ipv4_header(17, 0)] {
            assert!(super::super::decode(LinkType::Ipv4, &bytes).is_err());
            let parties = parties(LinkType::Ipv4, &bytes).unwrap();
            assert_eq!(parties.source, "198.51.100.7".parse::<IpAddr>().unwrap());
            assert_eq!(parties.destination, "192.0.2.1".parse::<IpAddr>().unwrap());
            assert_eq!(parties.protocol, Protocol::Udp);
        }
        assert_eq!(parties(LinkType::Ipv4, &ipv4_header(1, 0)), None, "ICMP has no ports");
        assert_eq!(parties(LinkType::Ipv4, &ipv4_header(17, 0)[..19]), None);
    }

    #[test]
    fn a_later_fragment_of_ipv6_names_what_it_carries() {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 8, 44, 64];
        bytes.extend([0; 32]);
        bytes.extend([6, 0, 0x01, 0x00, 0, 0, 0, 1]);
        let parties = parties(LinkType::Ipv6, &bytes).unwrap();
        assert_eq!(parties.protocol, Protocol::Tcp);
    }
}
