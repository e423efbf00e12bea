//! Frames made from what they are said to hold, and what a decoder must find in them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{EtherType, IpNumber, PacketBuilder, PacketBuilderStep};
use knock_engine::packet::{Packet, Protocol, TcpFlags, Transport};
use knock_engine::wire::LinkType;

const SOURCE_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const DESTINATION_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 8, 9, 10, 11, 12);
const DESTINATION_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const SOURCE_PORT: u16 = 0xc0de;
const DESTINATION_PORT: u16 = 7000;
const SEQUENCE_NUMBER: u32 = 0x1234_5678;

/// An IP packet.
#[derive(Clone, Debug)]
pub(crate) struct Ip {
    pub(crate) name: String,
    pub(crate) version: u8,
    pub(crate) bytes: Vec<u8>,
    /// Where the transport header begins.
    pub(crate) transport_at: usize,
    pub(crate) protocol: Protocol,
}

impl Ip {
    /// Makes the plain packet of a version and protocol, with 5 bytes of payload.
    pub(crate) fn plain(version: u8, protocol: Protocol) -> Self {
        let mut bytes = Vec::new();
        let (builder, transport_at) = match version {
            4 => (PacketBuilder::ipv4(SOURCE_V4.octets(), DESTINATION_V4.octets(), 64), 20),
            _ => (PacketBuilder::ipv6(SOURCE_V6.octets(), DESTINATION_V6.octets(), 64), 40),
        };
        write_transport(builder, protocol, &mut bytes);
        Self { name: format!("v{version} {protocol}"), version, bytes, transport_at, protocol }
    }

    /// Renames the packet after what was done to it.
    pub(crate) fn named(mut self, what: &str) -> Self {
        self.name = format!("{} {what}", self.name);
        self
    }

    /// Sets the byte at an offset.
    pub(crate) fn with_byte(mut self, at: usize, value: u8) -> Self {
        self.bytes[at] = value;
        self
    }

    /// Lengthens an IPv4 header by so many 4-byte words of options (no-operation).
    pub(crate) fn with_options(mut self, words: u8) -> Self {
        let length = usize::from(words) * 4;
        self.bytes[0] = 0x45 + words;
        self.bytes.splice(20..20, vec![1; length]);
        self.transport_at += length;
        self.named(&format!("{words} words of options"))
    }

    /// Puts an extension header in front of the others of an IPv6 packet.
    pub(crate) fn behind(mut self, kind: IpNumber, mut header: Vec<u8>) -> Self {
        header[0] = self.bytes[6];
        self.bytes[6] = kind.0;
        self.transport_at += header.len();
        self.bytes.splice(40..40, header);
        self.named(&format!("behind {}", kind.0))
    }

    /// Returns how many bytes of it a decoder needs (S3).
    pub(crate) fn needed(&self) -> usize {
        self.transport_at
            + match self.protocol {
                Protocol::Tcp => 14,
                Protocol::Udp => 4,
            }
    }

    /// Returns what a decoder must find.
    pub(crate) fn packet(&self) -> Packet {
        let (source, destination) = match self.version {
            4 => (IpAddr::V4(SOURCE_V4), IpAddr::V4(DESTINATION_V4)),
            _ => (IpAddr::V6(SOURCE_V6), IpAddr::V6(DESTINATION_V6)),
        };
        let transport = match self.protocol {
            Protocol::Tcp => {
                Transport::Tcp { sequence_number: SEQUENCE_NUMBER, flags: TcpFlags::SYN }
            }
            Protocol::Udp => Transport::Udp,
        };
        Packet {
            source,
            destination,
            source_port: SOURCE_PORT,
            destination_port: DESTINATION_PORT,
            transport,
        }
    }
}

/// Writes a packet to the ports of every test, with 5 bytes of payload.
pub(crate) fn write_transport(
    builder: PacketBuilderStep<etherparse::IpHeaders>,
    protocol: Protocol,
    bytes: &mut Vec<u8>,
) {
    let payload = b"knock";
    match protocol {
        Protocol::Tcp => builder
            .tcp(SOURCE_PORT, DESTINATION_PORT, SEQUENCE_NUMBER, 1024)
            .syn()
            .write(bytes, payload),
        Protocol::Udp => builder.udp(SOURCE_PORT, DESTINATION_PORT).write(bytes, payload),
    }
    .expect("writing to a Vec cannot fail");
}

/// Extension headers of every kind that is stepped over, in the lengths that matter, each with its
/// next header still to be set.
pub(crate) fn extension_headers() -> Vec<(IpNumber, Vec<u8>)> {
    let sized = |units: u8, length: usize| {
        let mut header = vec![0; length];
        header[1] = units;
        header
    };
    vec![
        (IpNumber::IPV6_HEADER_HOP_BY_HOP, sized(0, 8)),
        (IpNumber::IPV6_HEADER_HOP_BY_HOP, sized(3, 32)),
        (IpNumber::IPV6_ROUTE_HEADER, sized(2, 24)),
        (IpNumber::IPV6_FRAGMENTATION_HEADER, fragment_header(0, false)),
        (IpNumber::IPV6_FRAGMENTATION_HEADER, fragment_header(0, true)),
        (IpNumber::IPV6_DESTINATION_OPTIONS, sized(1, 16)),
        (IpNumber::IPV6_DESTINATION_OPTIONS, sized(255, 2048)),
        (IpNumber::AUTHENTICATION_HEADER, sized(1, 12)),
        (IpNumber::AUTHENTICATION_HEADER, sized(4, 24)),
        (IpNumber::MOBILITY_HEADER, sized(1, 16)),
        (IpNumber::HIP, sized(4, 40)),
        (IpNumber::SHIM6, sized(0, 8)),
    ]
}

