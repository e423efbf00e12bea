//! Sends packets into a capture.

use std::io::{self, Write};
use std::net::IpAddr;

use knock_engine::packet::{Packet, TcpFlags, Transport};

use super::{LOCAL_V4, LOCAL_V6};
use crate::capture::CaptureWriter;
use crate::frame::FrameBuilder;
use crate::random::Random;

/// When every capture begins: 2023-11-14T22:13:20Z.
const START_US: u64 = 1_700_000_000_000_000;

/// A capture in the making, with its clock and its randomness.
pub(super) struct Traffic<W> {
    capture: CaptureWriter<W>,
    frames: FrameBuilder,
    keep: usize,
    now_us: u64,
    pub(super) random: Random,
}

impl<W: Write> Traffic<W> {
    pub(super) fn new(out: W, snap_length: u16, seed: u64) -> io::Result<Self> {
        Ok(Self {
            capture: CaptureWriter::new(out, snap_length)?,
            frames: FrameBuilder::new(seed),
            keep: usize::from(snap_length),
            now_us: START_US,
            random: Random::new(seed),
        })
    }

    /// Lets time pass.
    pub(super) const fn wait_us(&mut self, span_us: u64) {
        self.now_us += span_us;
    }

    /// Sets the time, counted from the start of the capture.
    pub(super) const fn set_us(&mut self, since_start_us: u64) {
        self.now_us = START_US + since_start_us;
    }

    /// Sends a packet to this host, as a frame of this length or what its headers need.
    pub(super) fn send(&mut self, packet: &Packet, length: u16) -> io::Result<()> {
        let (frame, length) = self.frames.build(packet, length, self.keep);
        self.capture.write(self.now_us, frame, length)
    }

    /// Sends an initial SYN from a fresh port with a fresh sequence number.
    pub(super) fn syn(&mut self, source: IpAddr, port: u16) -> io::Result<()> {
        let packet = Packet {
            source,
            destination: local(source),
            source_port: self.ephemeral_port(),
            destination_port: port,
            transport: Transport::Tcp { sequence_number: self.random.word(), flags: TcpFlags::SYN },
        };
        self.send(&packet, 0)
    }

    /// Draws a port from the range that Linux connects from.
    pub(super) fn ephemeral_port(&mut self) -> u16 {
        self.random.between(32_768, 60_999)
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.capture.finish().map(drop)
    }
}

/// Returns the address of this host that a source of this family sends to.
pub(super) const fn local(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => IpAddr::V4(LOCAL_V4),
        IpAddr::V6(_) => IpAddr::V6(LOCAL_V6),
    }
}
