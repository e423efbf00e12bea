//! Captured bytes to packets (S3).

mod differential;
mod frames;
mod properties;

use etherparse::{EtherType, IpNumber, PacketBuilder, VlanId};
use knock_engine::packet::{Packet, Protocol, TcpFlags};
use knock_engine::wire::{LinkType, Undecoded, decode};

use frames::{Ip, decodable, ethernet, fragment_header, link_headers, write_transport};

fn packet(link: LinkType, frame: &[u8]) -> Result<Packet, Undecoded> {
    decode(link, frame).map(|segment| segment.packet())
}

#[test]
fn every_packet_decodes_behind_every_link_header_and_cut_anywhere() {
    let mut frames = 0;
    for ip in decodable() {
        for (header_name, link, header) in link_headers(ip.version) {
            let frame = [header.as_slice(), &ip.bytes].concat();
            let whole = packet(link, &frame);
            assert_eq!(whole, Ok(ip.packet()), "{} in {header_name}", ip.name);
            for length in 0..frame.len() {
                let expected = match length {
                    _ if length < header.len() => Err(Undecoded::ShortLinkHeader),
                    _ if length < header.len() + ip.transport_at => Err(Undecoded::ShortIpHeader),
                    _ if length < header.len() + ip.needed() => {
                        Err(Undecoded::ShortTransportHeader)
                    }
                    _ => Ok(ip.packet()),
                };
                let cut = packet(link, &frame[..length]);
                assert_eq!(cut, expected, "{} in {header_name} cut to {length}", ip.name);
            }
            frames += 1;
        }
    }
    assert!(frames > 1000, "only {frames} frames");
}

#[test]
fn the_headers_of_these_tests_are_those_that_etherparse_writes() {
    let expected = |tags: usize| {
        let ip = Ip::plain(4, Protocol::Tcp);
        let tags = [[0x81, 0x00], [0xe0, 0x2a]].concat().repeat(tags);
        [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], tags.as_slice(), &[0x08, 0x00], &ip.bytes].concat()
    };
    let vlan = VlanId::try_new(0x02a).expect("42 is a VLAN number");
    let (source, destination) = ([198, 51, 100, 7], [192, 0, 2, 1]);
    let builder = || PacketBuilder::ethernet2([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]);
    let mut written = [vec![], vec![], vec![]];
    let steps = [
        builder().ipv4(source, destination, 64),
        builder().single_vlan(vlan).ipv4(source, destination, 64),
        builder().double_vlan(vlan, vlan).ipv4(source, destination, 64),
    ];
    for (step, bytes) in steps.into_iter().zip(&mut written) {
        write_transport(step, Protocol::Tcp, bytes);
    }
    // The builder leaves the priority bits of a tag clear, and writes 802.1ad for an outer tag.
    written[1][14] |= 0xe0;
    written[2][14] |= 0xe0;
    written[2][18] |= 0xe0;
    written[2][12..14].copy_from_slice(&[0x81, 0x00]);
    for (tags, written) in written.iter().enumerate() {
        assert_eq!(*written, expected(tags), "{tags} tags");
        let expected = Ip::plain(4, Protocol::Tcp).packet();
        assert_eq!(packet(LinkType::Ethernet, written), Ok(expected), "{tags} tags");
    }
}

/// Frames that are no packets, each with its cause.
fn refusals() -> Vec<(&'static str, LinkType, Vec<u8>, Undecoded)> {
    let mut all = ip_refusals();
    all.extend(link_refusals());
    all
}

