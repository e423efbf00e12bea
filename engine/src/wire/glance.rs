//! The few bytes that tell whether anybody cares for a frame.

use super::{LinkType, MIN_TCP_DATA_OFFSET};
use crate::packet::{Protocol, TcpFlags};

/// What [`Engine::is_candidate`](crate::Engine::is_candidate) asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// The transport protocol.
    pub protocol: Protocol,
    /// The destination port.
    pub destination_port: u16,
    /// The TCP flags; none for UDP.
    pub flags: TcpFlags,
}

/// Where an Ethernet header without tags ends.
const IP: usize = 14;
/// The captured bytes that tell what an IP header is: of IPv4 the shortest header.
const NEEDED: usize = IP + 20;
/// A TCP header up to its flags.
const TRANSPORT: usize = 14;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// By protocol, the least byte that may stand where TCP has its data offset: anything behind the
/// ports of UDP, and nothing in what is neither.
const LEAST_OFFSET: [u16; 256] = {
    let mut least = [u16::MAX; 256];
    least[UDP as usize] = 0;
    least[TCP as usize] = (MIN_TCP_DATA_OFFSET as u16) << 4;
    least
};

/// Looks at the two places where nearly all packets have their destination port: in an
/// unfragmented IPv4 packet without options and in an IPv6 packet without extension headers, in an
/// Ethernet frame without tags.
///
/// `None` says nothing about the frame: [`decode`](super::decode) it. Otherwise `decode` gives a
/// packet of this protocol, port and flags.
#[inline]
#[must_use]
pub fn glance(link: LinkType, captured: &[u8]) -> Option<Glance> {
    let bytes: &[u8; NEEDED] = captured.first_chunk()?;
    // Few branches: the versions and protocols of a busy line come in no order that the processor
    // could guess.
    let ether_type = u16::from_be_bytes([bytes[12], bytes[13]]);
    let is_later_fragment = (bytes[IP + 6] & 0x1f) | bytes[IP + 7] != 0;
    let is_v4 = (ether_type == 0x0800) & (bytes[IP] == 0x45) & !is_later_fragment;
    let is_v6 = (ether_type == 0x86dd) & (bytes[IP] >> 4 == 6);
    if link != LinkType::Ethernet || !(is_v4 | is_v6) {
        return None;
    }
    let number = bytes[IP + 9 - 3 * usize::from(is_v6)];
    let start = IP + 20 + 20 * usize::from(is_v6);
    let header: &[u8; TRANSPORT] = captured.get(start..start + TRANSPORT)?.first_chunk()?;
    if u16::from(header[12]) < LEAST_OFFSET[usize::from(number)] {
        return None;
    }
    let is_tcp = number == TCP;
    let protocol = if is_tcp { Protocol::Tcp } else { Protocol::Udp };
    let flags = TcpFlags::from_bits(header[13] * u8::from(is_tcp));
    let destination_port = u16::from_be_bytes([header[2], header[3]]);
    Some(Glance { protocol, destination_port, flags })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::decode;
    use super::*;

    /// Frames that mostly are what a glance looks for, and sometimes just not.
    fn frames() -> impl Strategy<Value = Vec<u8>> {
        let ether_type = prop_oneof![Just(0x0800_u16), Just(0x86dd), Just(0x8100), any::<u16>()];
        let first = prop_oneof![Just(0x45_u8), Just(0x60), Just(0x6f), Just(0x46), any::<u8>()];
        let number = || prop_oneof![Just(6_u8), Just(17), Just(44), any::<u8>()];
        let fragment = prop_oneof![Just(0_u16), Just(0x4000), any::<u16>()];
        let rest = prop::collection::vec(any::<u8>(), 0..80);
        let parts = (ether_type, first, number(), number(), fragment, rest);
        parts.prop_map(|(ether_type, first, v4, v6, fragment, rest)| {
            let mut frame = vec![0; IP + 10];
            frame[12..IP].copy_from_slice(&ether_type.to_be_bytes());
            frame[IP] = first;
            frame[IP + 6..IP + 8].copy_from_slice(&fragment.to_be_bytes());
            if first >> 4 == 6 {
                frame[IP + 6] = v6;
            }
            frame[IP + 9] = v4;
            frame.extend(rest);
            frame
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn a_glance_sees_what_decoding_gives(frame in frames()) {
            if let Some(glance) = glance(LinkType::Ethernet, &frame) {
                let segment = decode(LinkType::Ethernet, &frame).expect("it is a packet");
                prop_assert_eq!(glance.protocol, segment.protocol());
                prop_assert_eq!(glance.destination_port, segment.destination_port());
                prop_assert_eq!(glance.flags, segment.tcp_flags().unwrap_or(TcpFlags::NONE));
            }
        }
    }

    #[test]
    fn plain_packets_are_seen_at_a_glance() {
        let mut frame = [0; IP + 40 + TRANSPORT];
        frame[12..IP].copy_from_slice(&[0x86, 0xdd]);
        frame[IP] = 0x60;
        frame[IP + 6] = 17;
        frame[IP + 40 + 3] = 53;
        let (protocol, flags) = (Protocol::Udp, TcpFlags::NONE);
        let seen = Some(Glance { protocol, destination_port: 53, flags });
        assert_eq!(glance(LinkType::Ethernet, &frame), seen);
        let mut frame = [0; IP + 20 + TRANSPORT];
        frame[12] = 0x08;
        frame[IP] = 0x45;
        frame[IP + 9] = 6;
        frame[IP + 20..].copy_from_slice(&[0, 1, 0, 22, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02]);
        let (protocol, flags) = (Protocol::Tcp, TcpFlags::SYN);
        let seen = Some(Glance { protocol, destination_port: 22, flags });
        assert_eq!(glance(LinkType::Ethernet, &frame), seen);
        assert_eq!(glance(LinkType::Raw, &frame), None);
    }
}
