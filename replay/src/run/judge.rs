//! From frames to outputs: the loop of a run.

use std::fs::File;
use std::net::IpAddr;

use anyhow::Context as _;
use knock_engine::config::{Config, Sequences};
use knock_engine::local::LocalAddresses;
use knock_engine::packet::Packet;
use knock_engine::time::Timestamp;
use knock_engine::{Engine, HashKey};
use knock_frontend::format::Count;
use knock_frontend::recording::{Beginning, Note};

use super::curiosity::Curiosity;
use super::frames::{Candidate, Frames, Haste, Stretch};
use super::progress::Progress;
use super::recording::{self, Replay, Telling};
use super::{Judge, OutputError};
use crate::PROGRAM;
use crate::report::{Command, Doors, LocalOrigin, Origin, Report, Totals};
use crate::trace::Traces;

/// An engine at work, with what it tells and what is counted.
pub(crate) struct Session {
    engine: Engine,
    doors: Doors,
    totals: Totals,
    report: Box<dyn Report>,
    /// Whether every line must appear at once.
    pub(super) live: bool,
    /// `None` where the config was given: then a recording is a capture like others.
    replay: Option<Replay>,
    /// Which packets the report is told of that a door disregarded; `None` where it asks for none.
    curiosity: Option<Curiosity>,
}

impl Session {
    /// The key of the engine's tables. No output depends on it (S15).
    const KEY: HashKey = HashKey([0x736573616d65, 0x6b6e6f636b]);

    pub(crate) fn new(
        (config, doors): (Config, Doors),
        local: LocalAddresses,
        totals: Totals,
        report: Box<dyn Report>,
    ) -> Self {
        let engine = Engine::new(config, local, Self::KEY);
        Self { engine, doors, totals, report, live: false, replay: None, curiosity: None }
    }

    /// Tells the report also of packets to knock ports that a door disregarded, and why.
    pub(crate) fn tell_disregards(&mut self) {
        self.curiosity = Some(Curiosity::new(&self.doors));
    }

    /// Follows what recordings tell: their configs, and what their engines knew.
    pub(crate) fn follow_recordings(&mut self) {
        self.replay = Some(Replay::default());
    }

    /// Returns how many candidates may be read before they are judged.
    fn haste(&self) -> Haste {
        let mut doors = self.doors.all().iter();
        // A sequence that is used up makes another one's ports those that matter.
        let is_lasting = doors.all(|door| matches!(door.sequences, Sequences::Fixed(_)));
        if is_lasting && !self.live { Haste::Batch } else { Haste::One }
    }

    /// Judges packets, be they read or written out.
    ///
    /// # Errors
    ///
    /// The report can't be written.
    pub(crate) fn judge_batch(&mut self, batch: &[Candidate]) -> std::io::Result<()> {
        self.engine.anticipate(batch.iter().map(|candidate| candidate.packet.source));
        for Candidate { packet, at, origin } in batch {
            self.tell_waiting(None)?;
            self.totals.judged += 1;
            self.engine.handle_packet(packet, *at);
            let told = self.drain(Some(*origin))?;
            self.say_disregards(packet, *at, *origin)?;
            self.say(Telling::Packet(*packet, *at, *origin))?;
            if told && self.live {
                self.report.flush()?;
            }
        }
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

    /// Says which doors made nothing of the packet that was just handled, and why.
    fn say_disregards(
        &mut self,
        packet: &Packet,
        at: Timestamp,
        origin: Origin,
    ) -> std::io::Result<()> {
        let Some(curiosity) = &self.curiosity else { return Ok(()) };
        let disregards = curiosity.disregards(&self.engine, packet);
        for (door, reason) in disregards {
            self.say(Telling::Disregard(door, reason, (*packet, at, origin)))?;
        }
        Ok(())
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
            Telling::Disregard(door, reason, (packet, at, origin)) => {
                self.report.disregard(door, reason, (&packet, at, origin))
            }
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
    fn follow(&mut self, note: Note, name: &str) -> anyhow::Result<()> {
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
        match note {
            Note::Begin(beginning) => self.begin(*beginning, name)?,
            Note::Config { at, config } => {
                let config = config.config().with_context(|| name.to_owned())?;
                self.note_config(&config);
                self.engine.handle_config(config, at);
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
        self.note_config(&config);
        let local = recording::known(local_addresses);
        self.report.local_addresses(&local);
        self.totals.local = LocalOrigin::Recorded;
        self.engine = Engine::restore(config, local, Self::KEY, &state);
        Ok(())
    }

    /// Notes which config the engine has from now on.
    fn note_config(&mut self, config: &Config) {
        if let Some(curiosity) = &mut self.curiosity {
            curiosity.follow(&config.doors, &self.doors);
        }
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
        let mut frames = Frames::new(traces, self.haste());
        let read = loop {
            progress.update(traces);
            let stretch = match &self.curiosity {
                Some(curiosity) => frames.read(traces, &curiosity.beside(&self.engine)),
                None => frames.read(traces, &self.engine),
            };
            let Stretch { tally, addresses, note, goes_on } = stretch;
            self.totals.add(&tally);
            if let Some(addresses) = addresses.filter(|_| self.totals.local != LocalOrigin::Given) {
                self.set_local(addresses);
            }
            self.judge_batch(frames.batch()).map_err(OutputError)?;
            if let Some((note, trace)) = note {
                self.follow(note, frames.name(trace))?;
            }
            match goes_on {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        for (cause, count) in frames.skipped() {
            self.totals.count_skipped(cause, count);
        }
        read
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
        self.report.finish(&self.totals)?;
        Ok(())
    }
}
