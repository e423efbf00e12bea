//! What came of a source's packets, door by door.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use knock_engine::Disregard;
use knock_engine::config::{Config, Door, Knock, Sequence, Sequences};
use knock_engine::output::{Action, DoorEvent, EventKind, ResetReason, Trigger};
use knock_engine::packet::{Packet, Protocol};
use knock_engine::time::Timestamp;
use knock_engine::wire::{Parties, Undecoded};

use super::guard::{ForeignTry, guarded_ports, shared_bits};
use super::watch::Watched;
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
pub(super) enum Verdict {
    Event { kind: EventKind, stage: Option<(u8, u8)> },
    Disregard(Disregard),
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
    Deadline,
    /// Packets to ports that are in no sequence, told together.
    Others {
        packets: u64,
        ports: Vec<(Protocol, u16)>,
        until: Timestamp,
    },
}

/// How an attempt ended without opening.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) at: Timestamp,
    pub(super) stage: u8,
    pub(super) of: u8,
    /// The knock that was due.
    pub(super) expected: Option<Knock>,
    /// How long after the end that knock came after all.
    pub(super) came_after: Option<Duration>,
    /// How it came by another protocol or with other flags while the attempt waited for it.
    pub(super) came_wrong: Option<(Disregard, Packet)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    TimedOut,
    OutOfOrder { by: (Protocol, u16) },
    Strays,
    SequenceUsed,
    Evicted,
}

/// A door that opened for a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) at: Timestamp,
    pub(super) took: Duration,
    /// When it closes; none before the engine has said what runs.
    pub(super) until: Option<Timestamp>,
    pub(super) outcome: Option<EventKind>,
}

/// What came of one source at one door.
#[derive(Debug, Default)]
pub(super) struct DoorStory {
    pub(super) opens: u64,
    pub(super) opening: Option<Opening>,
    pub(super) attempts: u64,
    pub(super) failure: Option<Failure>,
    pub(super) is_locked_out: bool,
    /// The first packet that was disregarded for each reason.
    pub(super) disregarded: Vec<(Disregard, Packet, u64)>,
    /// A packet with the wrong protocol or flags since the attempt's last knock.
    wrong: Option<(Disregard, Packet)>,
    /// Whether the source itself tried a guarded port while its lease lasted.
    pub(super) tried_in_time: bool,
    /// How long after its lease the source tried a guarded port.
    pub(super) tried_late: Option<(u16, Duration)>,
    pub(super) foreign: Option<ForeignTry>,
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
    guarded: Vec<Vec<u16>>,
    used_lines: Vec<usize>,
    order: Vec<IpAddr>,
    stories: HashMap<IpAddr, Story>,
    pub(super) clock_steps: u64,
    /// How packets to ports that are in no sequence are told.
    pub(super) others: Others,
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
    /// The most lines of one source.
    const MAX_LINES: usize = 10_000;
    /// How long after an attempt a missing knock is still taken for part of it.
    const LATEST: Duration = Duration::from_secs(60);

