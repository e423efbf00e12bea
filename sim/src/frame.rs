//! Packets, and the frames that they come in.

use std::net::IpAddr;

use knock_engine::packet::{Packet, Transport};

/// Makes the Ethernet frame of a packet, in a buffer that is used again and again.
pub fn write(packet: &Packet, frame: &mut Vec<u8>) {
    frame.clear();
    frame.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    let (protocol, len) = match packet.transport {
        Transport::Tcp { .. } => (6, 20),
        Transport::Udp => (17, 8),
    };
    match (packet.source, packet.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.extend([8, 0, 0x45, 0, 0, 20 + len, 0, 0, 0, 0, 64, protocol, 0, 0]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, len, protocol, 64]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            unreachable!("a packet has one family")
        }
    }
    frame.extend(packet.source_port.to_be_bytes());
    frame.extend(packet.destination_port.to_be_bytes());
    match packet.transport {
        Transport::Tcp { sequence_number, flags } => {
            frame.extend(sequence_number.to_be_bytes());
            frame.extend([0, 0, 0, 0, 0x50, flags.bits(), 0xff, 0xff, 0, 0, 0, 0]);
        }
        Transport::Udp => frame.extend([0, 8, 0, 0]),
    }
}

/// Makes an IPv4 frame a fragment that is not the first: what looks like ports in it is not.
pub fn make_fragment(frame: &mut [u8]) {
    if frame.get(12..14) == Some(&[8, 0]) {
        frame[20..22].copy_from_slice(&[0, 100]);
    }
}
