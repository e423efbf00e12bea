//! What the host is like now: interfaces, addresses and the default route, followed by netlink.
//!
//! [`Host::open`] subscribes to changes first and asks for everything then, so nothing that
//! happens in between is missed. Later, [`Host::read_events`] follows the kernel's messages one by
//! one; where these overran the socket's buffer, everything is asked for again.

mod netlink;
mod network;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::DecodeError;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use thiserror::Error;

use crate::capture::IpVersions;
use netlink::{Question, Update};
use network::DefaultRoute;

pub use network::{Interface, LinkState, Network};

/// How large a datagram of netlink can be: the kernel makes none of more than 32 KiB by itself.
const DATAGRAM: usize = 256 * 1024;

/// How often a question is put again when the answer was not of one moment.
const PATIENCE: u32 = 16;

/// The groups of messages, by their names in the kernel's headers, where each begins with
/// `RTNLGRP_`.
mod group {
    pub(super) const LINK: u32 = 1;
    pub(super) const IPV4_IFADDR: u32 = 5;
    pub(super) const IPV4_ROUTE: u32 = 7;
    pub(super) const IPV6_IFADDR: u32 = 9;
    pub(super) const IPV6_ROUTE: u32 = 11;
}

/// Whether the default routes matter. On a router that knows every network of the world, each of
/// its many changes would wake the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultRoutes {
    /// They are followed.
    Follow,
    /// Nobody asks for them.
    Ignore,
}

/// The host's network, and the subscription that keeps it up to date.
#[derive(Debug)]
pub struct Host {
    events: Socket,
    versions: IpVersions,
    default_routes: DefaultRoutes,
    network: Network,
    /// Whether everything has to be asked for again: messages were lost.
    is_stale: bool,
    buffer: Vec<u8>,
}

/// What [`Host::read_events`] found changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Changes {
    /// An interface appeared, vanished, went up or down, or has another name.
    pub interfaces: bool,
    /// The host has an address more or less.
    pub addresses: bool,
    /// A default route changed.
    pub default_routes: bool,
}

/// Why the host's network could not be found out.
#[derive(Debug, Error)]
pub enum HostError {
    /// A system call failed.
    #[error("can't follow the interfaces and addresses of this host: netlink: {doing}: {source}")]
    Io {
        /// What could not be done.
        doing: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// The kernel answered what is no answer.
    #[error("can't follow the interfaces and addresses of this host: netlink: {0}")]
    Decode(#[from] DecodeError),
    /// Something changed each time while the kernel answered.
    #[error(
        "can't follow the interfaces and addresses of this host: they change faster than the \
         kernel can list them"
    )]
    Restless,
}

impl Host {
    /// Subscribes to the changes of this host's network, and finds out what it is like. With
    /// [`IpVersions::OnlyV4`] it has no address and no route of IPv6.
    ///
    /// # Errors
    ///
    /// See [`HostError`]; no privilege is needed.
    pub fn open(versions: IpVersions, default_routes: DefaultRoutes) -> Result<Self, HostError> {
        let mut events = connect("opening a socket")?;
        let mut groups = vec![group::LINK, group::IPV4_IFADDR];
        groups.extend((versions == IpVersions::Both).then_some(group::IPV6_IFADDR));
        if default_routes == DefaultRoutes::Follow {
            groups.push(group::IPV4_ROUTE);
            groups.extend((versions == IpVersions::Both).then_some(group::IPV6_ROUTE));
        }
        let subscribe = |events: &mut Socket| {
            events.set_non_blocking(true)?;
            groups.iter().try_for_each(|group| events.add_membership(*group))
        };
        subscribe(&mut events).map_err(during("subscribing to changes"))?;
        let (network, buffer) = (Network::default(), Vec::with_capacity(DATAGRAM));
        let mut host = Self { events, versions, default_routes, network, is_stale: false, buffer };
        host.network = host.ask_for_everything()?;
        Ok(host)
    }

    /// Returns what the network is like, as of the last [`read_events`](Self::read_events).
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// Takes in what has changed, without waiting, and tells what that was.
    ///
    /// # Errors
    ///
    /// Where everything had to be asked for again and that failed. The network is then as it was,
    /// and a later call asks again.
    pub fn read_events(&mut self) -> Result<Changes, HostError> {
        let before = self.network.clone();
        let are_routes_stale = self.follow_messages();
        if self.is_stale {
            // Half of what changed is worse than what was.
            self.network = before.clone();
            self.network = self.ask_for_everything()?;
            self.is_stale = false;
        } else if are_routes_stale && self.default_routes == DefaultRoutes::Follow {
            self.is_stale = true;
            let routes = self.ask_for_routes()?;
            self.network.set_default_routes(routes);
            self.is_stale = false;
        }
        Ok(self.network.changes_since(&before))
    }