    pub(super) fn new(config: &Config, watched: Watched, others: Others) -> Self {
        Self {
            others,
            watched,
            guarded: config.doors.iter().map(|door| guarded_ports(door)).collect(),
            used_lines: vec![0; config.doors.len()],
            doors: config.doors.clone(),
            order: Vec::new(),
            stories: HashMap::new(),
            clock_steps: 0,
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
        match &self.doors[door].sequences {
            Sequences::Fixed(sequence) => Some(sequence),
            Sequences::OneTime { lines, .. } => {
                lines.get(self.used_lines[door]).map(|line| &line.sequence)
            }
        }
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

    /// Notes a packet of a watched source: the events that it brought, and at each other door why
    /// it brought none.
    pub(super) fn note_packet(
        &mut self,
        seen: Seen<'_>,
        events: &[(usize, DoorEvent)],
        disregard: impl Fn(usize) -> Disregard,
    ) {
        let Seen { packet, at, origin } = seen;
        let mut verdicts = Vec::new();
        for door in 0..self.doors.len() {
            let before = verdicts.len();
            for (_, event) in events.iter().filter(|(index, _)| *index == door) {
                verdicts.push((door, verdict_of(event)));
            }
            if verdicts.len() == before {
                let reason = disregard(door);
                if reason != Disregard::OtherPort {
                    verdicts.push((door, Verdict::Disregard(reason)));
                    self.note_disregard(door, reason, packet, at);
                }
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

    fn note_disregard(&mut self, door: usize, reason: Disregard, packet: &Packet, at: Timestamp) {
        let its = self.door_story(packet.source, door);
        match its.disregarded.iter_mut().find(|(known, _, _)| *known == reason) {
            Some((_, _, count)) => *count += 1,
            None => its.disregarded.push((reason, *packet, 1)),
        }
        if matches!(reason, Disregard::WrongProtocol | Disregard::WrongFlags) {
            its.wrong = Some((reason, *packet));
        }
        if let Some(failure) = &mut its.failure
            && failure.expected.is_some_and(|its| is_knock(its, packet))
            && let Some(lag) = at.checked_duration_since(failure.at)
            && lag <= Self::LATEST
            && reason == Disregard::NotFirstKnock
        {
            failure.came_after.get_or_insert(lag);
        }
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
        self.follow(door, event);
        let origin = match event.trigger {
            Trigger::Packet(_) => return Belongs::ToPacket,
            Trigger::OtherAttempt => Some(origin),
            Trigger::Deadline => None,
        };
        let verdicts = vec![(door, verdict_of(event))];
        let line = Line { at: event.at, origin, what: What::Deadline, verdicts };
        self.story(event.source).push(line);
        Belongs::ToItself
    }

    /// Keeps the door's story up with an event.
    fn follow(&mut self, door: usize, event: &DoorEvent) {
        let stage = event.progress.map_or(0, |progress| progress.stage);
        let of = event.progress.map_or(0, |progress| progress.of);
        let expected =
            self.sequence(door).and_then(|its| its.knocks().get(usize::from(stage)).copied());
        let its = self.door_story(event.source, door);
        let kind = match event.kind {
            EventKind::Stage => {
                its.attempts += u64::from(stage == 1);
                its.wrong = None;
                return;
            }
            EventKind::Restart => {
                its.wrong = None;
                return;
            }
            EventKind::Open => {
                its.opens += 1;
                let took = event.progress.map_or(Duration::ZERO, |progress| progress.elapsed);
                let is_first = its.opening.is_none();
                if is_first {
                    its.opening = Some(Opening { at: event.at, took, until: None, outcome: None });
                }
                return;
            }
            EventKind::Renew | EventKind::Suppressed | EventKind::Refused => {
                if let Some(opening) = &mut its.opening {
                    opening.outcome.get_or_insert(event.kind);
                }
                return;
            }
            EventKind::Lockout => {
                its.is_locked_out = true;
                return;
            }
            EventKind::Timeout => FailureKind::TimedOut,
            EventKind::Evicted => FailureKind::Evicted,
            EventKind::Reset(ResetReason::Strays) => FailureKind::Strays,
            EventKind::Reset(ResetReason::SequenceUsed) => FailureKind::SequenceUsed,
            EventKind::Reset(ResetReason::OutOfOrder) => match event.trigger {
                Trigger::Packet(packet) => {
                    FailureKind::OutOfOrder { by: (packet.protocol(), packet.destination_port) }
                }
                Trigger::OtherAttempt | Trigger::Deadline => return,
            },
            EventKind::Stray => {
                // To this door it is some other port; to its sender it may have been the knock.
                if let (Trigger::Packet(packet), Some(knock)) = (event.trigger, expected)
                    && knock.port.get() == packet.destination_port
                {
                    its.wrong = Some((Disregard::WrongProtocol, packet));
                }
                return;
            }
            EventKind::Duplicate | EventKind::Repeat | EventKind::Close => return,
        };
        let came_wrong = its.wrong.take();
        let (at, came_after) = (event.at, None);
        its.failure = Some(Failure { kind, at, stage, of, expected, came_after, came_wrong });
    }

    /// Notes what the engine asks its caller to do.
    pub(super) fn note_action(&mut self, action: &Action, doors: &Doors) {
        let (door, source, ends) = match action {
            Action::Start { door, source, until, .. } => {
                (door, *source, until.unwrap_or(Timestamp::MAX))
            }
            Action::Renew { door, source, until, .. } => (door, *source, *until),
            Action::Consume { door, .. } => {
                if let Some(index) = doors.index(door) {
                    self.used_lines[index] += 1;
                }
                return;
            }
            Action::Stop { .. } => return,
        };
        if let Some(index) = doors.index(door).filter(|_| self.is_watched(source))
            && let Some(opening) = &mut self.door_story(source, index).opening
        {
            opening.until = Some(ends);
        }
    }

    /// Notes a packet that tries a port which a door guards, whoever sent it.
    pub(super) fn note_guarded(&mut self, packet: &Packet, at: Timestamp, _origin: Origin) {
        let port = packet.destination_port;
        if packet.protocol() == Protocol::Tcp && !packet.is_initial_syn() {
            return;
        }
        for door in 0..self.doors.len() {
            if !self.guarded[door].contains(&port) {
                continue;
            }
            let grant = self.doors[door].grant;
            for source in &self.order {
                let Some(story) = self.stories.get_mut(source) else { continue };
                let Some(its) = story.doors.get_mut(&door) else { continue };
                let Some(Opening { at: opened, until: Some(until), .. }) = its.opening else {
                    continue;
                };
                if *source == packet.source {
                    match at.checked_duration_since(until) {
                        None => its.tried_in_time |= at >= opened,
                        Some(late) => _ = its.tried_late.get_or_insert((port, late)),
                    }
                } else if at >= opened
                    && at < until
                    && !grant.network(*source).contains(&packet.source)
                {
                    its.note_foreign(*source, ForeignTry { source: packet.source, port, at });
                }
            }
        }
    }
}

impl DoorStory {
    /// Keeps the try that most likely was the same person's: the one from nearest by.
    fn note_foreign(&mut self, own: IpAddr, new: ForeignTry) {
        let nearness = |it: &ForeignTry| shared_bits(own, it.source);
        if self.foreign.as_ref().is_none_or(|known| nearness(known) < nearness(&new)) {
            self.foreign = Some(new);
        }
    }
}

impl Story {
    /// Ports that a line names, at most.
    pub(super) const MAX_PORTS: usize = 3;

    fn push(&mut self, line: Line) {
        if self.lines.len() < Stories::MAX_LINES {
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

fn verdict_of(event: &DoorEvent) -> Verdict {
    let stage = event.progress.map(|progress| (progress.stage, progress.of));
    Verdict::Event { kind: event.kind, stage }
}

fn is_knock(knock: Knock, packet: &Packet) -> bool {
    (knock.protocol, knock.port.get()) == (packet.protocol(), packet.destination_port)
}
