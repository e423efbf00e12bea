//! From traces to the frames that are worth a look.

use std::fs::File;

use anyhow::Context as _;
use knock_engine::packet::{Packet, TcpFlags};
use knock_engine::time::Timestamp;
use knock_engine::wire::{self, LinkType};
use knock_frontend::recording::Note;

use super::capture::Picture;
use super::net::Net;
use crate::run;
use crate::run::frames::Filter as _;
use crate::run::link::LinkTypes;
use crate::trace::{Frame, Sieve, Traces};

/// Reads frames up to the next that could concern a door.
pub(super) struct Sieving {
    /// The traces' names for messages.
    names: Vec<String>,
    links: LinkTypes,
    packets: u64,
    candidate: Option<Candidate>,
    /// The bytes of the last candidate, kept for their allocation.
    bytes: Vec<u8>,
}

/// Where reading stopped.
pub(super) enum Found {
    /// At a [candidate](Sieving::candidate).
    Candidate,
    /// At a note of a recording.
    Note(Note),
    /// At nothing: it is time to show how far the work is.
    Nothing,
    /// Behind the last frame.
    End,
}

/// What is kept of a frame.
#[derive(Clone, Copy)]
struct Candidate {
    packet: Packet,
    at: Timestamp,
    link: LinkType,
    original: u32,
}

/// A packet that could concern a door, and its frame.
pub(super) struct Seen<'a> {
    pub(super) packet: Packet,
    picture: Picture<'a>,
}

impl<'a> Seen<'a> {
    pub(super) const fn picture(&self) -> Picture<'a> {
        self.picture
    }
}

impl Sieving {
    pub(super) fn new(traces: &Traces<File>) -> Self {
        Self {
            names: run::names(traces),
            links: LinkTypes::default(),
            packets: 0,
            candidate: None,
            bytes: Vec::new(),
        }
    }

    /// Returns how many packets there were so far.
    pub(super) const fn packets(&self) -> u64 {
        self.packets
    }

    /// Reads on.
    ///
    /// # Errors
    ///
    /// A trace can't be read on, or its link type is not known.
    pub(super) fn next(&mut self, traces: &mut Traces<File>, net: &Net) -> anyhow::Result<Found> {
        self.candidate = None;
        let Self { links, packets, candidate, bytes, .. } = self;
        let Some(frame) = traces.find(&mut CatchSieve { net, links, packets, candidate, bytes })?
        else {
            return Ok(Found::End);
        };
        if frame.is_note() {
            let read = Note::from_block(frame.captured).transpose();
            let name = || self.names.get(frame.trace).cloned().unwrap_or_default();
            return Ok(read.with_context(name)?.map_or(Found::Nothing, Found::Note));
        }
        self.links.of(&frame, &self.names)?;
        Ok(if self.candidate.is_some() { Found::Candidate } else { Found::Nothing })
    }

    /// Returns the candidate at which reading stopped.
    pub(super) fn candidate(&self) -> Option<Seen<'_>> {
        let Candidate { packet, at, link, original } = self.candidate?;
        Some(Seen { packet, picture: Picture { at, link, bytes: &self.bytes, original } })
    }
}

/// The loop over a capture's background.
struct CatchSieve<'a> {
    net: &'a Net,
    links: &'a mut LinkTypes,
    packets: &'a mut u64,
    candidate: &'a mut Option<Candidate>,
    bytes: &'a mut Vec<u8>,
}

impl CatchSieve<'_> {
    /// How many frames are read between two looks up.
    const STRETCH: u64 = 65_536;

    /// Keeps a frame if it could concern a door.
    #[inline(never)]
    fn take(&mut self, link: LinkType, frame: &Frame<'_>) {
        let Ok(segment) = wire::decode(link, frame.captured) else { return };
        let flags = segment.tcp_flags().unwrap_or(TcpFlags::NONE);
        if self.net.admits(segment.protocol(), segment.destination_port(), flags) {
            self.bytes.clear();
            self.bytes.extend_from_slice(frame.captured);
            let (packet, at, original) = (segment.packet(), frame.at, frame.original);
            *self.candidate = Some(Candidate { packet, at, link, original });
        }
    }
}

impl Sieve for CatchSieve<'_> {
    #[inline(always)]
    fn stops_at(&mut self, frame: &Frame<'_>) -> bool {
        let Some(link) = self.links.known(frame).or_else(|| self.links.learn(frame)) else {
            return true;
        };
        *self.packets += 1;
        let may_matter = wire::glance(link, frame.captured).is_none_or(|glance| {
            self.net.admits(glance.protocol, glance.destination_port, glance.flags)
        });
        if may_matter {
            self.take(link, frame);
        }
        self.candidate.is_some() || self.packets.is_multiple_of(Self::STRETCH)
    }
}
