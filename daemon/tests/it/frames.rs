//! Random frames: mostly well-formed, of every shape that the decoder knows, some damaged or cut.

use std::fmt;

use knock_engine::wire::LinkType;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The link types that live captures have.
pub(crate) const LIVE_LINKS: [LinkType; 4] =
    [LinkType::Ethernet, LinkType::LinuxSll, LinkType::LinuxSll2, LinkType::Raw];

/// The extension headers that the decoder steps over.
pub(crate) const EXTENSION_HEADERS: [u8; 8] = [0, 43, 44, 51, 60, 135, 139, 140];

/// What a frame is made of.
#[derive(Clone)]
pub(crate) struct Frame {
    pub(crate) link: LinkType,
    pub(crate) bytes: Vec<u8>,
}

impl fmt::Debug for Frame {
    /// Writes the bytes as hexadecimal digits, short enough for a failing case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.link)?;
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Makes random frames with destination ports from `ports`, on one of [`LIVE_LINKS`].
pub(crate) fn frames(ports: Vec<u16>) -> impl Strategy<Value = Frame> {
    let whole = (select(LIVE_LINKS.to_vec()), ip(ports), tags())
        .prop_map(|(link, (version, ip), tags)| on_link(link, &tags, version, &ip));
    let damage = option::weighted(0.2, vec((0..120_usize, any::<u8>()), 1..4));
    let cut = option::weighted(0.2, any::<Index>());
    let mostly_whole = (whole, damage, cut).prop_map(|(mut frame, damage, cut)| {
        for (at, value) in damage.into_iter().flatten() {
            if let Some(byte) = frame.bytes.get_mut(at) {
                *byte = value;
            }
        }
        if let Some(cut) = cut {
            frame.bytes.truncate(cut.index(frame.bytes.len() + 1));
        }
        frame
    });
    let garbage = (select(LIVE_LINKS.to_vec()), vec(any::<u8>(), 0..120))
        .prop_map(|(link, bytes)| Frame { link, bytes });
    prop_oneof![20 => mostly_whole, 1 => garbage]
}

/// Puts an IP packet into a frame, behind VLAN tags of these types where the link has such.
pub(crate) fn on_link(link: LinkType, tags: &[u16], version: u8, ip: &[u8]) -> Frame {
    let ether_type: u16 = if version == 4 { 0x0800 } else { 0x86dd };
    let mut types: Vec<u16> = tags.iter().copied().chain([ether_type]).collect();
    let outer = types.remove(0).to_be_bytes();
    let mut bytes = match link {
        LinkType::Raw | LinkType::Ipv4 | LinkType::Ipv6 | LinkType::Null | LinkType::Loop => {
            Vec::new()
        }
        LinkType::Ethernet => [[2; 12].as_slice(), &outer].concat(),
        LinkType::LinuxSll => [[0, 0, 0, 1, 0, 6].as_slice(), &[2; 8], &outer].concat(),
        LinkType::LinuxSll2 => {
            [outer.as_slice(), &[0, 0, 0, 0, 0, 3, 0, 1, 0, 6], &[2; 8]].concat()
        }
    };
    if link != LinkType::Raw {
        for inner in types {
            bytes.extend([0, 5]);
            bytes.extend(inner.to_be_bytes());
        }
    }
    bytes.extend(ip);
    Frame { link, bytes }
}

fn tags() -> impl Strategy<Value = Vec<u16>> {
    let tag = select(vec![0x8100_u16, 0x88a8, 0x9100]);
    prop_oneof![3 => Just(Vec::new()), 1 => vec(tag, 1..=3)]
}

/// An IP packet and its version.
fn ip(ports: Vec<u16>) -> impl Strategy<Value = (u8, Vec<u8>)> {
    (any::<bool>(), segment(ports)).prop_flat_map(|(is_v4, (protocol, segment))| {
        if is_v4 {
            ipv4(protocol, segment).prop_map(|ip| (4, ip)).boxed()
        } else {
            ipv6(protocol, segment).prop_map(|ip| (6, ip)).boxed()
        }
    })
}

/// A TCP or UDP header with a little payload, sometimes something else, and its protocol number.
fn segment(ports: Vec<u16>) -> impl Strategy<Value = (u8, Vec<u8>)> {
    let port = prop_oneof![4 => select(ports), 1 => any::<u16>()];
    let flags = prop_oneof![Just(0x02_u8), Just(0x10), Just(0x18), Just(0x12), any::<u8>()];
    let protocol = prop_oneof![4 => Just(6_u8), 4 => Just(17), 1 => any::<u8>()];
    (protocol, any::<u16>(), port, flags).prop_map(|(protocol, source_port, port, flags)| {
        (protocol, transport(protocol, [source_port, port], flags))
    })
}

/// A TCP header with these flags, or a UDP header, from one port to another.
pub(crate) fn transport(protocol: u8, [from, to]: [u16; 2], flags: u8) -> Vec<u8> {
    let ports = [from.to_be_bytes(), to.to_be_bytes()].concat();
    match protocol {
        6 => [ports.as_slice(), &[1, 2, 3, 4, 0, 0, 0, 0, 0x50, flags, 4, 0, 0, 0, 0, 0]].concat(),
        _ => [ports.as_slice(), &[0, 12, 0, 0, 1, 2, 3, 4]].concat(),
    }
}

fn ipv4(protocol: u8, segment: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![8 => Just(0_u16), 1 => Just(0x2000), 1 => any::<u16>()];
    let words = prop_oneof![3 => Just(0_u8), 1 => 1..=10_u8];
    (words, fragment)
        .prop_map(move |(words, fragment)| plain_ipv4(protocol, words, fragment, &segment))
}

/// An IPv4 packet with so many 4-byte words of options and this fragment field.
pub(crate) fn plain_ipv4(protocol: u8, words: u8, fragment: u16, segment: &[u8]) -> Vec<u8> {
    let [high, low] = fragment.to_be_bytes();
    let mut bytes = vec![0x45 + words, 0, 0, 60, 0, 1, high, low, 64, protocol, 0, 0];
    bytes.extend([198, 51, 100, 7, 192, 0, 2, 1]);
    bytes.extend(vec![1; usize::from(words) * 4]);
    bytes.extend(segment);
    bytes
}

fn ipv6(protocol: u8, segment: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let extension = (select(EXTENSION_HEADERS.to_vec()), 0..4_u8);
    let chain = prop_oneof![2 => Just(Vec::new()), 1 => vec(extension, 1..5)];
    chain.prop_map(move |chain| with_extensions(&chain, protocol, &segment))
}

/// An IPv6 packet with these extension headers: their kinds and the values of their length fields.
pub(crate) fn with_extensions(chain: &[(u8, u8)], protocol: u8, segment: &[u8]) -> Vec<u8> {
    let first = chain.first().map_or(protocol, |(kind, _)| *kind);
    let mut bytes = vec![0x60, 0, 0, 0, 0, 60, first, 64];
    bytes.extend([0x20, 0x01, 0x0d, 0xb8, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    bytes.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    for (index, (kind, units)) in chain.iter().enumerate() {
        let next = chain.get(index + 1).map_or(protocol, |(kind, _)| *kind);
        let (field, length) = match kind {
            44 => (0, 8),
            51 => (units + 1, (usize::from(*units) + 3) * 4),
            _ => (*units, (usize::from(*units) + 1) * 8),
        };
        let mut header = vec![0; length];
        (header[0], header[1]) = (next, field);
        bytes.extend(header);
    }
    bytes.extend(segment);
    bytes
}