/// A fragment header with an offset in units of 8 bytes, and its reserved bits set: they mean
/// nothing.
pub(crate) fn fragment_header(offset: u16, more: bool) -> Vec<u8> {
    let field = (offset << 3 | 0b110 | u16::from(more)).to_be_bytes();
    vec![0, 0xff, field[0], field[1], 0xde, 0xad, 0xbe, 0xef]
}

/// Every IP packet that must decode.
pub(crate) fn decodable() -> Vec<Ip> {
    let mut packets = Vec::new();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let (v4, v6) = (Ip::plain(4, protocol), Ip::plain(6, protocol));
        packets.extend([
            v4.clone(),
            v4.clone().with_options(1),
            v4.clone().with_options(10),
            v4.clone().with_byte(6, 0x20).named("first fragment"),
            v4.clone().with_byte(6, 0xc0).named("don't fragment, reserved bit"),
            v4.clone().with_byte(2, 0).with_byte(3, 0).named("total length 0"),
            v4.clone().with_byte(2, 0).with_byte(3, 20).named("total length without payload"),
            v4.clone().with_byte(2, 0xff).named("total length beyond the frame"),
            v4.with_byte(10, 0).with_byte(11, 0).named("no checksum"),
            v6.clone(),
            v6.clone().with_byte(4, 0).with_byte(5, 0).named("payload length 0"),
            v6.clone().with_byte(4, 0xff).named("payload length beyond the frame"),
        ]);
        let alone = extension_headers().into_iter().map(|(kind, h)| v6.clone().behind(kind, h));
        packets.extend(alone);
        let all = extension_headers().into_iter().fold(v6, |ip, (kind, h)| ip.behind(kind, h));
        packets.push(all);
    }
    let tcp = Ip::plain(4, Protocol::Tcp);
    let udp = Ip::plain(4, Protocol::Udp);
    let data_offset_at = tcp.transport_at + 12;
    let length_at = udp.transport_at + 4;
    packets.push(tcp.with_byte(data_offset_at, 0xf0).named("options beyond the frame"));
    packets.push(udp.with_byte(length_at, 0).with_byte(length_at + 1, 0).named("length 0"));
    packets
}

/// Bytes that announce IP of a version, for each link type and number of VLAN tags.
pub(crate) fn link_headers(version: u8) -> Vec<(&'static str, LinkType, Vec<u8>)> {
    let (ether_type, family, same) = match version {
        4 => ([0x08, 0x00], [2].as_slice(), LinkType::Ipv4),
        _ => ([0x86, 0xdd], [10, 24, 28, 30].as_slice(), LinkType::Ipv6),
    };
    let mac = &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    let sll = &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    let sll2 = &[0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    let (q, ad, qinq) = ([0x81, 0x00], [0x88, 0xa8], [0x91, 0x00]);
    let tag = [0xe0, 0x2a];
    let mut headers = vec![
        ("Ethernet", LinkType::Ethernet, [mac, ether_type.as_slice()].concat()),
        ("SLL", LinkType::LinuxSll, [sll, ether_type.as_slice()].concat()),
        ("SLL2", LinkType::LinuxSll2, [ether_type.as_slice(), sll2].concat()),
        ("RAW", LinkType::Raw, vec![]),
        ("its version", same, vec![]),
    ];
    for tpid in [q, ad, qinq] {
        let tagged = [mac.as_slice(), &tpid, &tag, &ether_type].concat();
        headers.push(("one tag", LinkType::Ethernet, tagged));
        for inner in [q, ad, qinq] {
            let tagged = [mac.as_slice(), &tpid, &tag, &inner, &tag, &ether_type].concat();
            headers.push(("two tags", LinkType::Ethernet, tagged));
        }
    }
    let tagged = [sll, q.as_slice(), &tag, &ether_type].concat();
    headers.push(("SLL, one tag", LinkType::LinuxSll, tagged));
    let tagged = [ad.as_slice(), sll2, &tag, &q, &tag, &ether_type].concat();
    headers.push(("SLL2, two tags", LinkType::LinuxSll2, tagged));
    for family in family {
        headers.push(("NULL, little", LinkType::Null, u32::to_le_bytes(*family).to_vec()));
        headers.push(("NULL, big", LinkType::Null, u32::to_be_bytes(*family).to_vec()));
        headers.push(("LOOP", LinkType::Loop, u32::to_be_bytes(*family).to_vec()));
    }
    headers
}

/// An Ethernet header with this EtherType.
pub(crate) fn ethernet(ether_type: EtherType) -> Vec<u8> {
    let mut header = vec![2; 12];
    header.extend(ether_type.0.to_be_bytes());
    header
}
