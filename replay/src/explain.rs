//! `knock-replay explain`: why did my knock not open the door?
//!
//! Where `run` tells of attempts, this tells of packets: each one that a source sent to this host,
//! with what it came to at every door, and then a sentence for each door. So it has an answer also
//! where no attempt ever began.
//!
//! The traces are read twice where no source is given: once to see which sources touched a knock
//! port at all, and once to judge.

mod asked;
mod door_story;
mod guard;
mod page;
mod sentence;
mod story;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::HashSet;
use std::fs::File;
use std::net::IpAddr;

use knock_engine::config::Config;
use knock_engine::local::LocalAddresses;
use knock_engine::output::{Event, Output};
use knock_engine::packet::Packet;
use knock_engine::time::Timestamp;
use knock_engine::wire::{self, LinkType, Undecoded};
use knock_engine::{Disregard, Engine, HashKey};

pub(crate) use self::asked::{Asked, Feed, tell, tried};
use self::page::{Extent, Page};
use self::story::{Belongs, Others, Seen, Stories, Verdict};
use self::watch::KnockPorts;
use crate::PROGRAM;
use crate::cli::ExplainArgs;
use crate::report::{Doors, Origin};
use crate::run::link::LinkTypes;
use crate::run::progress::Progress;
use crate::run::trace_files::TraceFiles;
use crate::run::{self, Basis, OutputError};
use crate::trace::{Frame, Traces};

/// Explains what every packet of one source, or of all that touched a knock port, came to.
///
/// # Errors
///
/// The config has errors, a trace can't be read to its end (everything before that place has been
/// explained then), or the report can't be written.
pub fn explain(args: &ExplainArgs) -> anyhow::Result<()> {
    let Basis { config, local: recorded, .. } = Basis::of_first_config(&args.input, "explain")?;
    let sources = TraceFiles::open(&args.input.traces, args.source.is_none())?;
    let on_damage = run::on_damage(args.input.resync);
    let ports = KnockPorts::new(&config);
    let mut traces = sources.traces(on_damage)?;
    let local = recorded.unwrap_or_else(|| run::local_addresses(&args.input.local, &traces).0);
    let watched = match args.source {
        Some(source) => watch::Watched::only(source),
        None => {
            let watched = watch::Watched::find(&mut traces, &ports, &local);
            traces = sources.traces(on_damage)?;
            watched
        }
    };
    let others = if args.all { Others::Listed } else { Others::Folded };
    let stories = Stories::new(&config, ports, watched, others);
    let mut explainer = Explainer::new(config, local, stories);
    explainer.take_addresses = args.input.local.is_empty();
    explainer.names = run::names(&traces);
    let mut progress = Progress::new(run::is_live(&traces));
    let read = explainer.read(&mut traces, &mut progress);
    progress.finish();
    explainer.finish();
    run::warn_of_endings(&traces);
    if explainer.local == LocalAddresses::Unknown && explainer.frames > 0 {
        PROGRAM.note(&run::ASSUMED_LOCAL);
    }
    let extent = match (&read, explainer.frames) {
        (Ok(()), _) => Extent::Whole,
        (Err(_), 0) => Extent::Nothing,
        (Err(_), _) => Extent::Part,
    };
    let mut page = Page::new(run::palette(args.input.look.color), run::width(), &args.input.traces);
    let text = page.print(&explainer.stories, &explainer.local, extent);
    run::write_out(text.as_bytes()).map_err(OutputError::from)?;
    read
}

/// An engine at work, with the stories that it makes of packets.
struct Explainer {
    engine: Engine,
    doors: Doors,
    local: LocalAddresses,
    /// The targets of all doors.
    targets: HashSet<IpAddr>,
    stories: Stories,
    /// Frames of a link type that can be read.
    frames: u64,
    take_addresses: bool,
    recorded: usize,
    links: LinkTypes,
    /// The traces' names for messages.
    names: Vec<String>,
}

impl Explainer {
    /// The key of the engine's tables. No output depends on it (S15).
    const KEY: HashKey = HashKey([0x7365_7361_6d65, 0x6578_706c_6169_6e00]);

