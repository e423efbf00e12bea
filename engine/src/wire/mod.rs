//! Captured bytes to packets (S3).
//!
//! [`decode`] takes the bytes of one frame, as much of it as was captured, and gives a
//! [`Segment`]: a view that knows where the addresses, ports and flags are. What is no packet to
//! the engine has a cause from the closed list [`Undecoded`].
//!
//! Lengths that say how much follows (the total length of IPv4, the payload length of IPv6, the
//! length of UDP) are not looked at: a capture is cut by its snap length, and a sender that
//! leaves segmentation to its network card writes a total length of 0. Lengths that say where the
//! next header begins are checked.

mod glance;
mod link;
mod parties;
mod segment;
mod undecoded;

use etherparse::err::{ipv4, ipv6};
use etherparse::{EtherType, IpNumber, Ipv4HeaderSlice, Ipv6Header, Ipv6HeaderSlice};

pub use glance::{Glance, glance};
pub use link::{LinkType, UnsupportedLinkType};
pub use parties::{Parties, parties};
pub use segment::Segment;
pub use undecoded::Undecoded;

use segment::{IpHeader, TransportHeader};

/// The most VLAN tags that are stepped over (S3).
const MAX_VLAN_TAGS: usize = 2;

/// The least data offset of a TCP header, in units of 4 bytes (RFC 9293).
const MIN_TCP_DATA_OFFSET: u8 = 5;

/// Finds the packet in the captured bytes of a frame (S3).
///
/// Never panics and never looks beyond `captured`, whatever it holds. More captured bytes of the
/// same frame never change an answer, unless it was [too short](Undecoded::is_too_short).
///
/// # Errors
///
/// Why it is no packet to the engine.
#[inline]
pub fn decode(link: LinkType, captured: &[u8]) -> Result<Segment<'_>, Undecoded> {
    match datagram(link, captured)? {
        Datagram::V4(payload) => ipv4(payload),
        Datagram::V6(payload) => ipv6(payload),
    }
}

/// The bytes of a frame from its IP header on.
enum Datagram<'a> {
    V4(&'a [u8]),
    V6(&'a [u8]),
}

/// Steps over the link-layer header and VLAN tags.
#[inline]
fn datagram(link: LinkType, captured: &[u8]) -> Result<Datagram<'_>, Undecoded> {
    match link {
        LinkType::Ethernet => {
            let (header, payload) = take::<14>(captured, Undecoded::ShortLinkHeader)?;
            by_ether_type(ether_type(header[12], header[13]), payload)
        }
        LinkType::LinuxSll => {
            let (header, payload) = take::<16>(captured, Undecoded::ShortLinkHeader)?;
            by_ether_type(ether_type(header[14], header[15]), payload)
        }
        LinkType::LinuxSll2 => {
            let (header, payload) = take::<20>(captured, Undecoded::ShortLinkHeader)?;
            by_ether_type(ether_type(header[0], header[1]), payload)
        }
        LinkType::Raw => by_version(captured),
        LinkType::Ipv4 => Ok(Datagram::V4(captured)),
        LinkType::Ipv6 => Ok(Datagram::V6(captured)),
        LinkType::Null => {
            let (family, payload) = take(captured, Undecoded::ShortLinkHeader)?;
            // A family is a small number, so the byte order of the capturing host shows in which
            // end is zero.
            let (little, big) = (u32::from_le_bytes(*family), u32::from_be_bytes(*family));
            by_family(little.min(big), payload)
        }
        LinkType::Loop => {
            let (family, payload) = take(captured, Undecoded::ShortLinkHeader)?;
            by_family(u32::from_be_bytes(*family), payload)
        }
    }
}

/// Steps over VLAN tags to the IP header that the EtherType announces.
#[inline]
fn by_ether_type(mut announced: EtherType, mut payload: &[u8]) -> Result<Datagram<'_>, Undecoded> {
    let mut tags = 0;
    loop {
        match announced {
            EtherType::IPV4 => return Ok(Datagram::V4(payload)),
            EtherType::IPV6 => return Ok(Datagram::V6(payload)),
            EtherType::VLAN_TAGGED_FRAME
            | EtherType::PROVIDER_BRIDGING
            | EtherType::VLAN_DOUBLE_TAGGED_FRAME => {
                if tags == MAX_VLAN_TAGS {
                    return Err(Undecoded::TooManyVlanTags);
                }
                tags += 1;
                // The EtherType of a tag stands before it: what follows is its number, then the
                // EtherType of what it tags.
                let (tag, tagged) = take::<4>(payload, Undecoded::ShortLinkHeader)?;
                (announced, payload) = (ether_type(tag[2], tag[3]), tagged);
            }
            _ => return Err(Undecoded::NotIp),
        }
    }
}

/// Decodes the payload of a loopback frame by its address family.
fn by_family(family: u32, payload: &[u8]) -> Result<Datagram<'_>, Undecoded> {
    match family {
        2 => Ok(Datagram::V4(payload)),
        // AF_INET6 of Linux; of NetBSD and OpenBSD; of FreeBSD; of macOS.
        10 | 24 | 28 | 30 => Ok(Datagram::V6(payload)),
        _ => Err(Undecoded::NotIp),
    }
}

/// Decodes an IP packet of the version that its header has.
fn by_version(captured: &[u8]) -> Result<Datagram<'_>, Undecoded> {
    match captured.first().map(|first| first >> 4) {
        Some(4) => Ok(Datagram::V4(captured)),
        Some(6) => Ok(Datagram::V6(captured)),
        Some(_) => Err(Undecoded::BadIpVersion),
        None => Err(Undecoded::ShortIpHeader),
    }
}

