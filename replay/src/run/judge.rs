//! From frames to outputs: the loop of a run.

use std::fs::File;

use knock_engine::config::{Config, Sequences};
use knock_engine::local::LocalAddresses;
use knock_engine::packet::{Packet, TcpFlags};
use knock_engine::time::Timestamp;
use knock_engine::wire::{self, LinkType, Segment, Undecoded};
use knock_engine::{Engine, HashKey};

use super::link::LinkTypes;
use super::progress::Progress;
use super::{Judge, OutputError};
use crate::report::{Doors, LocalOrigin, Origin, Report, Tally, Totals};
use crate::trace::{Format, Frame, Sieve, Traces};

/// An engine at work, with what it tells and what is counted.
pub(super) struct Session {
    engine: Engine,
    doors: Doors,
    /// The traces' names for messages.
    pub(super) names: Vec<String>,
    totals: Totals,
    report: Box<dyn Report>,
    /// Whether every line must appear at once.
    pub(super) live: bool,
    /// How many recorded local addresses the engine knows.
    recorded: usize,
    links: LinkTypes,
    /// Frames that could not be decoded, by cause.
    skipped: [u64; Undecoded::ALL.len()],
    /// The candidates that were read but not judged yet.
    batch: Vec<Candidate>,
}

/// A packet that some door may care for.
struct Candidate {
    packet: Packet,
    at: Timestamp,
    origin: Origin,
}

impl Session {
    /// How many candidates are read before they are judged: enough for the processor to fetch
    /// what the engine knows of them all at once, few enough to stay in its fastest cache.
    const BATCH: usize = 32;
    /// The key of the engine's tables. No output depends on it (S15).
    const KEY: HashKey = HashKey([0x736573616d65, 0x6b6e6f636b]);

    pub(super) fn new(
        config: Config,
        local: LocalAddresses,
        totals: Totals,
        report: Box<dyn Report>,
    ) -> Self {
        let doors = Doors::new(&config.doors);
        let engine = Engine::new(config, local, Self::KEY);
        Self {
            engine,
            doors,
            names: Vec::new(),
            totals,
            report,
            live: false,
            recorded: 0,
            links: LinkTypes::default(),
            skipped: [0; _],
            batch: Vec::with_capacity(Self::BATCH),
        }
    }

    /// Returns how many candidates may be read before they are judged: only one of what comes live,
    /// and only one where judging it could make a candidate of the next packet, because it uses up
    /// a one-time sequence, or where a trace may tell a local address between the two.
    fn batch_size(&self, traces: &Traces<File>) -> usize {
        let mut doors = self.doors.all().iter();
        let is_lasting = doors.all(|door| matches!(door.sequences, Sequences::Fixed(_)));
        let is_pcap = traces.readers().iter().all(|its| its.format() == Some(Format::Pcap));
        if is_lasting && is_pcap && !self.live { Self::BATCH } else { 1 }
    }

    /// Tells the engine of local addresses that a pcapng has told since the last packet (S4).
    fn take_recorded_addresses(&mut self, traces: &Traces<File>) {
        let recorded = traces.local_addresses();
        if recorded.len() == self.recorded || self.totals.local == LocalOrigin::Given {
            return;
        }
        self.recorded = recorded.len();
        self.totals.local = LocalOrigin::Recorded;
        let local = LocalAddresses::Known(recorded.to_vec());
        self.report.local_addresses(&local);
        self.engine.handle_local_addresses(local);
    }

    /// Judges the candidates that were read.
    fn judge_batch(&mut self) -> std::io::Result<()> {
        let mut batch = std::mem::take(&mut self.batch);
        self.engine.anticipate(batch.iter().map(|candidate| candidate.packet.source));
        for Candidate { packet, at, origin } in batch.drain(..) {
            self.totals.judged += 1;
            self.engine.handle_packet(&packet, at);
            let told = self.drain(Some(origin))?;
            self.report.packet(&packet, at, origin)?;
            if told && self.live {
                self.report.flush()?;
            }
        }
        self.batch = batch;
        Ok(())
    }

    /// Passes the engine's outputs on; tells whether there were any.
    fn drain(&mut self, origin: Option<Origin>) -> std::io::Result<bool> {
        let mut told = false;
        while let Some(output) = self.engine.poll_output() {
            self.totals.count_output(&output, &self.doors);
            self.report.output(&output, origin)?;
            told = true;
        }
        Ok(told)
    }
}

impl Judge for Session {
    fn read(&mut self, traces: &mut Traces<File>, progress: &mut Progress) -> anyhow::Result<()> {
        let batch_size = self.batch_size(traces);
        loop {
            progress.update(traces);
            let Self { engine, links, totals, skipped, batch, .. } = self;
            let tally = Tally::default();
            let mut sieve = CandidateSieve { engine, links, skipped, batch, batch_size, tally };
            let found = traces.find(&mut sieve);
            totals.add(&sieve.tally);
            let goes_on = found.map_err(anyhow::Error::from).and_then(|frame| match frame {
                Some(frame) => self.links.of(&frame, &self.names).map(|_| true),
                None => Ok(false),
            });
            if !self.batch.is_empty() {
                self.take_recorded_addresses(traces);
                self.judge_batch().map_err(OutputError)?;
            }
            if !goes_on? {
                return Ok(());
            }
        }
    }

    fn totals(&mut self) -> &mut Totals {
        &mut self.totals
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        while let Some(deadline) = self.engine.poll_timeout() {
            self.engine.handle_timeout(deadline.at);
            self.drain(None)?;
        }
        for (cause, count) in Undecoded::ALL.into_iter().zip(self.skipped) {
            self.totals.count_skipped(cause.name(), count);
        }
        self.report.finish(&self.totals)?;
        Ok(())
    }
}

/// What a frame has to pass before it is looked at twice: the loop over a capture's background.
struct CandidateSieve<'a> {
    engine: &'a Engine,
    links: &'a mut LinkTypes,
    skipped: &'a mut [u64; Undecoded::ALL.len()],
    batch: &'a mut Vec<Candidate>,
    batch_size: usize,
    tally: Tally,
}

impl Sieve for CandidateSieve<'_> {
    /// Counts a frame, and takes it into the batch if some door may care for it. Tells whether to
    /// stop there: the batch is full, its link type is not known, or it is time to show how far
    /// the work is.
    #[inline(always)]
    fn stops_at(&mut self, frame: &Frame<'_>) -> bool {
        self.tally.count(frame.at, frame.captured.len());
        let Some(link) = self.links.known(frame).or_else(|| self.links.learn(frame)) else {
            return true;
        };
        let may_matter = wire::glance(link, frame.captured).is_none_or(|glance| {
            self.engine.is_candidate(glance.protocol, glance.destination_port, glance.flags)
        });
        if may_matter {
            self.take(link, *frame);
        } else {
            self.tally.irrelevant += 1;
        }
        self.batch.len() >= self.batch_size || self.tally.is_time_to_look_up()
    }
}

impl CandidateSieve<'_> {
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
        if is_candidate(self.engine, &segment) {
            let origin = Origin { trace: frame.trace, frame: frame.number };
            self.batch.push(Candidate { packet: segment.packet(), at: frame.at, origin });
        } else {
            self.tally.irrelevant += 1;
        }
    }
}

/// Tells whether some door may care for a packet, by its port and flags alone.
#[inline]
fn is_candidate(engine: &Engine, segment: &Segment<'_>) -> bool {
    let flags = segment.tcp_flags().unwrap_or(TcpFlags::NONE);
    engine.is_candidate(segment.protocol(), segment.destination_port(), flags)
}
