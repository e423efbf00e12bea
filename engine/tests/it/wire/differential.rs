//! The decoder beside etherparse's lax one, over Ethernet: equal, but for a closed list of
//! classes in which S3 wants something else.

use etherparse::err::Layer;
use etherparse::err::packet::SliceError;
use etherparse::{
    EtherType, IpNumber, Ipv6ExtensionSlice, LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket,
    TransportSlice,
};
use knock_engine::packet::{Packet, Protocol, TcpFlags, Transport};
use knock_engine::wire::{LinkType, Undecoded, decode};
use proptest::prelude::*;

use super::frames::{Ip, ethernet, extension_headers};
use super::properties::{damaged, whole_inputs};

/// Why one of the two finds a packet and the other doesn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    /// A first fragment: it has its ports, so it is a packet (S3).
    FirstFragment,
    /// A transport header that is cut, or that its length fields say is cut: 14 bytes of TCP and
    /// 4 of UDP are enough.
    PartOfTransportHeader,
    /// Mobility, HIP and Shim6, which etherparse doesn't step over.
    RareExtensionHeader,
    /// Hop-by-hop options behind another extension header: against RFC 8200, and stepped over.
    LateHopByHop,
    /// The payload length ends inside an extension header: not trusted.
    ExtensionHeaderBeyondLength,
    /// Three VLAN tags, which only etherparse steps over.
    ThreeTags,
    /// MACsec without encryption, which only etherparse steps over.
    MacSec,
    /// An authentication header behind IPv4, which only etherparse steps over: S3 names the
    /// extension headers of IPv6.
    AuthenticatedIpv4,
    /// A version other than the one that the EtherType announces.
    OtherVersion,
}

/// Compares the decoders; gives the class of their difference, if they differ.
///
/// # Panics
///
/// Where they differ in another way.
fn compare(frame: &[u8]) -> Option<Difference> {
    let ours = decode(LinkType::Ethernet, frame).map(|segment| segment.packet());
    let Ok(lax) = LaxSlicedPacket::from_ethernet(frame) else {
        assert_eq!(ours, Err(Undecoded::ShortLinkHeader));
        return None;
    };
    match (ours, packet_of(&lax)) {
        (Ok(ours), Some(theirs)) => {
            assert_eq!(ours, theirs);
            None
        }
        (Err(_), None) => None,
        (Ok(_), None) => Some(only_ours(&lax)),
        (Err(cause), Some(_)) => Some(only_theirs(&lax, cause)),
    }
}

fn packet_of(lax: &LaxSlicedPacket<'_>) -> Option<Packet> {
    let (source, destination) = match lax.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        LaxNetSlice::Ipv6(ip) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let (source_port, destination_port, transport) = match lax.transport.as_ref()? {
        TransportSlice::Tcp(tcp) => {
            let named = [tcp.fin(), tcp.syn(), tcp.rst(), tcp.psh(), tcp.ack(), tcp.urg()];
            let set = TcpFlags::NAMED.iter().zip(named).filter(|(_, is_set)| *is_set);
            let flags = set.fold(TcpFlags::NONE, |flags, ((flag, _), _)| flags.union(*flag));
            let sequence_number = tcp.sequence_number();
            let transport = Transport::Tcp { sequence_number, flags };
            (tcp.source_port(), tcp.destination_port(), transport)
        }
        TransportSlice::Udp(udp) => (udp.source_port(), udp.destination_port(), Transport::Udp),
        TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) | TransportSlice::Igmp(_) => {
            return None;
        }
    };
    Some(Packet { source, destination, source_port, destination_port, transport })
}

fn only_ours(lax: &LaxSlicedPacket<'_>) -> Difference {
    let rare = [IpNumber::MOBILITY_HEADER, IpNumber::HIP, IpNumber::SHIM6];
    let payload = lax.ip_payload().expect("etherparse stops behind the IP header");
    match &lax.stop_err {
        _ if payload.fragmented && is_first_fragment(lax) => Difference::FirstFragment,
        None if rare.contains(&payload.ip_number) => Difference::RareExtensionHeader,
        Some((SliceError::Len(_), Layer::TcpHeader | Layer::UdpHeader)) => {
            Difference::PartOfTransportHeader
        }
        Some((SliceError::Ipv6Exts(_), Layer::Ipv6HopByHopHeader)) => Difference::LateHopByHop,
        Some((SliceError::Len(_), _)) if matches!(lax.net, Some(LaxNetSlice::Ipv6(_))) => {
            Difference::ExtensionHeaderBeyondLength
        }
        other => panic!("only we find a packet, etherparse stopped with {other:?}"),
    }
}

fn is_first_fragment(lax: &LaxSlicedPacket<'_>) -> bool {
    match &lax.net {
        Some(LaxNetSlice::Ipv4(ip)) => ip.header().fragments_offset().value() == 0,
        Some(LaxNetSlice::Ipv6(ip)) => ip.extensions().clone().into_iter().all(|extension| {
            let Ipv6ExtensionSlice::Fragment(header) = extension else { return true };
            header.fragment_offset().value() == 0
        }),
        Some(LaxNetSlice::Arp(_)) | None => false,
    }
}