#[inline]
fn ipv4(captured: &[u8]) -> Result<Segment<'_>, Undecoded> {
    let header = Ipv4HeaderSlice::from_slice(captured).map_err(|error| ipv4_cause(&error))?;
    if header.fragments_offset().value() != 0 {
        return Err(Undecoded::LaterFragment);
    }
    let payload = captured.get(header.slice().len()..).ok_or(Undecoded::ShortTransportHeader)?;
    match header.protocol() {
        IpNumber::TCP => tcp(IpHeader::V4(header), payload),
        IpNumber::UDP => udp(IpHeader::V4(header), payload),
        _ => Err(Undecoded::OtherProtocol),
    }
}

/// Steps over extension headers in whatever order they stand. Each takes at least 8 captured
/// bytes, so the chain ends.
#[inline]
fn ipv6(captured: &[u8]) -> Result<Segment<'_>, Undecoded> {
    let header = Ipv6HeaderSlice::from_slice(captured).map_err(|error| ipv6_cause(&error))?;
    let mut next = header.next_header();
    let mut payload = captured.get(Ipv6Header::LEN..).ok_or(Undecoded::ShortTransportHeader)?;
    loop {
        match next {
            IpNumber::TCP => return tcp(IpHeader::V6(header), payload),
            IpNumber::UDP => return udp(IpHeader::V6(header), payload),
            IpNumber::IPV6_HEADER_HOP_BY_HOP
            | IpNumber::IPV6_ROUTE_HEADER
            | IpNumber::IPV6_FRAGMENTATION_HEADER
            | IpNumber::IPV6_DESTINATION_OPTIONS
            | IpNumber::AUTHENTICATION_HEADER
            | IpNumber::MOBILITY_HEADER
            | IpNumber::HIP
            | IpNumber::SHIM6 => (next, payload) = step_over(next, payload)?,
            _ => return Err(Undecoded::OtherProtocol),
        }
    }
}

/// Steps over one extension header of this kind: gives the kind of the next header, and the bytes
/// from there on.
fn step_over(kind: IpNumber, captured: &[u8]) -> Result<(IpNumber, &[u8]), Undecoded> {
    let (header, _) = take::<8>(captured, Undecoded::ShortIpHeader)?;
    let length = match kind {
        // RFC 8200, 4.5: always 8 bytes; the offset stands above 3 other bits.
        IpNumber::IPV6_FRAGMENTATION_HEADER => {
            if u16::from_be_bytes([header[2], header[3]]) >> 3 != 0 {
                return Err(Undecoded::LaterFragment);
            }
            8
        }
        // RFC 4302, 2.2: in units of 4 bytes less 2; its fixed part has 12 bytes.
        IpNumber::AUTHENTICATION_HEADER => match header[1] {
            0 => return Err(Undecoded::BadHeaderLength),
            units => (usize::from(units) + 2) * 4,
        },
        // RFC 8200, 4.2 and 4.3: in units of 8 bytes less 1.
        _ => (usize::from(header[1]) + 1) * 8,
    };
    let rest = captured.get(length..).ok_or(Undecoded::ShortIpHeader)?;
    Ok((IpNumber(header[0]), rest))
}

#[inline]
fn tcp<'a>(ip: IpHeader<'a>, captured: &'a [u8]) -> Result<Segment<'a>, Undecoded> {
    let (header, _) = take::<14>(captured, Undecoded::ShortTransportHeader)?;
    if header[12] >> 4 < MIN_TCP_DATA_OFFSET {
        return Err(Undecoded::BadHeaderLength);
    }
    Ok(Segment { ip, transport: TransportHeader::Tcp(header) })
}

#[inline]
fn udp<'a>(ip: IpHeader<'a>, captured: &'a [u8]) -> Result<Segment<'a>, Undecoded> {
    let (header, _) = take::<4>(captured, Undecoded::ShortTransportHeader)?;
    Ok(Segment { ip, transport: TransportHeader::Udp(header) })
}

#[inline]
const fn ether_type(high: u8, low: u8) -> EtherType {
    EtherType(u16::from_be_bytes([high, low]))
}

/// Splits off the first `N` bytes, or says in what the captured bytes end.
#[inline]
fn take<const N: usize>(captured: &[u8], short: Undecoded) -> Result<(&[u8; N], &[u8]), Undecoded> {
    captured.split_first_chunk().ok_or(short)
}

#[cold]
fn ipv4_cause(error: &ipv4::HeaderSliceError) -> Undecoded {
    use ipv4::HeaderError::{HeaderLengthSmallerThanHeader, UnexpectedVersion};
    match error {
        ipv4::HeaderSliceError::Len(_) => Undecoded::ShortIpHeader,
        ipv4::HeaderSliceError::Content(UnexpectedVersion { .. }) => Undecoded::BadIpVersion,
        ipv4::HeaderSliceError::Content(HeaderLengthSmallerThanHeader { .. }) => {
            Undecoded::BadHeaderLength
        }
    }
}

#[cold]
fn ipv6_cause(error: &ipv6::HeaderSliceError) -> Undecoded {
    match error {
        ipv6::HeaderSliceError::Len(_) => Undecoded::ShortIpHeader,
        ipv6::HeaderSliceError::Content(_) => Undecoded::BadIpVersion,
    }
}
