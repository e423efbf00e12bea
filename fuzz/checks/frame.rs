//! What holds for every frame, whatever its bytes. The fuzz target and the engine's tests
//! include this file, so that both check the same.

use knock_engine::packet::{Packet, Protocol, Transport};
use knock_engine::wire::{LinkType, Undecoded, decode};

/// Checks one input: its first byte picks the link type, the rest is the frame.
///
/// # Panics
///
/// Where something does not hold.
pub(crate) fn check(input: &[u8]) {
    let Some((pick, frame)) = input.split_first() else { return };
    let link = LinkType::ALL[usize::from(*pick) % LinkType::ALL.len()];
    views_agree(link, frame);
    cuts_hide_but_never_lie(link, frame);
    more_bytes_change_nothing(link, frame);
    link_headers_only_wrap(frame);
}

fn packet(link: LinkType, frame: &[u8]) -> Result<Packet, Undecoded> {
    decode(link, frame).map(|segment| segment.packet())
}

/// What a segment says of itself is what its packet says.
fn views_agree(link: LinkType, frame: &[u8]) {
    let Ok(segment) = decode(link, frame) else { return };
    let packet = segment.packet();
    assert_eq!(segment.protocol(), packet.protocol());
    assert_eq!(segment.source_port(), packet.source_port);
    assert_eq!(segment.destination_port(), packet.destination_port);
    assert_eq!(segment.tcp_flags().is_some(), segment.protocol() == Protocol::Tcp);
    if let Transport::Tcp { flags, .. } = packet.transport {
        assert_eq!(segment.tcp_flags(), Some(flags));
    }
}

/// A frame cut anywhere gives what the whole frame gives, or is too short.
fn cuts_hide_but_never_lie(link: LinkType, frame: &[u8]) {
    let whole = packet(link, frame);
    for length in 0..frame.len() {
        match packet(link, &frame[..length]) {
            Err(cause) if cause.is_too_short() => {}
            cut => assert_eq!(cut, whole, "{link:?} cut to {length} of {} bytes", frame.len()),
        }
    }
}

/// Bytes behind a frame that was not too short change nothing.
fn more_bytes_change_nothing(link: LinkType, frame: &[u8]) {
    let alone = packet(link, frame);
    if alone.is_err_and(Undecoded::is_too_short) {
        return;
    }
    for filler in [0x00, 0x45, 0x60, 0xff] {
        let longer: Vec<u8> = frame.iter().copied().chain([filler; 64]).collect();
        assert_eq!(packet(link, &longer), alone, "{link:?} with {filler:#04x} behind it");
    }
}

/// IP behind any link header is what it is without one.
fn link_headers_only_wrap(ip: &[u8]) {
    for (link, ether_type, families) in [
        (LinkType::Ipv4, [0x08, 0x00], [2].as_slice()),
        (LinkType::Ipv6, [0x86, 0xdd], [10, 24, 28, 30].as_slice()),
    ] {
        let bare = packet(link, ip);
        if bare.is_ok() {
            assert_eq!(packet(LinkType::Raw, ip), bare);
        }
        let behind = |link: LinkType, headers: &[&[u8]]| {
            let frame = [&headers.concat(), ip].concat();
            assert_eq!(packet(link, &frame), bare, "{link:?} {headers:?}");
        };
        behind(LinkType::Ethernet, &[&[0xaa; 12], &ether_type]);
        behind(LinkType::Ethernet, &[&[0xaa; 12], &[0x81, 0x00, 0x00, 0x05], &ether_type]);
        behind(LinkType::LinuxSll, &[&[0xaa; 14], &ether_type]);
        behind(LinkType::LinuxSll2, &[&ether_type, &[0xaa; 18]]);
        for family in families {
            behind(LinkType::Null, &[&u32::to_le_bytes(*family)]);
            behind(LinkType::Null, &[&u32::to_be_bytes(*family)]);
            behind(LinkType::Loop, &[&u32::to_be_bytes(*family)]);
        }
    }
}