fn ip_refusals() -> Vec<(&'static str, LinkType, Vec<u8>, Undecoded)> {
    let (v4, v6) = (Ip::plain(4, Protocol::Tcp), Ip::plain(6, Protocol::Tcp));
    let fragment = |offset| {
        let header = fragment_header(offset, true);
        v6.clone().behind(IpNumber::IPV6_FRAGMENTATION_HEADER, header).bytes
    };
    let options = |ip: Ip| ip.behind(IpNumber::IPV6_DESTINATION_OPTIONS, vec![0; 8]);
    let next = |kind: IpNumber| v6.clone().with_byte(6, kind.0);
    let ah = |units| {
        v6.clone().behind(IpNumber::AUTHENTICATION_HEADER, vec![0, units, 0, 0, 0, 0, 0, 0])
    };
    let in_v4 = |kind: IpNumber| v4.clone().with_byte(9, kind.0).bytes;
    let offset_at = |ip: &Ip| ip.transport_at + 12;
    use LinkType::{Ipv4, Ipv6, Raw};
    use Undecoded::{BadHeaderLength, BadIpVersion, LaterFragment, OtherProtocol};
    vec![
        ("offset 1", Ipv4, v4.clone().with_byte(7, 1).bytes, LaterFragment),
        ("offset 256", Ipv4, v4.clone().with_byte(6, 0x01).bytes, LaterFragment),
        ("offset 4096, more", Ipv4, v4.clone().with_byte(6, 0x30).bytes, LaterFragment),
        ("v6 offset 1", Ipv6, fragment(1), LaterFragment),
        ("v6 offset 8191", Ipv6, fragment(0x1fff), LaterFragment),
        ("header of 4 words", Ipv4, v4.clone().with_byte(0, 0x44).bytes, BadHeaderLength),
        ("header of 0 words", Ipv4, v4.clone().with_byte(0, 0x40).bytes, BadHeaderLength),
        ("v6 for v4", Ipv4, v6.bytes.clone(), BadIpVersion),
        ("v4 for v6", Ipv6, v4.clone().with_options(9).bytes, BadIpVersion),
        ("version 5", Raw, v4.clone().with_byte(0, 0x55).bytes, BadIpVersion),
        ("version 0", Raw, vec![0; 60], BadIpVersion),
        ("ICMP", Ipv4, in_v4(IpNumber::ICMP), OtherProtocol),
        ("SCTP", Ipv4, in_v4(IpNumber::SCTP), OtherProtocol),
        ("UDP-Lite", Ipv4, in_v4(IpNumber::UDP_LITE), OtherProtocol),
        ("v4 in v4", Ipv4, in_v4(IpNumber::IPV4), OtherProtocol),
        ("GRE", Ipv4, in_v4(IpNumber::GRE), OtherProtocol),
        ("AH in v4", Ipv4, in_v4(IpNumber::AUTHENTICATION_HEADER), OtherProtocol),
        ("hop-by-hop in v4", Ipv4, in_v4(IpNumber::IPV6_HEADER_HOP_BY_HOP), OtherProtocol),
        ("ICMPv6", Ipv6, next(IpNumber::IPV6_ICMP).bytes, OtherProtocol),
        ("no next header", Ipv6, next(IpNumber::IPV6_NO_NEXT_HEADER).bytes, OtherProtocol),
        ("ESP", Ipv6, next(IpNumber::ENCAPSULATING_SECURITY_PAYLOAD).bytes, OtherProtocol),
        ("options, ESP", Ipv6, options(next(IpNumber(50))).bytes, OtherProtocol),
        ("options, v6 in v6", Ipv6, options(next(IpNumber::IPV6)).bytes, OtherProtocol),
        ("AH of 8 bytes", Ipv6, ah(0).bytes, BadHeaderLength),
        ("TCP of 4 words", Ipv4, v4.clone().with_byte(offset_at(&v4), 0x4f).bytes, BadHeaderLength),
        ("TCP of 0 words", Ipv6, v6.clone().with_byte(offset_at(&v6), 0x0f).bytes, BadHeaderLength),
    ]
}

fn link_refusals() -> Vec<(&'static str, LinkType, Vec<u8>, Undecoded)> {
    let ip = Ip::plain(4, Protocol::Tcp).bytes;
    let behind = |header: Vec<u8>| [header.as_slice(), &ip].concat();
    let of_type = |ether_type: u16| behind(ethernet(EtherType(ether_type)));
    let tagged = |tags: usize| {
        let tags = [0x00, 0x05, 0x81, 0x00].repeat(tags - 1);
        let last = [0x00, 0x05, 0x08, 0x00];
        behind([ethernet(EtherType(0x88a8)), tags, last.to_vec()].concat())
    };
    let sll = |protocol: u8| behind([vec![0; 15], vec![protocol]].concat());
    use LinkType::{Ethernet, LinuxSll, LinuxSll2, Loop, Null};
    use Undecoded::{BadIpVersion, NotIp, TooManyVlanTags};
    vec![
        ("three tags", Ethernet, tagged(3), TooManyVlanTags),
        ("four tags", Ethernet, tagged(4), TooManyVlanTags),
        ("ARP", Ethernet, of_type(0x0806), NotIp),
        ("PPPoE", Ethernet, of_type(0x8864), NotIp),
        ("MPLS", Ethernet, of_type(0x8847), NotIp),
        ("802.3 length", Ethernet, of_type(46), NotIp),
        ("v4 announced as v6", Ethernet, of_type(0x86dd), BadIpVersion),
        (
            "tag, ARP",
            Ethernet,
            behind([ethernet(EtherType(0x8100)), vec![0, 5, 8, 6]].concat()),
            NotIp,
        ),
        ("SLL, LINUX_SLL_P_802_3", LinuxSll, sll(1), NotIp),
        ("SLL, LINUX_SLL_P_802_2", LinuxSll, sll(4), NotIp),
        ("SLL2, ARP", LinuxSll2, behind([vec![8, 6], vec![0; 18]].concat()), NotIp),
        ("NULL, family 7", Null, behind(vec![7, 0, 0, 0]), NotIp),
        ("NULL, middle bytes", Null, behind(vec![0, 2, 0, 0]), NotIp),
        ("LOOP, little-endian", Loop, behind(vec![2, 0, 0, 0]), NotIp),
        ("NULL, v4 announced as v6", Null, behind(vec![30, 0, 0, 0]), BadIpVersion),
    ]
}

