//! Packets as they are wanted, put on the client's end of the cable.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use etherparse::{PacketBuilder, TcpHeader};
use pcap::{Active, Capture};

use crate::lab::{CLIENT_MAC, SERVER_MAC};
use crate::namespace::Namespace;

/// A knock port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// A SYN to this port.
    Tcp(u16),
    /// A datagram to this port.
    Udp(u16),
}

/// The bit of a SYN among the TCP flags.
pub const SYN: u8 = 0x02;

/// A packet to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// From whom it claims to be.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// To which port, and how.
    pub port: Port,
    /// From which port.
    pub source_port: u16,
    /// The sequence number, where it is TCP.
    pub sequence_number: u32,
    /// The flags, where it is TCP, as in the header's byte.
    pub flags: u8,
}

impl Packet {
    /// Returns the Ethernet frame from the client to the server.
    ///
    /// # Errors
    ///
    /// Where the addresses are of different families.
    pub fn frame(&self) -> Result<Vec<u8>> {
        let builder = PacketBuilder::ethernet2(CLIENT_MAC, SERVER_MAC);
        let builder = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                builder.ipv4(source.octets(), destination.octets(), 57)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                builder.ipv6(source.octets(), destination.octets(), 57)
            }
            (source, destination) => bail!("no packet goes from {source} to {destination}"),
        };
        let mut frame = Vec::with_capacity(64);
        match self.port {
            Port::Tcp(port) => {
                let mut header =
                    TcpHeader::new(self.source_port, port, self.sequence_number, 64240);
                let has = |bit| self.flags & bit != 0;
                (header.fin, header.syn, header.rst) = (has(0x01), has(SYN), has(0x04));
                (header.psh, header.ack, header.urg) = (has(0x08), has(0x10), has(0x20));
                builder.tcp_header(header).write(&mut frame, &[])
            }
            Port::Udp(port) => builder.udp(self.source_port, port).write(&mut frame, &[]),
        }
        .context("a short packet can be written")?;
        Ok(frame)
    }
}

/// The client's end of the cable.
pub struct Wire {
    capture: Capture<Active>,
    /// Makes every packet that nobody asked to be a repetition a new one.
    count: u16,
}

impl Wire {
    /// Opens `eth0` of a namespace to send.
    ///
    /// # Errors
    ///
    /// Where libpcap may not.
    pub fn new(namespace: &Namespace) -> Result<Self> {
        let capture = namespace.enter(|| {
            let mut capture = Capture::from_device("eth0")
                .context("there is no eth0")?
                .snaplen(64)
                .open()
                .context("cannot open eth0")?;
            // It hears nothing: what arrives would only fill its buffer.
            capture.filter("less 1", true).context("cannot filter eth0")?;
            Ok(capture)
        })?;
        Ok(Self { capture, count: 0 })
    }

    /// Sends a frame as it is.
    ///
    /// # Errors
    ///
    /// Where the kernel does not take it.
    pub fn send_frame(&mut self, frame: &[u8]) -> Result<()> {
        self.capture.sendpacket(frame).context("cannot send a frame")
    }

    /// Sends a knock: a packet unlike all before it.
    ///
    /// # Errors
    ///
    /// As [`Self::send_frame`].
    pub fn knock(&mut self, source: IpAddr, destination: IpAddr, port: Port) -> Result<()> {
        let packet = self.fresh(source, destination, port);
        self.send_frame(&packet.frame()?)
    }

    /// Returns a packet unlike all before it.
    pub fn fresh(&mut self, source: IpAddr, destination: IpAddr, port: Port) -> Packet {
        self.count = self.count.wrapping_add(1);
        Packet {
            source,
            destination,
            port,
            source_port: 32_768 + self.count % 28_000,
            sequence_number: u32::from(self.count).wrapping_mul(2_654_435_761),
            flags: SYN,
        }
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("count", &self.count).finish_non_exhaustive()
    }
}
