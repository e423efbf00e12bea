//! Ports as people write them: `7000`, `7000:udp`, `ssh`.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use dns_lookup::{AddrFamily, AddrInfoHints, SockType, getaddrinfo};
use knock_engine::packet::Protocol;
use thiserror::Error;

/// A port as it was written, with the protocol if there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The port.
    pub port: NonZeroU16,
    /// The protocol behind the colon.
    pub protocol: Option<Protocol>,
}

/// Why a text is no port.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PortError {
    /// It is none at all.
    #[error("{0:?} is no port: a port is 1 to 65535, or the name of a service such as ssh")]
    NoPort(String),
    /// The number is not one of those that a packet can go to.
    #[error("port {0} is out of range: a port is 1 to 65535")]
    OutOfRange(String),
    /// What stands behind the colon.
    #[error("{written:?}: unknown protocol {protocol:?}: write {port}:tcp or {port}:udp")]
    Protocol {
        /// The whole.
        written: String,
        /// What stands before the colon.
        port: String,
        /// What stands behind it.
        protocol: String,
    },
    /// Something else stands between port and protocol.
    #[error("{written:?} is no port: a protocol stands behind a colon: {meant}")]
    Separator {
        /// The whole.
        written: String,
        /// What was meant.
        meant: String,
    },
    /// A list, as it stands in a config.
    #[error("{written:?} is a list: write blanks between ports: {meant}")]
    List {
        /// The whole.
        written: String,
        /// The same with blanks.
        meant: String,
    },
}

impl Written {
    /// Reads a port, with a protocol behind a colon or without.
    ///
    /// # Errors
    ///
    /// See [`PortError`].
    pub fn parse(text: &str) -> Result<Self, PortError> {
        let written = text.to_owned();
        if text.contains(',') {
            let ports: Vec<_> = text.split(',').map(str::trim).collect();
            return Err(PortError::List { written, meant: ports.join(" ").trim().to_owned() });
        }
        if let Some((port, protocol)) = text.split_once(['/', ';', '.'])
            && protocol_of(protocol).is_some()
        {
            let meant = format!("{port}:{}", protocol.to_ascii_lowercase());
            return Err(PortError::Separator { written, meant });
        }
        let Some((port, protocol)) = text.split_once(':') else {
            return Ok(Self { port: number(text, None)?, protocol: None });
        };
        let Some(known) = protocol_of(protocol) else {
            let (port, protocol) = (port.to_owned(), protocol.to_owned());
            return Err(PortError::Protocol { written, port, protocol });
        };
        Ok(Self { port: number(port, Some(known))?, protocol: Some(known) })
    }
}

/// Reads a port that can have no protocol: that of a TCP service.
///
/// # Errors
///
/// See [`PortError`].
pub fn parse_service(text: &str) -> Result<NonZeroU16, PortError> {
    number(text, Some(Protocol::Tcp))
}

fn protocol_of(text: &str) -> Option<Protocol> {
    let known = [Protocol::Tcp, Protocol::Udp];
    known.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(text))
}

fn number(text: &str, protocol: Option<Protocol>) -> Result<NonZeroU16, PortError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return service(text, protocol).ok_or_else(|| PortError::NoPort(text.to_owned()));
    }
    text.parse().map_err(|_| PortError::OutOfRange(text.to_owned()))
}

/// Asks the system for the port of a service.
fn service(name: &str, protocol: Option<Protocol>) -> Option<NonZeroU16> {
    let is_name = |letter: u8| letter.is_ascii_alphanumeric() || b"-_+.".contains(&letter);
    let has_letter = name.bytes().any(|letter| letter.is_ascii_alphabetic());
    if !has_letter || !name.bytes().all(is_name) {
        return None;
    }
    let kind = match protocol {
        Some(Protocol::Udp) => SockType::DGram,
        Some(Protocol::Tcp) | None => SockType::Stream,
    };
    let hints = AddrInfoHints {
        socktype: kind.into(),
        address: AddrFamily::Inet.into(),
        ..AddrInfoHints::default()
    };
    let host = IpAddr::from(Ipv4Addr::LOCALHOST).to_string();
    let found = getaddrinfo(Some(&host), Some(name), Some(hints)).ok()?;
    found.flatten().find_map(|found| NonZeroU16::new(found.sockaddr.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(u16, Option<Protocol>), PortError> {
        Written::parse(text).map(|written| (written.port.get(), written.protocol))
    }

    #[test]
    fn a_port_may_have_a_protocol() {
        assert_eq!(parse("7000"), Ok((7000, None)));
        assert_eq!(parse("1:tcp"), Ok((1, Some(Protocol::Tcp))));
        assert_eq!(parse("65535:UDP"), Ok((65_535, Some(Protocol::Udp))));
        assert_eq!(parse("007"), Ok((7, None)));
    }

    #[test]
    fn a_service_is_a_port_by_its_name() {
        let services = std::fs::read_to_string("/etc/services")
            .expect("/etc/services is there: it is in the package netbase");
        assert!(services.contains("\nssh"), "{services}");
        assert_eq!(parse("ssh"), Ok((22, None)));
        assert_eq!(parse("domain:udp"), Ok((53, Some(Protocol::Udp))));
        assert_eq!(parse_service("http").map(NonZeroU16::get), Ok(80));
    }

    #[test]
    fn what_is_no_port_says_so() {
        let wrong = [
            "",
            "x y",
            "no-such-service",
            "0",
            "65536",
            "-1",
            "99999999999",
            "7000:",
            "7000:sctp",
            ":udp",
            "7000:tcp:x",
            "7000/udp",
            "7000,8000:udp",
            "7000,",
            "+7",
            "0x10",
            "7000 ",
        ];
        let told = wrong.map(|text| match Written::parse(text) {
            Err(error) => error.to_string(),
            Ok(port) => panic!("{text:?}: {port:?}"),
        });
        insta::assert_snapshot!(told.join("\n"));
    }
}