#[test]
fn every_refusal_has_its_cause_cut_anywhere() {
    for (name, link, frame, cause) in refusals() {
        assert_eq!(packet(link, &frame), Err(cause), "{name}");
        let cuts: Vec<_> = (0..frame.len()).map(|length| packet(link, &frame[..length])).collect();
        let known_from =
            cuts.iter().position(|cut| *cut == Err(cause)).expect("it is not the last byte");
        for (length, cut) in cuts.iter().enumerate() {
            let is_short = cut.is_err_and(Undecoded::is_too_short);
            let is_expected = if length < known_from { is_short } else { *cut == Err(cause) };
            assert!(is_expected, "{name} cut to {length}: {cut:?}");
        }
    }
}

#[test]
fn every_cause_occurs_and_has_a_name_of_its_own() {
    let mut seen: Vec<_> = refusals().into_iter().map(|(_, _, _, cause)| cause).collect();
    seen.extend([0, 20, 40].map(|length| {
        let ip = Ip::plain(4, Protocol::Tcp).bytes;
        let frame = [ethernet(EtherType::IPV4), ip].concat();
        packet(LinkType::Ethernet, &frame[..length]).expect_err("cut before the flags")
    }));
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, Undecoded::ALL);
    for (index, cause) in Undecoded::ALL.into_iter().enumerate() {
        assert_eq!(cause as usize, index);
        assert_eq!(cause.to_string(), cause.description());
        let debug = format!("{cause:?}");
        assert_eq!(cause.name().replace('_', ""), debug.to_lowercase());
        assert!(cause.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{debug}");
    }
}

#[test]
fn every_flag_byte_gives_its_six_flags() {
    for version in [4, 6] {
        for bits in 0..=255 {
            let ip = Ip::plain(version, Protocol::Tcp);
            let flags_at = ip.transport_at + 13;
            // The bit below the data offset was once a flag too (RFC 3540).
            let frame = ip.with_byte(flags_at - 1, 0x51).with_byte(flags_at, bits).bytes;
            let segment = decode(LinkType::Raw, &frame).expect("a whole packet");
            assert_eq!(segment.tcp_flags(), Some(TcpFlags::from_bits(bits)), "{bits:#04x}");
            assert_eq!(segment.tcp_flags().map(TcpFlags::bits), Some(bits & 0x3f));
        }
    }
}

#[test]
fn link_types_are_found_by_every_number() {
    for (number, link) in [
        (0, LinkType::Null),
        (1, LinkType::Ethernet),
        (12, LinkType::Raw),
        (14, LinkType::Raw),
        (101, LinkType::Raw),
        (108, LinkType::Loop),
        (113, LinkType::LinuxSll),
        (228, LinkType::Ipv4),
        (229, LinkType::Ipv6),
        (276, LinkType::LinuxSll2),
    ] {
        assert_eq!(LinkType::from_linktype(number), Ok(link));
        // An FCS of 4 bytes, as the upper bits of a pcap header's field have it.
        assert_eq!(LinkType::from_linktype(number | 0x4400_0000), Ok(link));
    }
    let known = (0..=0xffff).filter(|number| LinkType::from_linktype(*number).is_ok()).count();
    assert_eq!(known, 10);
}

#[test]
fn unsupported_link_types_are_named() {
    let message = |number| LinkType::from_linktype(number).expect_err("unsupported").to_string();
    let supported = "Ethernet (1), Linux SLL (113), Linux SLL2 (276), RAW (101, 12, 14), \
                     IPV4 (228), IPV6 (229), NULL (0), LOOP (108)";
    for (number, label) in [
        (9, "9 (PPP)"),
        (105, "105 (IEEE 802.11)"),
        (0x4400_0000 | 127, "127 (IEEE 802.11 with radiotap header)"),
        (147, "147 (private use)"),
        (162, "162 (private use)"),
        (0xffff, "65535"),
    ] {
        let expected = format!("link type {label} is not supported; supported are {supported}");
        assert_eq!(message(number), expected);
    }
}
