//! Whether somebody reaches a service.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::namespace::Namespace;

/// What came of a connection attempt.
#[derive(Debug)]
pub enum Reached {
    /// The service accepted it.
    Connected(TcpStream),
    /// The host or its firewall said no.
    Refused,
    /// Nobody answered in time.
    Silent,
}

impl Reached {
    /// Tells whether the service accepted.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        matches!(self, Self::Connected(_))
    }
}

/// Tries to connect from one of a namespace's addresses.
///
/// # Errors
///
/// Where the socket can't be made or the attempt fails in some other way than [`Reached`] knows.
pub fn tcp(
    from: &Namespace,
    source: IpAddr,
    service: SocketAddr,
    limit: Duration,
) -> Result<Reached> {
    from.enter(|| {
        let socket = Socket::new(Domain::for_address(service), Type::STREAM, Some(Protocol::TCP))
            .context("cannot make a socket")?;
        socket
            .bind(&SockAddr::from(SocketAddr::new(source, 0)))
            .with_context(|| format!("cannot use the address {source}"))?;
        match socket.connect_timeout(&SockAddr::from(service), limit) {
            Ok(()) => Ok(Reached::Connected(socket.into())),
            Err(error) if is_refusal(error.kind()) => Ok(Reached::Refused),
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
                Ok(Reached::Silent)
            }
            Err(error) => Err(error).with_context(|| format!("cannot connect to {service}")),
        }
    })
}

/// Tells whether this is what a reset or an ICMP message of a firewall makes of a connection.
const fn is_refusal(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::PermissionDenied
    )
}

/// Sends a line to an echo service and sees to it that it comes back.
///
/// # Errors
///
/// Where it does not within some seconds.
pub fn echo(stream: &mut TcpStream, text: &str) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(text.as_bytes()).context("cannot send to the echo service")?;
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).context("cannot hear from the echo service")?;
    ensure!(back == text.as_bytes(), "the echo service says {back:?}");
    Ok(())
}

/// Tells whether an answer to a datagram comes back in time.
///
/// # Errors
///
/// Where the socket can't be made.
pub fn udp(from: &Namespace, source: IpAddr, service: SocketAddr, limit: Duration) -> Result<bool> {
    from.enter(|| {
        let socket = UdpSocket::bind((source, 0)).context("cannot make a socket")?;
        socket.connect(service).with_context(|| format!("cannot address {service}"))?;
        socket.set_read_timeout(Some(limit))?;
        // A refusal of an earlier datagram may show here, too.
        if socket.send(b"hello").is_err() {
            return Ok(false);
        }
        let mut answer = [0; 16];
        Ok(socket.recv(&mut answer).is_ok_and(|length| &answer[..length] == b"hello"))
    })
}
