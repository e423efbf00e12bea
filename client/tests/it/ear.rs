//! Hears every knock that arrives at an end of the cable.

use std::io::{ErrorKind, Read};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use knock_lab::namespace::Namespace;
use socket2::{Domain, Protocol, Socket, Type};

/// Every protocol, as a packet socket wants it.
const ALL: u16 = 3;
const PULSE: Duration = Duration::from_millis(20);

/// A knock that arrived: an initial SYN or a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) at: Instant,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// As a config has it: `7000:tcp`.
    pub(crate) knock: String,
}

/// Listens on all interfaces of a namespace until it is dropped.
pub(crate) struct Ear {
    heard: Arc<Mutex<Vec<Heard>>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ear {
    pub(crate) fn new(namespace: &Namespace) -> Result<Self> {
        let socket = namespace.enter(|| {
            let all = Protocol::from(i32::from(ALL.to_be()));
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(all));
            let socket = socket.context("cannot hear packets: it takes root in a namespace")?;
            socket.set_read_timeout(Some(PULSE))?;
            Ok(socket)
        })?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let end = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (heard, end) = (Arc::clone(&heard), Arc::clone(&end));
            move || listen(socket, &heard, &end)
        });
        Ok(Self { heard, end, thread: Some(thread) })
    }

    /// Returns what was heard so far.
    pub(crate) fn so_far(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns all that was heard, once everything that has arrived is read.
    pub(crate) fn all(mut self) -> Vec<Heard> {
        self.stop();
        self.so_far()
    }

    fn stop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.stop();
    }
}

fn listen(mut socket: Socket, heard: &Mutex<Vec<Heard>>, end: &AtomicBool) {
    let mut frame = [0; 2048];
    loop {
        let is_over = end.load(Ordering::Relaxed);
        match socket.read(&mut frame) {
            Ok(length) => {
                let new = decode(&frame[..length]);
                heard.lock().unwrap_or_else(PoisonError::into_inner).extend(new);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && is_over => return,
            Err(_) => {}
        }
    }
}

fn decode(frame: &[u8]) -> Option<Heard> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let (source, destination): (IpAddr, IpAddr) = match packet.net? {
        NetSlice::Ipv4(packet) => {
            let header = packet.header();
            (header.source_addr().into(), header.destination_addr().into())
        }
        NetSlice::Ipv6(packet) => {
            let header = packet.header();
            (header.source_addr().into(), header.destination_addr().into())
        }
        NetSlice::Arp(_) => return None,
    };
    let knock = match packet.transport? {
        TransportSlice::Tcp(segment) if segment.syn() && !segment.ack() => {
            format!("{}:tcp", segment.destination_port())
        }
        TransportSlice::Udp(datagram) if datagram.payload().is_empty() => {
            format!("{}:udp", datagram.destination_port())
        }
        TransportSlice::Tcp(_)
        | TransportSlice::Udp(_)
        | TransportSlice::Icmpv4(_)
        | TransportSlice::Icmpv6(_)
        | TransportSlice::Igmp(_) => return None,
    };
    Some(Heard { at: Instant::now(), source, destination, knock })
}

/// Returns the knocks in the order in which they came, for an assertion.
pub(crate) fn knocks(heard: &[Heard]) -> Vec<&str> {
    heard.iter().map(|heard| heard.knock.as_str()).collect()
}
