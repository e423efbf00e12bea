//! What came of a source's packets, line by line and door by door.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use knock_engine::Disregard;
use knock_engine::config::{Config, Door, Knock, Sequence, Sequences};
use knock_engine::output::{Action, DoorEvent, EventKind, Trigger};
use knock_engine::packet::{Packet, Protocol};
use knock_engine::time::Timestamp;
use knock_engine::wire::{Parties, Undecoded};

use super::door_story::{DoorStory, FailureKind, StaleStep, is_knock};
use super::guard::{Guards, Try};
use super::watch::{KnockPorts, Watched};
use crate::report::{Doors, Origin};

/// A packet and where it was seen.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) packet: &'a Packet,
    pub(super) at: Timestamp,
    pub(super) origin: Origin,
}

/// What an event is told with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belongs {
    /// The packet at hand, which its source sent.
    ToPacket,
    /// Nothing: it has a line of its own, or nobody asked.
    ToItself,
}

/// One word of what a packet came to at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Event { kind: EventKind, stage: Option<(u8, u8)> },
    Disregard(Disregard),
    ClockStep,
}

impl Verdict {
    pub(crate) fn of(event: &DoorEvent) -> Self {
        let stage = event.progress.map(|progress| (progress.stage, progress.of));
        Self::Event { kind: event.kind, stage }
    }
}

/// A line of a source's story.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    /// The frame; none for a deadline.
    pub(super) origin: Option<Origin>,
    pub(super) what: What,
    /// What it came to, at each door for which it was more than some other port.
    pub(super) verdicts: Vec<(usize, Verdict)>,
}

#[derive(Debug)]
pub(super) enum What {
    Packet(Packet),
    Undecoded(Parties, Undecoded),
    /// No packet of this source: a deadline, or what another source's packet brought about.
    Nothing,
    /// Packets to ports that are in no sequence, told together.
    Others {
        packets: u64,
        ports: Vec<(Protocol, u16)>,
        until: Timestamp,
    },
}

/// All that is known of a source.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) lines: Vec<Line>,
    /// Lines that there was no room for.
    pub(super) unlisted: u64,
    pub(super) packets: u64,
    pub(super) doors: HashMap<usize, DoorStory>,
}

/// The stories of all watched sources, in the order of their first packets.
pub(super) struct Stories {
    pub(super) watched: Watched,
    pub(super) doors: Vec<Arc<Door>>,
    pub(super) ports: KnockPorts,
    guards: Guards,
    used_lines: Vec<usize>,
    order: Vec<IpAddr>,
    stories: HashMap<IpAddr, Story>,
    pub(super) clock_steps: u64,
    /// Packets of watched sources that are not worth a line: to other hosts.
    pub(super) elsewhere: u64,
    /// How packets to ports that are in no sequence are told.
    others: Others,
}

/// How packets to ports that are in no sequence are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// A run of them is one line.
    Folded,
    /// Each has a line.
    Listed,
}

