//! From a host's name to the one address, or one of each family, that every knock goes to.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use anyhow::{Context as _, anyhow};
use dns_lookup::{AddrFamily, AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};

use crate::failure::{Failure, Status};

/// Which addresses of a host to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Families {
    /// The first one, whichever that is: the system knows which it can reach.
    #[default]
    Any,
    /// The first IPv4 address (`-4`).
    V4,
    /// The first IPv6 address (`-6`).
    V6,
    /// The first one of each (`--both`).
    Both,
}

/// An address to send to, without a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    address: IpAddr,
    /// The interface of a link-local IPv6 address, else 0.
    scope: u32,
}

impl Target {
    /// Returns the address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// Returns the number of the interface that a link-local address belongs to, else 0.
    #[must_use]
    pub const fn scope(self) -> u32 {
        self.scope
    }

    /// Returns the address with a port.
    #[must_use]
    pub const fn port(self, port: u16) -> SocketAddr {
        self.with_port(self.address, port)
    }

    /// Returns where to bind a socket that sends to this target from an address of this host.
    #[must_use]
    pub const fn source(self, source: IpAddr) -> SocketAddr {
        self.with_port(source, 0)
    }

    const fn with_port(self, address: IpAddr, port: u16) -> SocketAddr {
        match address {
            IpAddr::V4(address) => SocketAddr::V4(SocketAddrV4::new(address, port)),
            IpAddr::V6(address) => {
                let scope = if is_link_local(address) { self.scope } else { 0 };
                SocketAddr::V6(SocketAddrV6::new(address, port, 0, scope))
            }
        }
    }
}

const fn is_link_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        let scope = match address {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(address) => address.scope_id(),
        };
        Self { address: address.ip(), scope }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// Looks a host up, once, and returns its first address, with [`Families::Both`] the first of each
/// family.
///
/// # Errors
///
/// There is none, or none of a family that is wanted.
pub fn resolve(host: &str, families: Families) -> Result<Vec<Target>, Failure> {
    let found = look_up(host, families).map_err(|error| Failure::new(Status::NotFound, error))?;
    choose(host, &found, families)
}

/// Chooses among the addresses of a host.
fn choose(host: &str, found: &[Target], families: Families) -> Result<Vec<Target>, Failure> {
    let first = |is_wanted: fn(&IpAddr) -> bool| {
        found.iter().copied().find(|target| is_wanted(&target.address))
    };
    let chosen = match families {
        Families::Any => found.first().copied().into_iter().collect(),
        Families::V4 => first(IpAddr::is_ipv4).into_iter().collect(),
        Families::V6 => first(IpAddr::is_ipv6).into_iter().collect(),
        Families::Both => match (first(IpAddr::is_ipv4), first(IpAddr::is_ipv6)) {
            (Some(v4), Some(v6)) => vec![v4, v6],
            _ => Vec::new(),
        },
    };
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let Some(other) = found.first() else {
        return Err(Failure::new(Status::NotFound, anyhow!("{host} has no address")));
    };
    let missing = if other.address.is_ipv4() { "IPv6" } else { "IPv4" };
    let asked = match families {
        Families::Both => "--both asks for one",
        Families::V4 => "-4 or --source asks for one",
        Families::Any | Families::V6 => "-6 or --source asks for one",
    };
    // A number that is written out is the command line's fault, and no name's.
    Err(if host.parse::<IpAddr>().is_ok() {
        let its = if other.address.is_ipv4() { "IPv4" } else { "IPv6" };
        Failure::usage(format!("{host} is an {its} address and no {missing} address: {asked}"))
    } else {
        let error = anyhow!("{host} has no {missing} address, only {other}: {asked}");
        Failure::new(Status::NotFound, error)
    })
}

/// Asks the system for all addresses of a host, in the order in which to try them (RFC 6724).
fn look_up(host: &str, families: Families) -> anyhow::Result<Vec<Target>> {
    let is_number = host.parse::<IpAddr>().is_ok();
    let family = match families {
        Families::V4 if !is_number => AddrFamily::Inet.into(),
        Families::V6 if !is_number => AddrFamily::Inet6.into(),
        Families::V4 | Families::V6 | Families::Any | Families::Both => 0,
    };
    let socktype = SockType::DGram.into();
    let hints = AddrInfoHints { address: family, socktype, ..AddrInfoHints::default() };
    let found = match getaddrinfo(Some(host), None, Some(hints)) {
        Ok(found) => found,
        // There may be addresses of the other family, which the message then has.
        Err(error) if family != 0 && is_no_address(error.kind()) => {
            return look_up(host, Families::Any);
        }
        Err(error) => {
            let why = if matches!(error.kind(), LookupErrorKind::Again) {
                "the name server does not answer"
            } else if is_no_address(error.kind()) {
                "there is no such name"
            } else {
                return Err(io::Error::from(error)).context(cannot_find(host));
            };
            return Err(anyhow!("{}: {why}", cannot_find(host)));
        }
    };
    let targets = found.map(|found| found.map(|found| Target::from(found.sockaddr)));
    targets.collect::<Result<_, _>>().with_context(|| cannot_find(host))
}

fn cannot_find(host: &str) -> String {
    format!("cannot find the host {host:?}")
}

const fn is_no_address(kind: LookupErrorKind) -> bool {
    matches!(kind, LookupErrorKind::NoName | LookupErrorKind::NoData | LookupErrorKind::Family)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(addresses: &[&str]) -> Vec<Target> {
        let target = |address: &&str| Target { address: address.parse().unwrap(), scope: 0 };
        addresses.iter().map(target).collect()
    }

    fn chosen(host: &str, addresses: &[&str], families: Families) -> String {
        match choose(host, &targets(addresses), families) {
            Ok(chosen) => chosen.iter().map(Target::to_string).collect::<Vec<_>>().join(" "),
            Err(failure) => format!("{:?}: {}", failure.status, failure.errors[0]),
        }
    }

    #[test]
    fn one_address_is_chosen_or_one_of_each_family() {
        let all = ["2001:db8::5", "192.0.2.5", "192.0.2.6", "2001:db8::6"];
        let choose = |families| chosen("example.com", &all, families);
        assert_eq!(choose(Families::Any), "2001:db8::5");
        assert_eq!(choose(Families::V4), "192.0.2.5");
        assert_eq!(choose(Families::V6), "2001:db8::5");
        assert_eq!(choose(Families::Both), "192.0.2.5 2001:db8::5");
    }

    #[test]
    fn what_is_missing_is_told_with_what_is_there() {
        let told = [
            chosen("example.com", &["192.0.2.5"], Families::V6),
            chosen("example.com", &["2001:db8::5"], Families::V4),
            chosen("example.com", &["192.0.2.5"], Families::Both),
            chosen("example.com", &[], Families::Any),
            chosen("2001:db8::5", &["2001:db8::5"], Families::V4),
            chosen("192.0.2.5", &["192.0.2.5"], Families::Both),
        ];
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn numbers_and_local_names_are_found_without_a_name_server() {
        let found = |host| look_up(host, Families::Any).unwrap();
        assert_eq!(found("192.0.2.5"), targets(&["192.0.2.5"]));
        assert_eq!(found("2001:db8::5"), targets(&["2001:db8::5"]));
        let scoped = resolve("fe80::1%lo", Families::Any).unwrap()[0];
        assert_eq!(scoped.port(7).to_string(), "[fe80::1%1]:7");
    }
}
