//! From traces to the packets that some door may care for: read and decoded once, whoever judges
//! them.

use std::fs::File;
use std::net::IpAddr;

use anyhow::Context as _;
use knock_engine::Engine;
use knock_engine::packet::{Packet, Protocol, TcpFlags};
use knock_engine::time::Timestamp;
use knock_engine::wire::{self, LinkType, Undecoded};
use knock_frontend::recording::Note;

use super::link::LinkTypes;
use crate::report::{Origin, Tally};
use crate::trace::{Format, Frame, Sieve, Traces};

/// A packet that some door may care for.
pub(crate) struct Candidate {
    pub(crate) packet: Packet,
    pub(crate) at: Timestamp,
    pub(crate) origin: Origin,
}

/// Whoever knows which packets could concern a door, by protocol, port and flags alone.
pub(crate) trait Filter {
    fn admits(&self, protocol: Protocol, destination_port: u16, flags: TcpFlags) -> bool;
}

impl Filter for Engine {
    #[inline]
    fn admits(&self, protocol: Protocol, destination_port: u16, flags: TcpFlags) -> bool {
        self.is_candidate(protocol, destination_port, flags)
    }
}

/// How many candidates may be read before they are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    /// One: it comes live, or judging it can make a candidate of the next packet.
    One,
    /// Enough for the processor to fetch what an engine knows of them all at once, few enough to
    /// stay in its fastest cache.
    Batch,
}

/// Reads frames up to the next candidates.
pub(crate) struct Frames {
    /// The traces' names for messages.
    names: Vec<String>,
    links: LinkTypes,
    /// Frames that could not be decoded, by cause.
    skipped: [u64; Undecoded::ALL.len()],
    batch: Vec<Candidate>,
    batch_size: usize,
    /// How many local addresses the traces have told so far.
    addresses: usize,
}

/// A stretch of the traces.
pub(crate) struct Stretch {
    /// What can be counted without a look at the doors.
    pub(crate) tally: Tally,
    /// All local addresses that the traces have told (S4), where they have told another one.
    pub(crate) addresses: Option<Vec<IpAddr>>,
    /// The note of a recording behind the candidates, and which trace has it.
    pub(crate) note: Option<(Note, usize)>,
    /// Whether there is more to read.
    pub(crate) goes_on: anyhow::Result<bool>,
}

impl Frames {
    const BATCH: usize = 32;

    /// Reads from traces. Where one of them may tell a local address between two packets, each
    /// candidate comes alone, whatever the haste.
    pub(crate) fn new(traces: &Traces<File>, haste: Haste) -> Self {
        let is_pcap = traces.readers().iter().all(|its| its.format() == Some(Format::Pcap));
        let batch_size = if is_pcap && haste == Haste::Batch { Self::BATCH } else { 1 };
        Self {
            names: super::names(traces),
            links: LinkTypes::default(),
            skipped: [0; _],
            batch: Vec::with_capacity(Self::BATCH),
            batch_size,
            addresses: 0,
        }
    }

    /// Returns a trace's name for messages.
    pub(crate) fn name(&self, trace: usize) -> &str {
        self.names.get(trace).map_or("trace", String::as_str)
    }

    /// Reads a stretch. Its candidates wait to be [taken](Self::batch), also where reading ends in
    /// an error behind them.
    pub(crate) fn read(&mut self, traces: &mut Traces<File>, filter: &impl Filter) -> Stretch {
        let Self { links, skipped, batch, batch_size, .. } = self;
        batch.clear();
        let tally = Tally::default();
        let mut sieve =
            CandidateSieve { filter, links, skipped, batch, batch_size: *batch_size, tally };
        let found = traces.find(&mut sieve);
        let tally = sieve.tally;
        let mut note = None;
        let goes_on = found.map_err(anyhow::Error::from).and_then(|frame| {
            let Some(frame) = frame else { return Ok(false) };
            if frame.is_note() {
                let read = Note::from_block(frame.captured).transpose();
                let read = read.with_context(|| self.name(frame.trace).to_owned())?;
                note = read.map(|note| (note, frame.trace));
            } else {
                self.links.of(&frame, &self.names)?;
            }
            Ok(true)
        });
        let told = traces.local_addresses();
        let addresses = (told.len() > self.addresses).then(|| told.to_vec());
        self.addresses = told.len();
        Stretch { tally, addresses, note, goes_on }
    }

    /// Returns the candidates of the stretch that was read last.
    pub(crate) fn batch(&self) -> &[Candidate] {
        &self.batch
    }

    /// Returns how many frames could not be decoded (S3), by cause.
    pub(crate) fn skipped(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Undecoded::ALL.into_iter().zip(self.skipped).map(|(cause, count)| (cause.name(), count))
    }
}

/// What a frame has to pass before it is looked at twice: the loop over a capture's background.
struct CandidateSieve<'a, F> {
    filter: &'a F,
    links: &'a mut LinkTypes,
    skipped: &'a mut [u64; Undecoded::ALL.len()],
    batch: &'a mut Vec<Candidate>,
    batch_size: usize,
    tally: Tally,
}

impl<F: Filter> Sieve for CandidateSieve<'_, F> {
    /// Counts a frame, and takes it into the batch if some door may care for it. Tells whether to
    /// stop there: the batch is full, its link type is not known, or it is time to show how far
    /// the work is.
    #[inline(always)]
    fn stops_at(&mut self, frame: &Frame<'_>) -> bool {
        let Some(link) = self.links.known(frame).or_else(|| self.links.learn(frame)) else {
            if !frame.is_note() {
                self.tally.count(frame.at, frame.captured.len());
            }
            return true;
        };
        self.tally.count(frame.at, frame.captured.len());
        let may_matter = wire::glance(link, frame.captured).is_none_or(|glance| {
            self.filter.admits(glance.protocol, glance.destination_port, glance.flags)
        });
        if may_matter {
            self.take(link, *frame);
        } else {
            self.tally.irrelevant += 1;
        }
        self.batch.len() >= self.batch_size || self.tally.is_time_to_look_up()
    }
}

impl<F: Filter> CandidateSieve<'_, F> {
    /// Takes a frame into the batch, or counts why not.
    #[inline(never)]
    fn take(&mut self, link: LinkType, frame: Frame<'_>) {
        let segment = match wire::decode(link, frame.captured) {
            Ok(segment) => segment,
            Err(cause) => {
                self.skipped[cause as usize] += 1;
                return;
            }
        };
        let flags = segment.tcp_flags().unwrap_or(TcpFlags::NONE);
        if self.filter.admits(segment.protocol(), segment.destination_port(), flags) {
            let origin = Origin { trace: frame.trace, frame: frame.number };
            self.batch.push(Candidate { packet: segment.packet(), at: frame.at, origin });
        } else {
            self.tally.irrelevant += 1;
        }
    }
}
