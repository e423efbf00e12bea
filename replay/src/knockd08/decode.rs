//! How knockd 0.8 reads captured bytes (R8-R15).
//!
//! A packet is read twice, as in the original. The *filter*, a BPF program, reads with checks:
//! what lies behind the captured bytes makes it say no. The *sniffer* reads what it believes to
//! be there, takes lengths on trust, and decides by the version nibble where the filter decides
//! by the ethertype.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use knock_engine::packet::{Protocol, TcpFlags};
use thiserror::Error;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const IP_ICMP: u8 = 1;
const IP_TCP: u8 = 6;
const IP_UDP: u8 = 17;
/// Where a segment's flags stand behind its beginning.
const TCP_FLAGS: usize = 13;
const IPV6_HEADER: usize = 40;

/// The link layers that knockd 0.8 works on (R8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkLayer {
    /// Ethernet (1).
    Ethernet,
    /// Linux cooked capture, version 1 (113).
    LinuxSll,
    /// Raw IP (101, and 12, which is what 101 becomes inside libpcap).
    Raw,
}

/// A link type that makes knockd exit with status 1 at its start (R8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "knockd 0.8 refuses link type {0}: it knows Ethernet (1), Linux SLL (113) and raw IP (101)"
)]
pub struct UnsupportedLinkType(pub u32);

impl LinkLayer {
    /// Takes a capture's link type, without its FCS bits.
    ///
    /// # Errors
    ///
    /// The link types that knockd refuses.
    pub const fn from_link_type(link_type: u32) -> Result<Self, UnsupportedLinkType> {
        match link_type {
            1 => Ok(Self::Ethernet),
            113 => Ok(Self::LinuxSll),
            12 | 101 => Ok(Self::Raw),
            other => Err(UnsupportedLinkType(other)),
        }
    }

    /// Returns the number of bytes before the IP header.
    pub(super) const fn header(self) -> usize {
        match self {
            Self::Ethernet => 14,
            Self::LinuxSll => 16,
            Self::Raw => 0,
        }
    }

    fn ethertype(self, frame: &[u8]) -> Option<u16> {
        match self {
            Self::Ethernet => u16_at(frame, 12),
            Self::LinuxSll => u16_at(frame, 14),
            Self::Raw => match frame.first()? >> 4 {
                4 => Some(ETHERTYPE_IPV4),
                6 => Some(ETHERTYPE_IPV6),
                _ => None,
            },
        }
    }
}

/// What the filter sees of a frame that could be a knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Filtered {
    pub(super) destination: IpAddr,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    /// `None` where the flags were not captured (R13).
    pub(super) flags: Option<TcpFlags>,
}

/// Reads a frame as the filter does; `None` where no expression of knockd's can be true.
pub(super) fn filter_reading(link: LinkLayer, frame: &[u8]) -> Option<Filtered> {
    let ethertype = link.ethertype(frame)?;
    filter_packet(ethertype, frame.get(link.header()..)?)
}

/// Reads an IP packet as the filter does.
pub(super) fn filter_packet(ethertype: u16, packet: &[u8]) -> Option<Filtered> {
    let (destination, protocol, transport) = match ethertype {
        ETHERTYPE_IPV4 => {
            let destination: [u8; 4] = bytes_at(packet, 16)?;
            // Only the first fragment has ports (R10).
            if u16_at(packet, 6)? & 0x1fff != 0 {
                return None;
            }
            let transport = usize::from(packet.first()? & 0x0f) * 4;
            (IpAddr::V4(Ipv4Addr::from(destination)), *packet.get(9)?, transport)
        }
        ETHERTYPE_IPV6 => {
            let destination: [u8; 16] = bytes_at(packet, 24)?;
            (IpAddr::V6(Ipv6Addr::from(destination)), *packet.get(6)?, IPV6_HEADER)
        }
        _ => return None,
    };
    let protocol = tcp_or_udp(protocol)?;
    let port = u16_at(packet, transport + 2)?;
    let flags = packet.get(transport + TCP_FLAGS).map(|&bits| TcpFlags::from_bits(bits));
    Some(Filtered { destination, protocol, port, flags })
}