    /// Takes the messages that are there, and tells whether the default routes may be others now.
    fn follow_messages(&mut self) -> bool {
        let mut are_routes_stale = false;
        loop {
            self.buffer.clear();
            match self.events.recv(&mut self.buffer, 0) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) if self.is_stale => break,
                // Messages were lost, because the socket's buffer was full.
                Err(_) => {
                    self.is_stale = true;
                    continue;
                }
            }
            let network = &mut self.network;
            let decoded = netlink::decode(&self.buffer, |update| {
                are_routes_stale |= apply(network, update);
            });
            self.is_stale |= decoded.is_err();
        }
        are_routes_stale
    }

    fn ask_for_everything(&self) -> Result<Network, HostError> {
        let mut network = Network::default();
        let v6 = (self.versions == IpVersions::Both).then_some(Question::AddressesV6);
        for question in [Question::Interfaces, Question::AddressesV4].into_iter().chain(v6) {
            for update in ask(question)? {
                apply(&mut network, update);
            }
        }
        if self.default_routes == DefaultRoutes::Follow {
            network.set_default_routes(self.ask_for_routes()?);
        }
        Ok(network)
    }

    fn ask_for_routes(&self) -> Result<Vec<DefaultRoute>, HostError> {
        let v6 = (self.versions == IpVersions::Both).then_some(Question::RoutesV6);
        let mut routes = Vec::new();
        for question in [Question::RoutesV4].into_iter().chain(v6) {
            for update in ask(question)? {
                if let Update::DefaultRoute(route) = update {
                    routes.push(route);
                }
            }
        }
        Ok(routes)
    }
}

impl AsFd for Host {
    /// Returns the descriptor that is readable when something has changed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl Changes {
    /// Tells whether anything changed.
    #[must_use]
    pub const fn any(self) -> bool {
        self.interfaces || self.addresses || self.default_routes
    }
}

/// Brings the network up to date, and tells whether its default routes may be others now: the
/// kernel does not say which routes an interface takes with it when it goes down.
fn apply(network: &mut Network, update: Update) -> bool {
    match update {
        Update::Interface(interface) => {
            let is_up = interface.state != LinkState::Down;
            network.set_interface(interface);
            return !is_up;
        }
        Update::InterfaceGone(index) => {
            network.remove_interface(index);
            return true;
        }
        Update::Address(index, address, length) => network.add_address(index, address, length),
        Update::AddressGone(index, address, length) => {
            network.remove_address(index, address, length);
            return true;
        }
        Update::DefaultRoute(_) | Update::DefaultRouteGone => return true,
        Update::Done | Update::Interrupted | Update::Refused(_) => {}
    }
    false
}

/// Asks the kernel on a socket of its own, so that the answer does not mix with events.
fn ask(question: Question) -> Result<Vec<Update>, HostError> {
    let request = question.bytes();
    for _ in 0..PATIENCE {
        let socket = connect("opening a socket")?;
        let kernel = SocketAddr::new(0, 0);
        socket.send_to(&request, &kernel, 0).map_err(during("asking"))?;
        let mut updates = Vec::new();
        let mut buffer = Vec::with_capacity(DATAGRAM);
        let is_of_one_moment = loop {
            buffer.clear();
            match socket.recv(&mut buffer, 0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                received => received.map_err(during("waiting for the answer"))?,
            };
            netlink::decode(&buffer, |update| updates.push(update))?;
            match updates.last() {
                Some(Update::Done) => break !updates.contains(&Update::Interrupted),
                Some(Update::Refused(number)) => {
                    let error = io::Error::from_raw_os_error(*number);
                    return Err(during("asking")(error));
                }
                _ => {}
            }
        };
        if is_of_one_moment {
            return Ok(updates);
        }
    }
    Err(HostError::Restless)
}

fn connect(doing: &'static str) -> Result<Socket, HostError> {
    let open = || {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        Ok(socket)
    };
    open().map_err(during(doing))
}

fn during(doing: &'static str) -> impl Fn(io::Error) -> HostError {
    move |source| HostError::Io { doing, source }
}
