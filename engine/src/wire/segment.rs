//! A decoded frame as a view of its captured bytes.

use std::net::IpAddr;

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

use crate::packet::{Packet, Protocol, TcpFlags, Transport};

/// A TCP or UDP packet that still lies in its captured bytes.
///
/// Nothing has been copied yet, so a caller can test the destination port against the ports it
/// cares about before it asks for the [`Packet`].
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    pub(super) ip: IpHeader<'a>,
    pub(super) transport: TransportHeader<'a>,
}

/// The header that has the addresses.
#[derive(Clone, Copy, Debug)]
pub(super) enum IpHeader<'a> {
    V4(Ipv4HeaderSlice<'a>),
    V6(Ipv6HeaderSlice<'a>),
}

/// The part of the transport header that the engine looks at (S3).
#[derive(Clone, Copy, Debug)]
pub(super) enum TransportHeader<'a> {
    /// Ports, sequence number, acknowledgement number, data offset, flags.
    Tcp(&'a [u8; 14]),
    /// Ports.
    Udp(&'a [u8; 4]),
}

impl Segment<'_> {
    /// Returns the transport protocol.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match self.transport {
            TransportHeader::Tcp(_) => Protocol::Tcp,
            TransportHeader::Udp(_) => Protocol::Udp,
        }
    }

    /// Returns the source port.
    #[inline]
    #[must_use]
    pub const fn source_port(&self) -> u16 {
        let [high, low, _, _] = self.ports();
        u16::from_be_bytes([high, low])
    }

    /// Returns the destination port.
    #[inline]
    #[must_use]
    pub const fn destination_port(&self) -> u16 {
        let [_, _, high, low] = self.ports();
        u16::from_be_bytes([high, low])
    }

    /// Returns the TCP flags; `None` for UDP.
    #[inline]
    #[must_use]
    pub const fn tcp_flags(&self) -> Option<TcpFlags> {
        match self.transport {
            TransportHeader::Tcp(header) => Some(TcpFlags::from_bits(header[13])),
            TransportHeader::Udp(_) => None,
        }
    }

    /// Returns the packet that the engine takes.
    #[inline]
    #[must_use]
    pub fn packet(&self) -> Packet {
        let (source, destination) = match self.ip {
            IpHeader::V4(header) => {
                (IpAddr::V4(header.source_addr()), IpAddr::V4(header.destination_addr()))
            }
            IpHeader::V6(header) => {
                (IpAddr::V6(header.source_addr()), IpAddr::V6(header.destination_addr()))
            }
        };
        let transport = match self.transport {
            TransportHeader::Tcp(header) => Transport::Tcp {
                sequence_number: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
                flags: TcpFlags::from_bits(header[13]),
            },
            TransportHeader::Udp(_) => Transport::Udp,
        };
        Packet {
            source,
            destination,
            source_port: self.source_port(),
            destination_port: self.destination_port(),
            transport,
        }
    }

    #[inline]
    const fn ports(&self) -> [u8; 4] {
        match self.transport {
            TransportHeader::Tcp(header) => [header[0], header[1], header[2], header[3]],
            TransportHeader::Udp(header) => *header,
        }
    }
}
