//! Netlink's bytes to updates of the network, and the requests for all of it.
//!
//! Of a message only the attributes that matter are decoded: one that a later kernel adds or
//! changes must not hide an interface.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{
    DecodeError, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkMessage, NlaBuffer, NlasIterator,
};
use netlink_packet_route::address::{AddressHeader, AddressMessage};
use netlink_packet_route::link::{
    LinkAttribute, LinkExtentMask, LinkFlags, LinkHeader, LinkMessage,
};
use netlink_packet_route::route::{RouteHeader, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::network::{DefaultRoute, Interface, LinkState};

/// A change of the network, or a piece of what it is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// There is this interface.
    Interface(Interface),
    /// There is no longer an interface of that number.
    InterfaceGone(u32),
    /// The interface of that number has this address, with this prefix length.
    Address(u32, IpAddr, u8),
    /// It has it no longer.
    AddressGone(u32, IpAddr, u8),
    /// There is this default route.
    DefaultRoute(DefaultRoute),
    /// Some default route is gone.
    DefaultRouteGone,
    /// That was all: the end of an answer.
    Done,
    /// The answer is not of one moment: something changed meanwhile.
    Interrupted,
    /// The kernel refuses a request, with this error number.
    Refused(i32),
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Interfaces,
    AddressesV4,
    AddressesV6,
    RoutesV4,
    RoutesV6,
}

mod kind {
    pub(super) const ERROR: u16 = 2;
    pub(super) const DONE: u16 = 3;
    pub(super) const NEW_LINK: u16 = 16;
    pub(super) const DEL_LINK: u16 = 17;
    pub(super) const NEW_ADDRESS: u16 = 20;
    pub(super) const DEL_ADDRESS: u16 = 21;
    pub(super) const NEW_ROUTE: u16 = 24;
    pub(super) const DEL_ROUTE: u16 = 25;
}

/// The attributes that matter, by their names in the kernel's headers.
mod attribute {
    pub(super) const IFLA_IFNAME: u16 = 3;
    pub(super) const IFLA_PROP_LIST: u16 = 52;
    pub(super) const IFLA_ALT_IFNAME: u16 = 53;
    pub(super) const IFA_ADDRESS: u16 = 1;
    pub(super) const IFA_LOCAL: u16 = 2;
    pub(super) const RTA_OIF: u16 = 4;
    pub(super) const RTA_PRIORITY: u16 = 6;
    pub(super) const RTA_MULTIPATH: u16 = 9;
    pub(super) const RTA_TABLE: u16 = 15;
}

/// The flag of an answer that something changed meanwhile.
const DUMP_INTERRUPTED: u16 = 0x10;

const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

impl Question {
    /// Returns the bytes of the request.
    pub(super) fn bytes(self) -> Vec<u8> {
        let address = |family: AddressFamily| {
            let mut message = AddressMessage::default();
            message.header.family = family;
            RouteNetlinkMessage::GetAddress(message)
        };
        let route = |family: AddressFamily| {
            let mut message = RouteMessage::default();
            message.header.address_family = family;
            RouteNetlinkMessage::GetRoute(message)
        };
        let message = match self {
            Self::Interfaces => {
                let mut message = LinkMessage::default();
                let without_counters = vec![LinkExtentMask::SkipStats];
                message.attributes.push(LinkAttribute::ExtMask(without_counters));
                RouteNetlinkMessage::GetLink(message)
            }
            Self::AddressesV4 => address(AddressFamily::Inet),
            Self::AddressesV6 => address(AddressFamily::Inet6),
            Self::RoutesV4 => route(AddressFamily::Inet),
            Self::RoutesV6 => route(AddressFamily::Inet6),
        };
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        bytes
    }
}

/// Decodes the messages of one datagram and hands each update on.
///
/// # Errors
///
/// Where a message is not what its header says; nothing behind it is decoded.
pub(super) fn decode(
    mut datagram: &[u8],
    mut update: impl FnMut(Update),
) -> Result<(), DecodeError> {
    while !datagram.is_empty() {
        let message = NetlinkBuffer::new_checked(datagram)?;
        let (flags, payload) = (message.flags(), message.payload());
        if flags & DUMP_INTERRUPTED != 0 {
            update(Update::Interrupted);
        }
        if let Some(decoded) = decode_message(message.message_type(), payload)? {
            update(decoded);
        }
        let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
        let aligned = length.saturating_add(3) & !3;
        datagram = datagram.get(aligned..).unwrap_or(&[]);
    }
    Ok(())
}

