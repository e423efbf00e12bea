//! Services that hide behind a door: they send back what they hear.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::namespace::Namespace;

/// How soon a service notices that it shall end.
const PULSE: Duration = Duration::from_millis(50);

const ANY: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

/// An echo service; dropping it ends it.
#[derive(Debug)]
pub struct Service {
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Service {
    /// Serves TCP connections to this port, on all addresses of a namespace.
    ///
    /// # Errors
    ///
    /// Where the port is taken.
    pub fn tcp(namespace: &Namespace, port: u16) -> Result<Self> {
        let end = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for address in ANY {
            let listener = namespace.enter(|| listen(SocketAddr::new(address, port)))?;
            let end = Arc::clone(&end);
            threads.push(std::thread::spawn(move || serve_tcp(&listener, &end)));
        }
        Ok(Self { end, threads })
    }

    /// Answers datagrams to this port, on all addresses of a namespace.
    ///
    /// # Errors
    ///
    /// Where the port is taken.
    pub fn udp(namespace: &Namespace, port: u16) -> Result<Self> {
        let end = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for address in ANY {
            let socket = namespace.enter(|| bind(SocketAddr::new(address, port)))?;
            let end = Arc::clone(&end);
            threads.push(std::thread::spawn(move || serve_udp(&socket, &end)));
        }
        Ok(Self { end, threads })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Linux lets `accept` wait as long as a read may.
    socket.set_read_timeout(Some(PULSE))?;
    socket.bind(&SockAddr::from(address)).with_context(|| format!("cannot serve {address}"))?;
    socket.listen(256).with_context(|| format!("cannot serve {address}"))?;
    Ok(socket.into())
}

fn bind(address: SocketAddr) -> Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_read_timeout(Some(PULSE))?;
    socket.bind(&SockAddr::from(address)).with_context(|| format!("cannot serve {address}"))?;
    Ok(socket.into())
}

fn serve_tcp(listener: &TcpListener, end: &Arc<AtomicBool>) {
    while !end.load(Ordering::Relaxed) {
        if let Ok((stream, _)) = listener.accept() {
            let end = Arc::clone(end);
            std::thread::spawn(move || serve_connection(stream, &end));
        }
    }
}

fn serve_connection(mut stream: TcpStream, end: &AtomicBool) {
    let mut bytes = [0; 1024];
    if stream.set_read_timeout(Some(PULSE)).is_err() {
        return;
    }
    while !end.load(Ordering::Relaxed) {
        match stream.read(&mut bytes) {
            Ok(0) => return,
            Ok(length) if stream.write_all(&bytes[..length]).is_err() => return,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}

fn serve_udp(socket: &UdpSocket, end: &AtomicBool) {
    let mut bytes = [0; 1500];
    while !end.load(Ordering::Relaxed) {
        if let Ok((length, peer)) = socket.recv_from(&mut bytes) {
            // Whoever does not get the answer finds that the service can't be reached.
            let _ = socket.send_to(&bytes[..length], peer);
        }
    }
}