fn only_theirs(lax: &LaxSlicedPacket<'_>, cause: Undecoded) -> Difference {
    let has_macsec = lax.link_exts.iter().any(|ext| matches!(ext, LaxLinkExtSlice::Macsec(_)));
    let authenticated = |net: &LaxNetSlice<'_>| match net {
        LaxNetSlice::Ipv4(ip) => ip.extensions().auth.is_some(),
        LaxNetSlice::Ipv6(_) | LaxNetSlice::Arp(_) => false,
    };
    let is_authenticated = lax.net.as_ref().is_some_and(authenticated);
    let classes = [
        (Undecoded::TooManyVlanTags, lax.link_exts.len() == 3, Difference::ThreeTags),
        (Undecoded::NotIp, has_macsec, Difference::MacSec),
        (Undecoded::OtherProtocol, is_authenticated, Difference::AuthenticatedIpv4),
        (Undecoded::BadIpVersion, true, Difference::OtherVersion),
    ];
    let class = classes.iter().find(|(its, holds, _)| *its == cause && *holds);
    class.unwrap_or_else(|| panic!("only etherparse finds a packet, ours is {cause:?}")).2
}

/// Returns a frame for each class.
fn examples() -> Vec<(Difference, Vec<u8>)> {
    let (v4, v6) = (Ip::plain(4, Protocol::Tcp), Ip::plain(6, Protocol::Tcp));
    let (type_v4, type_v6) = (ethernet(EtherType::IPV4), ethernet(EtherType::IPV6));
    let behind = |header: &[u8], ip: &Ip| [header, &ip.bytes].concat();
    let options = |ip: Ip| ip.behind(IpNumber::IPV6_DESTINATION_OPTIONS, vec![0; 8]);
    let late = options(v6.clone().behind(IpNumber::IPV6_HEADER_HOP_BY_HOP, vec![0; 8]));
    let tag = [0, 5, 0x81, 0].repeat(2);
    let tags = [&ethernet(EtherType::VLAN_TAGGED_FRAME), tag.as_slice(), &[0, 5, 8, 0]].concat();
    // Neither encrypted nor changed, association 0, short length 0, packet number 1.
    let macsec = [ethernet(EtherType::MACSEC), vec![0, 0, 0, 0, 0, 1, 8, 0]].concat();
    let authentication = [6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut authenticated = v4.clone().with_byte(9, 51).with_byte(3, 0xff);
    authenticated.bytes.splice(20..20, authentication);
    let first = v4.clone().with_byte(6, 0x20);
    let cut = behind(&type_v4, &v4)[..14 + 34].to_vec();
    let beyond = options(v6.clone()).with_byte(5, 4);
    let shim6 = v6.behind(IpNumber::SHIM6, vec![0; 8]);
    vec![
        (Difference::FirstFragment, behind(&type_v4, &first)),
        (Difference::PartOfTransportHeader, cut),
        (Difference::RareExtensionHeader, behind(&type_v6, &shim6)),
        (Difference::LateHopByHop, behind(&type_v6, &late)),
        (Difference::ExtensionHeaderBeyondLength, behind(&type_v6, &beyond)),
        (Difference::ThreeTags, behind(&tags, &v4)),
        (Difference::MacSec, behind(&macsec, &v4)),
        (Difference::AuthenticatedIpv4, behind(&type_v4, &authenticated)),
        (Difference::OtherVersion, behind(&type_v6, &v4)),
    ]
}

#[test]
fn each_class_of_differences_exists() {
    for (difference, frame) in examples() {
        assert_eq!(compare(&frame), Some(difference));
    }
}

#[test]
fn plain_packets_and_common_extension_headers_are_equal() {
    let common = [
        IpNumber::IPV6_HEADER_HOP_BY_HOP,
        IpNumber::IPV6_ROUTE_HEADER,
        IpNumber::IPV6_DESTINATION_OPTIONS,
        IpNumber::AUTHENTICATION_HEADER,
    ];
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let v4 = Ip::plain(4, protocol);
        assert_eq!(compare(&[ethernet(EtherType::IPV4), v4.bytes].concat()), None);
        let v6 = Ip::plain(6, protocol);
        for (kind, header) in extension_headers() {
            // The builder's payload length knows nothing of the header put in: 0 stands for all.
            let ip = v6.clone().with_byte(5, 0).behind(kind, header);
            if common.contains(&kind) {
                let frame = [ethernet(EtherType::IPV6), ip.bytes].concat();
                assert!(decode(LinkType::Ethernet, &frame).is_ok(), "{}", ip.name);
                assert_eq!(compare(&frame), None, "{}", ip.name);
            }
        }
    }
}

/// Ethernet frames that decode, and those of each class of differences.
fn ethernet_frames() -> Vec<Vec<u8>> {
    let whole = whole_inputs()
        .into_iter()
        .filter(|input| LinkType::ALL.get(usize::from(input[0])) == Some(&LinkType::Ethernet));
    whole
        .map(|input| input[1..].to_vec())
        .chain(examples().into_iter().map(|(_, frame)| frame))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50_000))]

    #[test]
    fn etherparse_finds_the_same_packet_but_for_the_named_classes(
        frame in damaged(ethernet_frames()),
    ) {
        compare(&frame);
    }
}
