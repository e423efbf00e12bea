//! Turns the intentions of a scenario into stamped inputs.

#![expect(clippy::unwrap_used, reason = "the lint knows only functions marked as tests")]

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use knock_engine::config::{Command, Config, Door, Grant, Knock, OneTimeLine, Sequences};
use knock_engine::local::LocalAddresses;
use knock_engine::output::{Action, Event, EventKind, Output};
use knock_engine::packet::{Packet, Protocol, TcpFlags, Transport};
use knock_engine::time::Timestamp;
use knock_reference::Reference;

use crate::model::{Input, Machine, stamp};
use crate::schedule::{
    Act, Change, DESTINATIONS, Edit, Gap, SOURCES, Span, Step, What, address, local_choices,
};

/// The most inputs that one intention to finish a sequence makes.
const MAX_FINISH: u64 = 6;
/// The pause between the knocks of such an intention.
const FINISH_PAUSE: Duration = Duration::from_millis(3);
/// More knocks than a door remembers of a source (S8).
const FLOOD: usize = 34;
const SECOND: Duration = Duration::from_secs(1);

/// Plays a scenario with the reference model, to know which knock is the next one and when the
/// next deadline is.
pub(crate) struct Director {
    reference: Reference,
    local: LocalAddresses,
    start: Timestamp,
    original: Config,
    inputs: Vec<Input>,
    /// The packets so far.
    history: Vec<Packet>,
    /// How many packets have had ports of their own.
    fresh: u16,
    marks: Marks,
}

/// When the things last happened that begin a span.
#[derive(Default)]
struct Marks {
    packet: Timestamp,
    start: Timestamp,
    failure: Timestamp,
    lockout: Timestamp,
}

impl Director {
    pub(crate) fn new(config: Config, local: LocalAddresses, start: Timestamp) -> Self {
        Self {
            reference: Reference::new(config.clone(), local.clone()),
            local,
            start,
            original: config,
            inputs: Vec::new(),
            history: Vec::new(),
            fresh: 0,
            marks: Marks::default(),
        }
    }

    pub(crate) fn into_inputs(self) -> Vec<Input> {
        self.inputs
    }

    /// Carries out one intention.
    pub(crate) fn perform(&mut self, step: &Step) {
        let at = self.resolve(step.gap);
        match &step.act {
            Act::Wake => self.emit(Input::Wake(at)),
            Act::Reload(edits) => {
                let mut config = self.reference.config();
                edits.iter().for_each(|edit| self.edit(&mut config, edit));
                self.emit(Input::Reload(config, at));
            }
            Act::Local(choice) => {
                self.local = local_choices()[usize::from(*choice) % 3].clone();
                self.emit(Input::Local(self.local.clone()));
            }
            Act::Retransmit { back } => self.retransmit(*back, at),
            Act::TryAgain { back, has_new_port } => {
                if let Some(packet) = self.earlier_packet(*back) {
                    let packet = self.try_again(packet, *has_new_port);
                    self.send(packet, at);
                }
            }
            Act::Send { source, door, what } => match self.pair(*source, *door) {
                Some(pair) => self.send_to_door(&pair, *what, at),
                None => self.emit(Input::Wake(at)),
            },
        }
    }

    /// Carries out what a source does for a door.
    fn send_to_door(&mut self, pair: &Pair, what: What, at: Timestamp) {
        let next = self.stage(pair);
        match what {
            What::Next => self.knock(pair, next, at),
            What::Finish => self.finish(pair, at),
            What::AnyKnock { step } => self.knock(pair, step.into(), at),
            What::First => self.knock(pair, 0, at),
            What::Repeat => self.knock(pair, next.saturating_sub(1), at),
            What::Flood { back } => {
                for _ in 0..FLOOD {
                    self.knock(pair, next.saturating_sub(1), at);
                }
                self.retransmit(back, at);
            }
            What::Strays { protocol, first, count } => {
                for number in first..first + count {
                    let port = NonZeroU16::new(9000 + u16::from(number)).unwrap();
                    let packet = self.packet(pair, Knock { protocol, port }, TcpFlags::SYN);
                    self.send(packet, at);
                }
            }
            What::Flags { step, flags } => {
                let is_stray = step % 4 == 3;
                let port = self.step(pair, step.into()).port;
                let port = if is_stray { NonZeroU16::new(9004).unwrap() } else { port };
                let knock = Knock { protocol: Protocol::Tcp, port };
                let packet = self.packet(pair, knock, TcpFlags::from_bits(flags));
                self.send(packet, at);
            }
            What::Elsewhere { destination } => {
                let packet = self.packet(pair, self.step(pair, next), pair.flags);
                let destination = DESTINATIONS[usize::from(destination) % DESTINATIONS.len()];
                self.send(Packet { destination: address(destination), ..packet }, at);
            }
        }
    }