/// What the sniffer makes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sniffed {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// `None` for an IPv4 protocol that can't be a knock (R14).
    pub(super) protocol: Option<Protocol>,
    pub(super) port: u16,
    pub(super) flags: TcpFlags,
}

/// Why the sniffer drops a frame before it looks at any attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
    /// IPv6 on a link layer other than Ethernet (R8).
    Ipv6OnThisLink,
    /// Not IP, not TCP or UDP over IPv6, or ICMP (R12, R14).
    Other,
}

/// Reads a frame as the sniffer does.
///
/// What it reads behind the captured bytes is whatever lies in memory there; here it is zero
/// (R13: the one thing that cannot be told from a capture).
pub(super) fn sniffer_reading(link: LinkLayer, frame: &[u8]) -> Result<Sniffed, Dropped> {
    if link == LinkLayer::Ethernet {
        let ethertype = u16::from_be_bytes(lax(frame, 12));
        if ethertype != ETHERTYPE_IPV4 && ethertype != ETHERTYPE_IPV6 {
            return Err(Dropped::Other);
        }
    }
    let packet = frame.get(link.header()..).unwrap_or_default();
    let [first] = lax(packet, 0);
    match first >> 4 {
        4 => sniff_ipv4(packet, first),
        6 if link != LinkLayer::Ethernet => Err(Dropped::Ipv6OnThisLink),
        6 => sniff_ipv6(packet),
        _ => Err(Dropped::Other),
    }
}

fn sniff_ipv4(packet: &[u8], first: u8) -> Result<Sniffed, Dropped> {
    let [number] = lax(packet, 9);
    if number == IP_ICMP {
        return Err(Dropped::Other);
    }
    let source = IpAddr::V4(Ipv4Addr::from(lax::<4>(packet, 12)));
    let destination = IpAddr::V4(Ipv4Addr::from(lax::<4>(packet, 16)));
    let Some(protocol) = tcp_or_udp(number) else {
        return Ok(Sniffed { source, destination, protocol: None, port: 0, flags: TcpFlags::NONE });
    };
    let transport = usize::from(first & 0x0f) * 4;
    Ok(sniff_transport(packet, transport, (source, destination), protocol))
}

fn sniff_ipv6(packet: &[u8]) -> Result<Sniffed, Dropped> {
    let [number] = lax(packet, 6);
    let protocol = tcp_or_udp(number).ok_or(Dropped::Other)?;
    let source = IpAddr::V6(Ipv6Addr::from(lax::<16>(packet, 8)));
    let destination = IpAddr::V6(Ipv6Addr::from(lax::<16>(packet, 24)));
    Ok(sniff_transport(packet, IPV6_HEADER, (source, destination), protocol))
}

fn sniff_transport(
    packet: &[u8],
    transport: usize,
    (source, destination): (IpAddr, IpAddr),
    protocol: Protocol,
) -> Sniffed {
    let port = u16::from_be_bytes(lax(packet, transport + 2));
    let flags = match protocol {
        Protocol::Tcp => TcpFlags::from_bits(lax::<1>(packet, transport + TCP_FLAGS)[0]),
        Protocol::Udp => TcpFlags::NONE,
    };
    Sniffed { source, destination, protocol: Some(protocol), port, flags }
}

const fn tcp_or_udp(number: u8) -> Option<Protocol> {
    match number {
        IP_TCP => Some(Protocol::Tcp),
        IP_UDP => Some(Protocol::Udp),
        _ => None,
    }
}

pub(super) fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes_at(bytes, at).map(u16::from_be_bytes)
}

/// Reads bytes of which any that were not captured are zero.
fn lax<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|n| bytes.get(at + n).copied().unwrap_or(0))
}
