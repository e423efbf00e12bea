//! What would be sent, as a capture: a frame for each knock, as the wire would have it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use etherparse::{PacketBuilder, TcpHeader, TcpOptionElement};
use knock_engine::config::Knock;
use knock_engine::packet::Protocol;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapTsResolution, PcapWriter};
use pcap_file::{DataLink, Endianness};

use crate::send::Manner;
use crate::target::Target;

/// Hardware addresses that no device has: whoever administers a network gives them out.
const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const NEXT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// What Linux sends with.
const HOP_LIMIT: u8 = 64;
const WINDOW: u16 = 64_240;
/// The first of the ports that Linux sends from.
const FIRST_PORT: u16 = 32_768;

/// Writes what [`knock`](crate::send::knock) would send to a file, or with `-` to standard output.
/// Sends nothing.
///
/// # Errors
///
/// The file can't be written, or no route leads to a target.
pub fn write(
    path: &Path,
    targets: &[Target],
    knocks: &[Knock],
    manner: Manner,
) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let sources = targets.iter().map(|&target| source_for(target, manner.source));
    let sources = sources.collect::<anyhow::Result<Vec<_>>>()?;
    let way: Vec<_> = sources.into_iter().zip(targets.iter().copied()).collect();
    let out: Box<dyn Write> = if path.as_os_str() == "-" {
        Box::new(io::stdout().lock())
    } else {
        let file = File::create(path);
        Box::new(file.with_context(|| format!("{}: cannot write the capture", path.display()))?)
    };
    write_to(BufWriter::new(out), &way, knocks, manner.delay, now)
        .with_context(|| format!("{}: cannot write the capture", path.display()))
}

/// Returns the address that the system would send from.
fn source_for(target: Target, source: Option<IpAddr>) -> anyhow::Result<IpAddr> {
    if let Some(source) = source {
        return Ok(source);
    }
    let unspecified: SocketAddr =
        if target.address().is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    // To connect a socket of this kind sends nothing: the system only looks for a route.
    let look_up = || {
        let socket = UdpSocket::bind(unspecified)?;
        socket.connect(target.port(9))?;
        socket.local_addr()
    };
    let found: io::Result<SocketAddr> = look_up();
    let found = found.with_context(|| {
        format!("cannot tell which address would knock at {target} (--source ADDR names one)")
    })?;
    Ok(found.ip())
}

fn write_to(
    out: impl Write,
    way: &[(IpAddr, Target)],
    knocks: &[Knock],
    delay: Duration,
    start: Duration,
) -> anyhow::Result<()> {
    let header = PcapHeader {
        datalink: DataLink::ETHERNET,
        endianness: Endianness::Little,
        ts_resolution: PcapTsResolution::NanoSecond,
        ..PcapHeader::default()
    };
    let mut writer = PcapWriter::with_header(out, header)?;
    let (mut at, mut port) = (start, FIRST_PORT);
    for knock in knocks {
        for &(source, target) in way {
            let frame = frame(source, target.address(), *knock, port)?;
            let length = u32::try_from(frame.len()).context("a frame is short")?;
            writer.write_packet(&PcapPacket::new(at, length, &frame)?)?;
            // A packet that differs from the one before is no repetition of it (S8).
            port = port.wrapping_add(1).max(FIRST_PORT);
        }
        at += delay;
    }
    Ok(writer.flush()?)
}

fn frame(source: IpAddr, target: IpAddr, knock: Knock, port: u16) -> anyhow::Result<Vec<u8>> {
    let builder = PacketBuilder::ethernet2(OWN_MAC, NEXT_MAC);
    let builder = match (source, target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            builder.ipv4(source.octets(), target.octets(), HOP_LIMIT)
        }
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            builder.ipv6(source.octets(), target.octets(), HOP_LIMIT)
        }
        (source, target) => bail!("no packet goes from {source} to {target}"),
    };
    let mut frame = Vec::new();
    match knock.protocol {
        Protocol::Udp => builder.udp(port, knock.port.get()).write(&mut frame, &[])?,
        Protocol::Tcp => {
            let sequence_number = u32::from(port).wrapping_mul(2_654_435_761);
            let mut header = TcpHeader::new(port, knock.port.get(), sequence_number, WINDOW);
            header.syn = true;
            let most: u16 = if target.is_ipv4() { 1460 } else { 1440 };
            header.set_options(&[
                TcpOptionElement::MaximumSegmentSize(most),
                TcpOptionElement::SelectiveAcknowledgementPermitted,
                TcpOptionElement::Noop,
                TcpOptionElement::WindowScale(7),
            ])?;
            builder.tcp_header(header).write(&mut frame, &[])?;
        }
    }
    Ok(frame)
}