    /// Sends the knocks that are left until the attempt is over.
    fn finish(&mut self, pair: &Pair, at: Timestamp) {
        let mut at = at;
        for _ in 0..MAX_FINISH {
            self.knock(pair, self.stage(pair), at);
            at = at.saturating_add(FINISH_PAUSE);
            if self.stage(pair) == 0 {
                break;
            }
        }
    }

    /// Sends a step of the door's sequence, counted from 0, as a good client does.
    fn knock(&mut self, pair: &Pair, index: usize, at: Timestamp) {
        let knock = self.step(pair, index);
        let packet = self.packet(pair, knock, pair.flags);
        self.send(packet, at);
    }

    fn retransmit(&mut self, back: u8, at: Timestamp) {
        if let Some(packet) = self.earlier_packet(back) {
            self.send(packet, at);
        }
    }

    fn send(&mut self, packet: Packet, at: Timestamp) {
        self.history.push(packet);
        self.emit(Input::Packet(packet, at));
    }

    fn emit(&mut self, input: Input) {
        self.reference.handle(&input);
        if let (Input::Packet(..), Some(at)) = (&input, stamp(&input)) {
            self.marks.packet = at;
        }
        for output in self.reference.drain() {
            self.marks.note(&output);
        }
        self.inputs.push(input);
    }

    /// Makes a packet of the pair with ports and a sequence number of its own.
    fn packet(&mut self, pair: &Pair, knock: Knock, flags: TcpFlags) -> Packet {
        self.fresh += 1;
        let transport = match knock.protocol {
            Protocol::Tcp => {
                Transport::Tcp { sequence_number: 1_000_003 * u32::from(self.fresh), flags }
            }
            Protocol::Udp => Transport::Udp,
        };
        Packet {
            source: pair.source,
            destination: pair.destination,
            source_port: 40_000 + self.fresh,
            destination_port: knock.port.get(),
            transport,
        }
    }

    fn earlier_packet(&self, back: u8) -> Option<Packet> {
        let count = self.history.len();
        (count > 0).then(|| self.history[count - 1 - usize::from(back) % count])
    }

    /// Makes a second try of a packet: with a new source port, else a new sequence number.
    fn try_again(&mut self, packet: Packet, has_new_port: bool) -> Packet {
        self.fresh += 1;
        match packet.transport {
            Transport::Tcp { flags, .. } if !has_new_port => {
                let sequence_number = 1_000_003 * u32::from(self.fresh);
                Packet { transport: Transport::Tcp { sequence_number, flags }, ..packet }
            }
            Transport::Tcp { .. } | Transport::Udp => {
                Packet { source_port: 40_000 + self.fresh, ..packet }
            }
        }
    }

    /// The stage of the pair's attempt; 0 without one.
    fn stage(&self, pair: &Pair) -> usize {
        self.reference.stage(pair.door, pair.source).unwrap_or(0)
    }

    /// A step of the door's current sequence, counted from 0; any where the door is disabled.
    fn step(&self, pair: &Pair, index: usize) -> Knock {
        let port = NonZeroU16::new(1000).unwrap();
        let any = Knock { protocol: Protocol::Tcp, port };
        self.reference.sequence(pair.door).map_or(any, |sequence| {
            let knocks = sequence.knocks();
            knocks[index % knocks.len()]
        })
    }

    /// Chooses a source, a door, and a destination that the door sees.
    fn pair(&self, source: u8, door: u8) -> Option<Pair> {
        let source = address(SOURCES[usize::from(source) % SOURCES.len()]);
        let doors = self.reference.config().doors;
        let door_index = usize::from(door) % doors.len().max(1);
        let door = doors.get(door_index)?;
        let local = match &self.local {
            LocalAddresses::Unknown => vec![address(DESTINATIONS[0]), address(DESTINATIONS[1])],
            LocalAddresses::Known(addresses) => addresses.clone(),
        };
        let choices = if door.targets.is_empty() { &local } else { &door.targets };
        let of_family = choices.iter().find(|choice| choice.is_ipv6() == source.is_ipv6());
        let destination = *of_family.or(choices.first())?;
        Some(Pair { source, door: door_index, destination, flags: door.flags.required() })
    }