impl Stories {
    pub(super) fn new(
        config: &Config,
        ports: KnockPorts,
        watched: Watched,
        others: Others,
    ) -> Self {
        Self {
            watched,
            doors: config.doors.clone(),
            ports,
            guards: Guards::new(&config.doors),
            used_lines: vec![0; config.doors.len()],
            order: Vec::new(),
            stories: HashMap::new(),
            clock_steps: 0,
            elsewhere: 0,
            others,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn is_watched(&self, source: IpAddr) -> bool {
        self.watched.contains(source)
    }

    /// Returns the stories in the order of their first packets.
    pub(super) fn iter(&self) -> impl Iterator<Item = (IpAddr, &Story)> {
        self.order.iter().map(|source| (*source, &self.stories[source]))
    }

    /// Returns the sequence that opens a door now.
    pub(super) fn sequence(&self, door: usize) -> Option<&Sequence> {
        sequence(&self.doors[door], self.used_lines[door])
    }

    fn story(&mut self, source: IpAddr) -> &mut Story {
        let order = &mut self.order;
        self.stories.entry(source).or_insert_with(|| {
            order.push(source);
            Story::default()
        })
    }

    fn door_story(&mut self, source: IpAddr, door: usize) -> &mut DoorStory {
        self.story(source).doors.entry(door).or_default()
    }

    /// Notes a packet of a watched source: what it brought about, and at each other door why it
    /// brought nothing about.
    pub(super) fn note_packet(
        &mut self,
        Seen { packet, at, origin }: Seen<'_>,
        events: &[(usize, Verdict)],
        disregard: impl Fn(usize) -> Disregard,
    ) {
        let mut verdicts = Vec::new();
        for door in 0..self.doors.len() {
            let before = verdicts.len();
            verdicts.extend(events.iter().filter(|(index, _)| *index == door));
            // What goes to no knock port of the door is none of its business, whatever else would
            // keep it out.
            if verdicts.len() == before && self.ports.has(door, packet.destination_port) {
                let reason = disregard(door);
                if reason != Disregard::OtherPort {
                    verdicts.push((door, Verdict::Disregard(reason)));
                }
                let stale = self.stale_step(door, packet);
                let its = self.door_story(packet.source, door);
                its.note_disregard(reason, packet, at);
                its.stale = its.stale.or(stale);
            }
        }
        let folds = self.others == Others::Folded;
        let story = self.story(packet.source);
        story.packets += 1;
        if verdicts.is_empty() && folds {
            story.fold_other(packet, at, origin);
        } else {
            story.push(Line { at, origin: Some(origin), what: What::Packet(*packet), verdicts });
        }
    }

    /// Finds the packet among the lines of a one-time file that are not the current one.
    fn stale_step(&self, door: usize, packet: &Packet) -> Option<StaleStep> {
        stale_step(&self.doors[door], self.used_lines[door], packet)
    }

    /// Notes bytes of a watched source that are no packet to the engine.
    pub(super) fn note_undecoded(
        &mut self,
        parties: &Parties,
        cause: Undecoded,
        (at, origin): (Timestamp, Origin),
    ) {
        let story = self.story(parties.source);
        story.packets += 1;
        let what = What::Undecoded(*parties, cause);
        story.push(Line { at, origin: Some(origin), what, verdicts: Vec::new() });
    }

    /// Notes an event; one that is not the work of its own source's packet becomes a line at once.
    pub(super) fn note_event(&mut self, door: usize, event: &DoorEvent, origin: Origin) -> Belongs {
        if !self.is_watched(event.source) {
            return Belongs::ToItself;
        }
        self.change(event.source, door, |its, sequence| {
            its.follow(event, |stage| knock_at(sequence, stage));
        });
        let origin = match event.trigger {
            Trigger::Packet(_) => return Belongs::ToPacket,
            Trigger::OtherAttempt => Some(origin),
            Trigger::Deadline => None,
        };
        let verdicts = vec![(door, Verdict::of(event))];
        let line = Line { at: event.at, origin, what: What::Nothing, verdicts };
        self.story(event.source).push(line);
        Belongs::ToItself
    }

    /// Changes what is known of a source at a door, with the sequence that opens it now at hand.
    fn change(
        &mut self,
        source: IpAddr,
        door: usize,
        change: impl FnOnce(&mut DoorStory, Option<&Sequence>),
    ) {
        let mut its = std::mem::take(self.door_story(source, door));
        change(&mut its, self.sequence(door));
        *self.door_story(source, door) = its;
    }

    /// Notes that the clock stepped back at a frame: every attempt is gone (S1).
    pub(super) fn note_clock_step(&mut self, at: Timestamp, origin: Origin) {
        self.clock_steps += 1;
        for source in self.order.clone() {
            let mut verdicts = Vec::new();
            for door in 0..self.doors.len() {
                let is_trying =
                    |story: &Story| story.doors.get(&door).is_some_and(DoorStory::is_trying);
                if !self.stories.get(&source).is_some_and(is_trying) {
                    continue;
                }
                self.change(source, door, |its, sequence| {
                    its.fail(FailureKind::ClockStep, at, |stage| knock_at(sequence, stage));
                });
                verdicts.push((door, Verdict::ClockStep));
            }
            if !verdicts.is_empty() {
                let line = Line { at, origin: Some(origin), what: What::Nothing, verdicts };
                self.story(source).push(line);
            }
        }
    }

    /// Notes what the engine asks its caller to do.
    pub(super) fn note_action(&mut self, action: &Action, doors: &Doors) {
        match action {
            Action::Start { at, door, source, until } => {
                if let (Some(door), Some(until)) = (doors.index(door), until)
                    && self.is_watched(*source)
                {
                    self.door_story(*source, door).tries.open(*at, *until);
                }
            }
            Action::Renew { door, source, until, .. } => {
                if let Some(door) = doors.index(door).filter(|_| self.is_watched(*source)) {
                    self.door_story(*source, door).tries.renew(*until);
                }
            }
            Action::Consume { door, .. } => {
                if let Some(index) = doors.index(door) {
                    self.used_lines[index] += 1;
                }
            }
            Action::Stop { .. } => {}
        }
    }

    /// Notes a packet to this host if it tries a port which a door guards, whoever sent it.
    pub(super) fn note_try(&mut self, packet: &Packet, at: Timestamp) {
        if packet.protocol() == Protocol::Tcp && !packet.is_initial_syn() {
            return;
        }
        let tried = Try { source: packet.source, port: packet.destination_port, at };
        for &door in self.guards.of(tried.port) {
            for owner in &self.order {
                let its = self.stories.get_mut(owner).and_then(|its| its.doors.get_mut(&door));
                if let Some(its) = its {
                    its.tries.note(tried, *owner, &self.doors[door]);
                }
            }
        }
    }
}

impl Story {
    /// The most lines.
    const MAX_LINES: usize = 10_000;
    /// Ports that a line names, at most.
    pub(super) const MAX_PORTS: usize = 3;

    fn push(&mut self, line: Line) {
        if self.lines.len() < Self::MAX_LINES {
            self.lines.push(line);
        } else {
            self.unlisted += 1;
        }
    }

    /// Notes a packet to a port that is in no sequence. A run of these is one line.
    fn fold_other(&mut self, packet: &Packet, at: Timestamp, origin: Origin) {
        let port = (packet.protocol(), packet.destination_port);
        if let Some(Line { what: What::Others { packets, ports, until }, .. }) =
            self.lines.last_mut()
        {
            *packets += 1;
            *until = at;
            if ports.len() <= Self::MAX_PORTS && !ports.contains(&port) {
                ports.push(port);
            }
            return;
        }
        let what = What::Others { packets: 1, ports: vec![port], until: at };
        self.push(Line { at, origin: Some(origin), what, verdicts: Vec::new() });
    }
}

/// Returns the sequence that opens a door after so many lines of its one-time file were used.
pub(crate) fn sequence(door: &Door, used_lines: usize) -> Option<&Sequence> {
    match &door.sequences {
        Sequences::Fixed(sequence) => Some(sequence),
        Sequences::OneTime { lines, .. } => lines.get(used_lines).map(|line| &line.sequence),
    }
}

/// Finds a packet among the lines of a one-time file that are not the current one.
pub(crate) fn stale_step(door: &Door, current: usize, packet: &Packet) -> Option<StaleStep> {
    let Sequences::OneTime { lines, .. } = &door.sequences else { return None };
    let mut others = lines.iter().enumerate().filter(|(index, _)| *index != current);
    others.find_map(|(index, line)| {
        let mut knocks = line.sequence.knocks().iter();
        let knock = *knocks.find(|knock| is_knock(**knock, packet))?;
        Some(StaleStep { knock, is_used: index < current })
    })
}

/// Returns the knock that is due after so many.
pub(crate) fn knock_at(sequence: Option<&Sequence>, stage: u8) -> Option<Knock> {
    sequence?.knocks().get(usize::from(stage)).copied()
}
