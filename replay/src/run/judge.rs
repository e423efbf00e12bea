//! From frames to outputs: the loop of a run.

use std::fs::File;
use std::net::IpAddr;

use anyhow::Context as _;
use knock_engine::config::{Config, Sequences};
use knock_engine::local::LocalAddresses;
use knock_engine::packet::{Packet, TcpFlags};
use knock_engine::time::Timestamp;
use knock_engine::wire::{self, LinkType, Segment, Undecoded};
use knock_engine::{Engine, HashKey};
use knock_frontend::format::Count;
use knock_frontend::recording::{Beginning, Note};

use super::link::LinkTypes;
use super::progress::Progress;
use super::recording::{self, Replay, Telling};
use super::{Judge, OutputError};
use crate::PROGRAM;
use crate::report::{Command, Doors, LocalOrigin, Origin, Report, Tally, Totals};
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
    /// `None` where the config was given: then a recording is a capture like others.
    replay: Option<Replay>,
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
        (config, doors): (Config, Doors),
        local: LocalAddresses,
        totals: Totals,
        report: Box<dyn Report>,
    ) -> Self {
        let engine = Engine::new(config, local, Self::KEY);
        Self {
            engine,
            doors,
            names: Vec::new(),
            totals,
            report,
            live: false,
            recorded: 0,
            replay: None,
            links: LinkTypes::default(),
            skipped: [0; _],
            batch: Vec::with_capacity(Self::BATCH),
        }
    }

    /// Follows what recordings tell: their configs, and what their engines knew.
    pub(super) fn follow_recordings(&mut self) {
        self.replay = Some(Replay::default());
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
            self.tell_waiting(None)?;
            self.totals.judged += 1;
            self.engine.handle_packet(&packet, at);
            let told = self.drain(Some(origin))?;
            self.say(Telling::Packet(packet, at, origin))?;
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
            self.say(Telling::Output(output, origin))?;
            told = true;
        }
        Ok(told)
    }

    /// Tells something, or keeps it until it is known what a recording tells in between.
    fn say(&mut self, telling: Telling) -> std::io::Result<()> {
        match &mut self.replay {
            Some(replay) => {
                replay.waiting.push_back(telling);
                Ok(())
            }
            None => self.tell(telling),
        }
    }

    fn tell(&mut self, telling: Telling) -> std::io::Result<()> {
        match telling {
            Telling::Output(output, origin) => {
                self.totals.count_output(&output, &self.doors);
                self.report.output(&output, origin)
            }
            Telling::Packet(packet, at, origin) => self.report.packet(&packet, at, origin),
        }
    }

    /// Tells what waits, up to the event behind so many others of the recording's file.
    fn tell_waiting(&mut self, up_to: Option<u64>) -> std::io::Result<()> {
        while let Some(telling) = self.replay.as_mut().and_then(|replay| replay.next(up_to)) {
            self.tell(telling)?;
        }
        Ok(())
    }

    /// Does what a note of a recording says.
    fn follow(&mut self, note: Note, trace: usize) -> anyhow::Result<()> {
        if self.replay.is_none() {
            self.take_addresses_of(note);
            return Ok(());
        }
        if let Note::Command { at, after, line } = &note {
            self.tell_waiting(Some(*after)).map_err(OutputError)?;
            let command = Command { at: *at, line };
            return self.report.command(&command).map_err(|error| OutputError(error).into());
        }
        self.tell_waiting(None).map_err(OutputError)?;
        let name = || self.names.get(trace).map_or("trace", String::as_str).to_owned();
        match note {
            Note::Begin(beginning) => self.begin(*beginning, &name())?,
            Note::Config { at, config } => {
                self.engine.handle_config(config.config().with_context(name)?, at);
            }
            Note::LocalAddresses { addresses, .. } => self.set_local(addresses),
            Note::Wake { at } => self.engine.handle_timeout(at),
            Note::Command { .. } | Note::End { .. } => {}
        }
        self.drain(None).map_err(OutputError)?;
        Ok(())
    }

    /// Takes up a recording's file: goes on, or begins where the daemon's engine was.
    fn begin(&mut self, beginning: Beginning, name: &str) -> anyhow::Result<()> {
        let Some(replay) = &mut self.replay else { return Ok(()) };
        let is_seamless = replay.takes_up(&beginning);
        let Beginning { lost, number, config, local_addresses, state, .. } = beginning;
        if is_seamless && lost == 0 && number > 0 {
            // The engine is where the file says that it was.
            return Ok(());
        }
        if lost > 0 {
            let what = if lost == 1 { "packet or note" } else { "packets or notes" };
            PROGRAM.warning(&format_args!(
                "{name}: {} {what} before it could not be recorded",
                Count(lost)
            ));
        }
        if state.left_out > 0 {
            PROGRAM.warning(&format_args!(
                "{name}: begins in a flood, and does not tell of {} sources how they stood: what \
                 became of them is missing",
                Count(state.left_out)
            ));
        }
        if !is_seamless {
            PROGRAM.note(&format_args!(
                "{name}: begins where an earlier file ended that is not at hand"
            ));
        }
        let config = config.config().with_context(|| name.to_owned())?;
        let local = recording::known(local_addresses);
        self.report.local_addresses(&local);
        self.totals.local = LocalOrigin::Recorded;
        self.engine = Engine::restore(config, local, Self::KEY, &state);
        Ok(())
    }

    fn set_local(&mut self, addresses: Vec<IpAddr>) {
        let local = recording::known(addresses);
        self.totals.local = LocalOrigin::Recorded;
        self.report.local_addresses(&local);
        self.engine.handle_local_addresses(local);
    }

    /// Takes from a recording what it tells of local addresses, where nobody gave any.
    fn take_addresses_of(&mut self, note: Note) {
        if self.totals.local == LocalOrigin::Given {
            return;
        }
        match note {
            Note::Begin(beginning) => self.set_local(beginning.local_addresses),
            Note::LocalAddresses { addresses, .. } => self.set_local(addresses),
            Note::Config { .. } | Note::Wake { .. } | Note::Command { .. } | Note::End { .. } => {}
        }
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
            let mut note = None;
            let goes_on = found.map_err(anyhow::Error::from).and_then(|frame| match frame {
                Some(frame) if frame.is_note() => {
                    note = Note::from_block(frame.captured).map(|note| (note, frame.trace));
                    Ok(true)
                }
                Some(frame) => self.links.of(&frame, &self.names).map(|_| true),
                None => Ok(false),
            });
            if !self.batch.is_empty() {
                self.take_recorded_addresses(traces);
                self.judge_batch().map_err(OutputError)?;
            }
            if let Some((note, trace)) = note {
                self.follow(note?, trace)?;
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
        self.tell_waiting(None)?;
        // A recording tells when deadlines fired; behind its end nobody knows.
        while let Some(deadline) = self.engine.poll_timeout().filter(|_| self.replay.is_none()) {
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
        let Some(link) = self.links.known(frame).or_else(|| self.links.learn(frame)) else {
            if !frame.is_note() {
                self.tally.count(frame.at, frame.captured.len());
            }
            return true;
        };
        self.tally.count(frame.at, frame.captured.len());
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