fn decode_message(kind: u16, payload: &[u8]) -> Result<Option<Update>, DecodeError> {
    Ok(match kind {
        kind::NEW_LINK | kind::DEL_LINK => link(kind, payload)?,
        kind::NEW_ADDRESS | kind::DEL_ADDRESS => address(kind, payload)?,
        kind::NEW_ROUTE | kind::DEL_ROUTE => route(kind, payload)?,
        kind::DONE => Some(Update::Done),
        kind::ERROR => Some(Update::Refused(
            payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code).saturating_neg()),
        )),
        _ => None,
    })
}

fn link(kind: u16, payload: &[u8]) -> Result<Option<Update>, DecodeError> {
    let header = LinkHeader::parse(payload)?;
    // A port that leaves a bridge is said to be deleted, in that family.
    if header.interface_family != AddressFamily::Unspec {
        return Ok(None);
    }
    if kind == kind::DEL_LINK {
        return Ok(Some(Update::InterfaceGone(header.index)));
    }
    let (mut name, mut other_names) = (None, Vec::new());
    for attribute in attributes(payload, LINK_HEADER) {
        let attribute = attribute?;
        match attribute.kind() {
            attribute::IFLA_IFNAME => name = Some(text(attribute.value())),
            attribute::IFLA_PROP_LIST => {
                for property in attributes(attribute.value(), 0) {
                    let property = property?;
                    if property.kind() == attribute::IFLA_ALT_IFNAME {
                        other_names.push(text(property.value()));
                    }
                }
            }
            _ => {}
        }
    }
    let state = if !header.flags.contains(LinkFlags::Up) {
        LinkState::Down
    } else if header.flags.contains(LinkFlags::Running) {
        LinkState::Up
    } else {
        LinkState::NoCarrier
    };
    let interface = |name| Interface { index: header.index, name, other_names, state };
    Ok(name.map(interface).map(Update::Interface))
}

fn address(kind: u16, payload: &[u8]) -> Result<Option<Update>, DecodeError> {
    let header = AddressHeader::parse(payload)?;
    let (mut address, mut local) = (None, None);
    for attribute in attributes(payload, ADDRESS_HEADER) {
        let attribute = attribute?;
        match attribute.kind() {
            attribute::IFA_ADDRESS => address = ip(attribute.value()),
            attribute::IFA_LOCAL => local = ip(attribute.value()),
            _ => {}
        }
    }
    // Where both are there and differ, `IFA_ADDRESS` is the other end of a point-to-point link.
    let Some(own) = local.or(address) else { return Ok(None) };
    let (index, length) = (header.index, header.prefix_len);
    Ok(Some(match kind {
        kind::NEW_ADDRESS => Update::Address(index, own, length),
        _ => Update::AddressGone(index, own, length),
    }))
}

fn route(kind: u16, payload: &[u8]) -> Result<Option<Update>, DecodeError> {
    let header = RouteHeader::parse(payload)?;
    let is_v6 = header.address_family == AddressFamily::Inet6;
    let is_ip = is_v6 || header.address_family == AddressFamily::Inet;
    let leads_everywhere = header.destination_prefix_length == 0
        && header.source_prefix_length == 0
        && header.kind == RouteType::Unicast;
    if !is_ip || !leads_everywhere {
        return Ok(None);
    }
    let mut route = DefaultRoute { is_v6, metric: 0, interfaces: Vec::new() };
    let mut table = u32::from(header.table);
    for attribute in attributes(payload, ROUTE_HEADER) {
        let attribute = attribute?;
        match attribute.kind() {
            attribute::RTA_OIF => route.interfaces.extend(number(attribute.value())),
            attribute::RTA_PRIORITY => route.metric = number(attribute.value()).unwrap_or(0),
            attribute::RTA_TABLE => table = number(attribute.value()).unwrap_or(table),
            attribute::RTA_MULTIPATH => route.interfaces.extend(next_hops(attribute.value())),
            _ => {}
        }
    }
    if table != u32::from(RouteHeader::RT_TABLE_MAIN) {
        return Ok(None);
    }
    Ok(Some(match kind {
        kind::NEW_ROUTE => Update::DefaultRoute(route),
        _ => Update::DefaultRouteGone,
    }))
}

/// Returns the interfaces of the next hops: each begins with its length, 2 bytes, 2 bytes of
/// other things, and the interface's number.
fn next_hops(mut bytes: &[u8]) -> Vec<u32> {
    let mut interfaces = Vec::new();
    while let Some(header) = bytes.first_chunk::<8>() {
        interfaces.extend(number(&header[4..]));
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        bytes = bytes.get(length.max(8).next_multiple_of(4)..).unwrap_or(&[]);
    }
    interfaces
}

fn attributes(
    payload: &[u8],
    header: usize,
) -> impl Iterator<Item = Result<NlaBuffer<&[u8]>, DecodeError>> {
    NlasIterator::new(payload.get(header..).unwrap_or(&[]))
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => bytes.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes).into()),
        16 => bytes.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes).into()),
        _ => None,
    }
}
