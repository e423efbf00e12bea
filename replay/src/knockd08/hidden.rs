//! Knocks in frames that knockd 0.8 cannot read (R8, R9, R11), found only to name the loss.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::decision::LossReason;
use super::decode::{Filtered, LinkLayer, bytes_at, filter_packet, u16_at};

const ETHERTYPE_IPV6: u16 = 0x86dd;
/// IPv6 headers with a length in units of eight bytes: hop-by-hop, routing, destination.
const STEPPED_OVER: [u8; 3] = [0, 43, 60];
const FRAGMENT: u8 = 44;

/// A packet inside a frame that knockd does not see, its source, and what hides it.
pub(super) struct Hidden {
    pub(super) packet: Filtered,
    pub(super) source: IpAddr,
    pub(super) reason: LossReason,
}

/// Looks behind one or two VLAN tags, or behind IPv6 extension headers.
pub(super) fn look_behind(link: LinkLayer, frame: &[u8]) -> Option<Hidden> {
    if link != LinkLayer::Ethernet {
        return None;
    }
    let (tags, ethertype, packet) = ip_of_ethernet(frame)?;
    if let Some(seen) = filter_packet(ethertype, packet) {
        let source = source_of(ethertype, packet)?;
        return (tags > 0).then_some(Hidden { packet: seen, source, reason: LossReason::VlanTag });
    }
    let plain = without_extensions(ethertype, packet)?;
    let packet = filter_packet(ETHERTYPE_IPV6, &plain)?;
    let source = source_of(ETHERTYPE_IPV6, &plain)?;
    let reason = if tags > 0 { LossReason::VlanTag } else { LossReason::Ipv6Extension };
    Some(Hidden { packet, source, reason })
}

/// Reads the packet and its source on a link layer where knockd drops IPv6.
pub(super) fn ipv6_behind(link: LinkLayer, frame: &[u8]) -> Option<(Filtered, IpAddr)> {
    let packet = frame.get(link.header()..)?;
    Some((filter_packet(ETHERTYPE_IPV6, packet)?, source_of(ETHERTYPE_IPV6, packet)?))
}

/// Returns the number of VLAN tags, the ethertype behind them, and the packet.
fn ip_of_ethernet(frame: &[u8]) -> Option<(usize, u16, &[u8])> {
    let mut at = 12;
    for tags in 0..=2 {
        let ethertype = u16_at(frame, at)?;
        if ethertype != 0x8100 && ethertype != 0x88a8 {
            return Some((tags, ethertype, frame.get(at + 2..)?));
        }
        at += 4;
    }
    None
}

pub(super) fn source_of(ethertype: u16, packet: &[u8]) -> Option<IpAddr> {
    if ethertype == ETHERTYPE_IPV6 {
        bytes_at::<16>(packet, 8).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)))
    } else {
        bytes_at::<4>(packet, 12).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)))
    }
}

/// Returns the IPv6 packet without its extension headers, or `None` where it has none or is a
/// later fragment.
fn without_extensions(ethertype: u16, packet: &[u8]) -> Option<Vec<u8>> {
    if ethertype != ETHERTYPE_IPV6 {
        return None;
    }
    let mut next = *packet.get(6)?;
    let mut at = 40;
    while STEPPED_OVER.contains(&next) || next == FRAGMENT {
        let length = if next == FRAGMENT {
            if u16_at(packet, at + 2)? >> 3 != 0 {
                return None;
            }
            8
        } else {
            (usize::from(*packet.get(at + 1)?) + 1) * 8
        };
        next = *packet.get(at)?;
        at += length;
    }
    if at == 40 {
        return None;
    }
    let mut plain = packet.get(..40)?.to_vec();
    plain[6] = next;
    plain.extend_from_slice(packet.get(at..)?);
    Some(plain)
}
