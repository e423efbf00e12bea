//! Whether a packet has left this host, or still waits for the hardware address of the next one.
//!
//! A socket can't tell: `connect` and `send` succeed as soon as the kernel has the packet. While
//! the next host on the way does not say who it is (ARP, or IPv6's neighbour discovery), the kernel
//! keeps what it has, and after three seconds throws it away. Asking needs no privilege.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteVia};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::target::Target;

/// How long the next host may take to say who it is: the kernel asks three times, a second apart,
/// and more often where it is told to.
const LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(2);
/// Room for any answer about one route or one neighbour.
const ANSWER: usize = 32 * 1024;

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It has left, as far as can be told.
    Left,
    /// It never will: the next host, of this address, does not say who it is on this interface.
    NobodyThere(IpAddr, u32),
}

/// The next host on the way to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hop {
    address: IpAddr,
    interface: u32,
}

/// Waits until what was sent to a target has left this host.
///
/// Where the kernel can't be asked, it has left as far as can be told.
#[must_use]
pub fn wait_until_left(target: Target, source: Option<IpAddr>) -> Sent {
    let Ok(Some(hop)) = next_hop(target, source) else { return Sent::Left };
    let end = Instant::now() + LIMIT;
    loop {
        match state(hop) {
            Ok(Some(NeighbourState::Failed)) => break,
            Ok(Some(NeighbourState::Incomplete)) if Instant::now() >= end => break,
            Ok(Some(NeighbourState::Incomplete)) => std::thread::sleep(POLL),
            Ok(_) | Err(_) => return Sent::Left,
        }
    }
    Sent::NobodyThere(hop.address, hop.interface)
}

/// Returns the next host on the way; `None` where there is none, as on the loopback interface.
fn next_hop(target: Target, source: Option<IpAddr>) -> io::Result<Option<Hop>> {
    let address = target.address();
    let mut message = RouteMessage::default();
    message.header.address_family = family(address);
    message.header.destination_prefix_length = if address.is_ipv4() { 32 } else { 128 };
    message.attributes.push(RouteAttribute::Destination(route_address(address)));
    if target.scope() != 0 {
        message.attributes.push(RouteAttribute::Oif(target.scope()));
    }
    if let Some(source) = source {
        message.header.source_prefix_length = if source.is_ipv4() { 32 } else { 128 };
        message.attributes.push(RouteAttribute::Source(route_address(source)));
    }
    let RouteNetlinkMessage::NewRoute(route) = ask(RouteNetlinkMessage::GetRoute(message))? else {
        return Ok(None);
    };
    let gateway = route.attributes.iter().find_map(gateway);
    let interface = route.attributes.iter().find_map(|attribute| {
        if let RouteAttribute::Oif(index) = attribute { Some(*index) } else { None }
    });
    let address = gateway.unwrap_or(address);
    Ok(interface.map(|interface| Hop { address, interface }))
}

/// Returns the router that a route leads over, of whichever family.
fn gateway(attribute: &RouteAttribute) -> Option<IpAddr> {
    if let RouteAttribute::Gateway(RouteAddress::Inet(router))
    | RouteAttribute::Via(RouteVia::Inet(router)) = attribute
    {
        return Some(IpAddr::V4(*router));
    }
    if let RouteAttribute::Gateway(RouteAddress::Inet6(router))
    | RouteAttribute::Via(RouteVia::Inet6(router)) = attribute
    {
        return Some(IpAddr::V6(*router));
    }
    None
}

/// Returns what the kernel knows of a neighbour; `None` where it doesn't know it.
fn state(hop: Hop) -> io::Result<Option<NeighbourState>> {
    let mut message = NeighbourMessage::default();
    message.header.family = family(hop.address);
    message.header.ifindex = hop.interface;
    message.attributes.push(NeighbourAttribute::Destination(hop.address.into()));
    let answer = ask(RouteNetlinkMessage::GetNeighbour(message))?;
    let RouteNetlinkMessage::NewNeighbour(neighbour) = answer else { return Ok(None) };
    Ok(Some(neighbour.header.state))
}

/// Asks the kernel for one thing, which it answers at once.
fn ask(question: RouteNetlinkMessage) -> io::Result<RouteNetlinkMessage> {
    let mut request = NetlinkMessage::from(question);
    request.header.flags = NLM_F_REQUEST;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    let mut buffer = Vec::with_capacity(ANSWER);
    socket.recv(&mut buffer, 0)?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&buffer);
    match answer.map_err(io::Error::other)?.payload {
        NetlinkPayload::InnerMessage(message) => Ok(message),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        NetlinkPayload::Done(_) | NetlinkPayload::Noop | NetlinkPayload::Overrun(_) | _ => {
            Err(io::Error::other("the kernel gives no answer"))
        }
    }
}

const fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

const fn route_address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}