    fn new(config: Config, local: LocalAddresses, stories: Stories) -> Self {
        let doors = Doors::new(&config.doors);
        Self {
            stories,
            targets: config.doors.iter().flat_map(|door| &door.targets).copied().collect(),
            engine: Engine::new(config, local.clone(), Self::KEY),
            doors,
            local,
            frames: 0,
            take_addresses: false,
            recorded: 0,
            links: LinkTypes::default(),
            names: Vec::new(),
        }
    }

    fn read(&mut self, traces: &mut Traces<File>, progress: &mut Progress) -> anyhow::Result<()> {
        for count in 1_u64.. {
            if count.is_multiple_of(Progress::INTERVAL) {
                progress.update(traces);
            }
            let recorded = traces.local_addresses();
            if self.take_addresses && recorded.len() > self.recorded {
                self.recorded = recorded.len();
                self.local = LocalAddresses::Known(recorded.to_vec());
                self.engine.handle_local_addresses(self.local.clone());
            }
            let Some(frame) = traces.next()? else { break };
            let link = self.links.of(&frame, &self.names)?;
            self.frames += 1;
            let origin = Origin { trace: frame.trace, frame: frame.number };
            match wire::decode(link, frame.captured) {
                Ok(segment) => self.packet(&segment.packet(), frame.at, origin),
                Err(cause) => self.undecoded(link, &frame, cause),
            }
        }
        Ok(())
    }

    fn packet(&mut self, packet: &Packet, at: Timestamp, origin: Origin) {
        self.engine.handle_packet(packet, at);
        let verdicts = self.drain(origin);
        let is_for_us = self.is_for_us(packet.destination);
        if is_for_us {
            self.stories.note_try(packet, at);
        }
        if !self.stories.is_watched(packet.source) {
            return;
        }
        // A knock at a wrong address is worth a line too.
        if is_for_us || self.stories.ports.contains(packet.destination_port) {
            let disregard = |door: usize| self.engine.disregard(door, packet);
            self.stories.note_packet(Seen { packet, at, origin }, &verdicts, disregard);
        } else {
            self.stories.elsewhere += 1;
        }
    }

    /// Tells whether an address is one of this host, or of a host that a door stands for.
    fn is_for_us(&self, destination: IpAddr) -> bool {
        self.local.contains(destination) || self.targets.contains(&destination)
    }

    fn undecoded(&mut self, link: LinkType, frame: &Frame<'_>, cause: Undecoded) {
        let Some(parties) = wire::parties(link, frame.captured) else { return };
        if self.stories.is_watched(parties.source) && self.is_for_us(parties.destination) {
            let origin = Origin { trace: frame.trace, frame: frame.number };
            self.stories.note_undecoded(&parties, cause, (frame.at, origin));
        }
    }

    /// Takes the engine's outputs: those of deadlines become lines at once, those of the packet at
    /// hand are returned with the number of their door.
    fn drain(&mut self, origin: Origin) -> Vec<(usize, Verdict)> {
        let mut of_packet = Vec::new();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Action(action) => self.stories.note_action(&action, &self.doors),
                Output::Event(Event::ClockStep { at, .. }) => {
                    self.stories.note_clock_step(at, origin);
                }
                Output::Event(Event::Disabled { door, .. }) => {
                    // It is the packet that used up the last sequence which disables the door.
                    let door = self.doors.index(&door);
                    of_packet.extend(door.map(|it| (it, Verdict::Disregard(Disregard::Disabled))));
                }
                Output::Event(Event::Door(event)) => {
                    let Some(door) = self.doors.index(&event.door) else { continue };
                    if self.stories.note_event(door, &event, origin) == Belongs::ToPacket {
                        of_packet.push((door, Verdict::of(&event)));
                    }
                }
            }
        }
        of_packet
    }

    /// Lets time run on until no deadline is left.
    fn finish(&mut self) {
        let nowhere = Origin { trace: 0, frame: 0 };
        while let Some(deadline) = self.engine.poll_timeout() {
            self.engine.handle_timeout(deadline.at);
            let left = self.drain(nowhere);
            debug_assert!(left.is_empty(), "without a packet only deadlines bring events");
        }
    }
}
