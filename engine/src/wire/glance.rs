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

/// The captured bytes that a glance needs: an Ethernet header, an IPv4 header without options,
/// and a TCP header up to its flags.
const NEEDED: usize = 14 + 20 + 14;

/// Looks at the one place where nearly all packets have their destination port: in an unfragmented
/// IPv4 packet without options, in an Ethernet frame without tags.
///
/// `None` says nothing about the frame: [`decode`](super::decode) it. Otherwise `decode` gives a
/// packet of this protocol, port and flags.
#[inline]
#[must_use]
pub fn glance(link: LinkType, captured: &[u8]) -> Option<Glance> {
    let bytes: &[u8; NEEDED] = captured.first_chunk()?;
    let is_plain_ipv4 = bytes[12] == 0x08 && bytes[13] == 0x00 && bytes[14] == 0x45;
    let is_later_fragment = (bytes[20] & 0x1f) | bytes[21] != 0;
    if link != LinkType::Ethernet || !is_plain_ipv4 || is_later_fragment {
        return None;
    }
    let is_tcp = bytes[23] == 6 && bytes[46] >> 4 >= MIN_TCP_DATA_OFFSET;
    if !is_tcp && bytes[23] != 17 {
        return None;
    }
    let (protocol, flags) = if is_tcp {
        (Protocol::Tcp, TcpFlags::from_bits(bytes[47]))
    } else {
        (Protocol::Udp, TcpFlags::NONE)
    };
    let destination_port = u16::from_be_bytes([bytes[36], bytes[37]]);
    Some(Glance { protocol, destination_port, flags })
}