    /// Finds the stamp that a gap means.
    fn resolve(&self, gap: Gap) -> Timestamp {
        let has_begun = self.reference.now() > Timestamp::ZERO;
        let now = if has_begun { self.reference.now() } else { self.start };
        match gap {
            Gap::Zero => now,
            Gap::Nano => now.saturating_add(Duration::from_nanos(1)),
            Gap::Later(millis) => now.saturating_add(Duration::from_millis(millis.into())),
            Gap::AtDeadline(nanos) => {
                let deadline = self.reference.poll_timeout().map_or(now, |deadline| deadline.at);
                let nanos = deadline.as_nanos().saturating_add_signed(nanos.into());
                Timestamp::from_nanos(nanos)
            }
            Gap::AtSpanEnd { span, door, is_early } => {
                let end = self.span_end(span, door).unwrap_or(now);
                now.max(before(end, Duration::from_nanos(is_early.into())))
            }
            Gap::Reordered(millis) => before(now, Duration::from_millis(millis.into())),
            Gap::SmallestStepBack => before(now, SECOND + Duration::from_nanos(1)),
            Gap::StepBack(seconds) => before(now, Duration::from_secs(seconds.into())),
            Gap::NearMax(millis) => before(Timestamp::MAX, Duration::from_millis(millis.into())),
            Gap::NearZero(millis) => {
                Timestamp::ZERO.saturating_add(Duration::from_millis(millis.into()))
            }
        }
    }

    /// When a span of a door ends that began at its last mark.
    fn span_end(&self, span: Span, door: u8) -> Option<Timestamp> {
        let doors = self.reference.config().doors;
        let door = doors.get(usize::from(door) % doors.len().max(1))?;
        let limit = door.failure_limit;
        let (mark, span) = match span {
            Span::Memory => (self.marks.packet, door.retransmit_window),
            Span::Cooldown => (self.marks.start, door.cooldown),
            Span::FailureWindow => (self.marks.failure, limit?.window),
            Span::Lockout => (self.marks.lockout, limit?.lockout),
        };
        Some(mark.saturating_add(span))
    }

    /// Changes a config; what is about a door changes nothing where there is none.
    fn edit(&self, config: &mut Config, edit: &Edit) {
        let doors = &mut config.doors;
        let index = |door: &u8| usize::from(*door) % doors.len();
        match edit {
            Edit::Original => *config = self.original.clone(),
            Edit::Limits { attempts, leases } => {
                config.options.max_attempts = (*attempts).into();
                config.options.max_leases = (*leases).into();
            }
            _ if doors.is_empty() => {}
            Edit::Remove(door) => drop(doors.remove(index(door))),
            Edit::MoveToFront(door) => {
                let index = index(door);
                doors[..=index].rotate_right(1);
            }
            Edit::Duplicate(door) => doors.push(doors[index(door)].clone()),
            Edit::Change(door, change) => {
                let index = index(door);
                change_door(Arc::make_mut(&mut doors[index]), *change);
            }
        }
    }
}

fn change_door(door: &mut Door, change: Change) {
    match change {
        Change::Name => door.name = if door.name == "a" { "b" } else { "a" }.to_owned(),
        Change::CommandTimeout(millis) => door.cmd_timeout = Duration::from_millis(millis.into()),
        Change::Stop(has_stop) => {
            door.commands.stop = has_stop.then(|| Command::new("down again %IP%")).flatten();
        }
        Change::Grant => door.grant = Grant::new(16, 56).unwrap(),
        Change::AppendLine => {
            if let Sequences::OneTime { lines, .. } = &mut door.sequences
                && let Some(last) = lines.last().cloned()
            {
                lines.push(OneTimeLine { number: last.number + 1, ..last });
            }
        }
    }
}

/// A source at a door.
struct Pair {
    source: IpAddr,
    door: usize,
    /// A destination that the door sees.
    destination: IpAddr,
    /// Flags that satisfy the door's knock flags.
    flags: TcpFlags,
}

impl Marks {
    fn note(&mut self, output: &Output) {
        match output {
            Output::Action(Action::Start { at, .. }) => self.start = *at,
            Output::Action(Action::Consume { .. } | Action::Renew { .. } | Action::Stop { .. })
            | Output::Event(Event::ClockStep { .. } | Event::Disabled { .. }) => {}
            Output::Event(Event::Door(event)) => {
                if matches!(event.kind, EventKind::Reset(_) | EventKind::Timeout) {
                    self.failure = event.at;
                } else if event.kind == EventKind::Lockout {
                    self.lockout = event.at;
                }
            }
        }
    }
}

fn before(at: Timestamp, span: Duration) -> Timestamp {
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    Timestamp::from_nanos(at.as_nanos().saturating_sub(nanos))
}
