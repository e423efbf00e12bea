//! Knocks as packets: an initial SYN or an empty datagram each, by ordinary sockets.

use std::io;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use knock_engine::config::Knock;
use knock_engine::packet::Protocol;
use knock_frontend::notice::clause;
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use crate::failure::{Failure, Status};
use crate::neighbour::{Sent, wait_until_left};
use crate::target::Target;

/// How to knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// The address of this host to send from (`--source`).
    pub source: Option<IpAddr>,
    /// How long to wait behind each knock, the last one too (`--delay`).
    pub delay: Duration,
}

/// Sends every knock to every target: the first knock to all of them, a pause, the second one.
///
/// `before` is called before each packet. A target to which a knock can't be sent gets no more of
/// them, since a sequence that lacks a knock opens nothing and may count as a failure there.
///
/// # Errors
///
/// Something could not be sent, to whichever target; the others have got all knocks.
pub fn knock(
    targets: &[Target],
    knocks: &[Knock],
    manner: Manner,
    mut before: impl FnMut(Target, Knock),
) -> Result<(), Failure> {
    let mut errors = Vec::new();
    let mut left = targets.to_vec();
    for (index, &knock) in knocks.iter().enumerate() {
        left.retain(|&target| {
            before(target, knock);
            let error = send(target, knock, manner.source).err().map(|error| {
                let missing = knocks.len() - index - 1;
                let rest = match missing {
                    0 => String::new(),
                    1 => " (nor was the knock behind it)".to_owned(),
                    _ => format!(" (nor were the {missing} knocks behind it)"),
                };
                let at = target.port(knock.port.get());
                error.context(format!("could not knock at {at} by {}{rest}", knock.protocol))
            });
            let is_sent = error.is_none();
            errors.extend(error);
            is_sent
        });
        if left.is_empty() {
            break;
        }
        pause(Instant::now() + manner.delay);
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure { status: Status::NotSent, errors }) }
}

fn pause(end: Instant) {
    thread::sleep(end.saturating_duration_since(Instant::now()));
}

/// Sends one knock on a socket of its own, and sees to it that it leaves this host before the
/// socket closes. What answers, or doesn't, is nobody's business.
///
/// # Errors
///
/// The kernel does not send it.
pub fn send(target: Target, knock: Knock, source: Option<IpAddr>) -> anyhow::Result<()> {
    let at = target.port(knock.port.get());
    let kind = match knock.protocol {
        Protocol::Tcp => Type::STREAM,
        Protocol::Udp => Type::DGRAM,
    };
    let socket = Socket::new(Domain::for_address(at), kind.nonblocking().cloexec(), None);
    let socket = socket.context("cannot make a socket")?;
    if let Some(source) = source {
        bind(&socket, target, source)?;
    }
    match (socket.connect(&at.into()), knock.protocol) {
        (Err(error), Protocol::Tcp) if is_under_way(&error) => {}
        (outcome, _) => outcome.map_err(told)?,
    }
    if knock.protocol == Protocol::Udp {
        socket.send(&[]).map_err(told)?;
    }
    match wait_until_left(target, source) {
        Sent::Left => Ok(()),
        Sent::NobodyThere(address, interface) => {
            let name = rustix::net::netdevice::index_to_name(&socket, interface);
            let name = name.unwrap_or_else(|_| format!("number {interface}"));
            Err(if address == target.address() {
                anyhow!("there is no host of this address on the interface {name}")
            } else {
                anyhow!("the router {address} does not answer on the interface {name}")
            })
        }
    }
}

/// Makes a socket send from an address of this host.
///
/// # Errors
///
/// The host has no such address.
pub fn bind(socket: &Socket, target: Target, source: IpAddr) -> anyhow::Result<()> {
    bound(source, socket.bind(&target.source(source).into()))
}

/// Adds to an error of binding to an address of this host what it means.
///
/// # Errors
///
/// The one that there was.
pub fn bound<T>(source: IpAddr, outcome: io::Result<T>) -> anyhow::Result<T> {
    outcome.map_err(|error| {
        if error.kind() == io::ErrorKind::AddrNotAvailable {
            anyhow!("--source {source}: this host has no such address (ip address shows them)")
        } else {
            anyhow::Error::new(error).context(format!("--source {source}"))
        }
    })
}

/// Tells whether a connection attempt began, whatever has become of it: the SYN was sent.
fn is_under_way(error: &io::Error) -> bool {
    let under_way = [Errno::INPROGRESS, Errno::CONNREFUSED, Errno::CONNRESET];
    error
        .raw_os_error()
        .is_some_and(|number| under_way.into_iter().any(|known| known.raw_os_error() == number))
}

/// Adds to an error of the kernel what it means here.
fn told(error: io::Error) -> anyhow::Error {
    let hints = [
        (io::ErrorKind::NetworkUnreachable, "no route of this host leads there"),
        (io::ErrorKind::HostUnreachable, "a route of this host says so"),
        (io::ErrorKind::PermissionDenied, "a firewall or a route of this host forbids it"),
    ];
    match hints.iter().find(|(kind, _)| *kind == error.kind()) {
        Some((_, hint)) => anyhow!("{}: {hint}", clause(&error)),
        None => error.into(),
    }
}
