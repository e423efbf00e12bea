//! A model world around engine and supervisor: a firewall, a disk, and children that take time.

#![expect(clippy::unwrap_used, reason = "the lint knows only functions marked as tests")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use knock_engine::config::{OnStop, parse};
use knock_engine::local::LocalAddresses;
use knock_engine::output::{Action, EventKind, Output};
use knock_engine::packet::{Packet, TcpFlags, Transport};
use knock_engine::time::Timestamp;
use knock_engine::{Engine, HashKey};
use knockd::ledger::{Entry, HoldId, Record, StartOutcome};
use knockd::log::{CommandEvent, CommandKind, Exit, Subject, What};
use knockd::supervisor::{
    ChildId, Effect, GivenUp, Limits, Mode, Spawn, Supervisor, Write, WriteId,
};

/// Doors whose firewalls behave differently: rules that are counted, as iptables has them, and
/// an element of a set, as nft has it. The third runs a start alone.
const CONFIG: &str = "\
[counted]
sequence = 7000
start_command = add counted %IP%
stop_command = del counted %IP%
cmd_timeout = 10
[set]
sequence = 8000
start_command = add set %IP%
stop_command = del set %IP%
check_command = get set %IP%
cmd_timeout = 10
[bell]
sequence = 9000
start_command = ring %IP%
";

/// A boot of the daemon in its world, and the world itself.
pub(crate) struct World {
    engine: Engine,
    supervisor: Supervisor,
    limits: Limits,
    pub(crate) now: Timestamp,
    /// How often each thing is open.
    pub(crate) firewall: BTreeMap<(String, String), u32>,
    /// What is safe on disk.
    disk: Vec<Record>,
    /// What was to be written, and is not answered yet.
    pub(crate) writes: VecDeque<(WriteId, Write)>,
    pub(crate) children: BTreeMap<ChildId, Spawn>,
    pub(crate) killed: BTreeSet<ChildId>,
    pub(crate) sequences_read: usize,
    opens: u32,
    starts: u32,
    /// Everything that happened, for stories.
    pub(crate) trace: String,
    next_port: u16,
}

impl World {
    pub(crate) fn new(max_commands: usize) -> Self {
        let limits = Limits { max_commands, command_timeout: Duration::from_secs(30) };
        let now = Timestamp::from_nanos(1_000_000_000_000);
        Self {
            engine: engine(CONFIG),
            supervisor: Supervisor::new(limits, Mode::Live, HoldId(1)),
            limits,
            now,
            firewall: BTreeMap::new(),
            disk: Vec::new(),
            writes: VecDeque::new(),
            children: BTreeMap::new(),
            killed: BTreeSet::new(),
            sequences_read: 0,
            opens: 0,
            starts: 0,
            trace: String::new(),
            next_port: 1024,
        }
    }

    /// A source knocks at the door of this port.
    pub(crate) fn knock(&mut self, source: u8, port: u16) {
        self.next_port = self.next_port.checked_add(1).unwrap_or(1024);
        let packet = Packet {
            source: IpAddr::V4(Ipv4Addr::new(198, 51, 100, source)),
            destination: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            source_port: self.next_port,
            destination_port: port,
            transport: Transport::Tcp {
                sequence_number: u32::from(self.next_port),
                flags: TcpFlags::SYN,
            },
        };
        self.engine.handle_packet(&packet, self.now);
        self.hand_over();
    }

    /// Time runs on, through every deadline on the way.
    pub(crate) fn advance(&mut self, span: Duration) {
        let until = self.now.saturating_add(span);
        while let Some(next) = self.next_deadline().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.wake();
        }
        self.now = until;
        self.wake();
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let engine = self.engine.poll_timeout().map(|deadline| deadline.at);
        engine.into_iter().chain(self.supervisor.poll_timeout()).min()
    }

    fn wake(&mut self) {
        self.engine.handle_timeout(self.now);
        self.hand_over();
        self.supervisor.handle_timeout(self.now);
        self.carry_out();
    }

    fn hand_over(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            if let Output::Event(knock_engine::output::Event::Door(event)) = &output {
                self.opens += u32::from(event.kind == EventKind::Open);
            }
            if let Output::Action(Action::Consume { .. }) = &output {
                panic!("no door has one-time sequences");
            }
            self.supervisor.handle_output(output, self.now);
        }
        self.carry_out();
    }

    /// Carries the effects out as far as the world does that at once.
    fn carry_out(&mut self) {
        while let Some(effect) = self.supervisor.poll_effect() {
            match effect {
                Effect::Log(message) => self.tell(&message.what),
                Effect::Write { id, write } => self.writes.push_back((id, write)),
                Effect::Spawn(spawn) => self.spawn(spawn),
                Effect::Kill { child } => {
                    self.killed.insert(child);
                }
                Effect::ReadSequencesAgain => self.sequences_read += 1,
            }
        }
    }

    /// Checks, at the moment of a start, that its stop is safe, and that its lane is free.
    fn spawn(&mut self, spawn: Spawn) {
        let same_lane = |other: &Spawn| (&other.door, other.source) == (&spawn.door, spawn.source);
        assert!(!self.children.values().any(same_lane), "a lane runs one command at a time");
        let class = |kind: CommandKind| kind == CommandKind::Stop;
        let in_class = self.children.values().filter(|it| class(it.kind) == class(spawn.kind));
        assert!(in_class.count() < self.limits.max_commands, "no more than max_commands");
        if spawn.kind == CommandKind::Start {
            self.starts += 1;
            let owed = entries(&self.disk).into_iter().any(|entry| {
                entry.door == spawn.door && entry.source == spawn.source && !entry.given_up
            });
            assert!(owed || spawn.door == "bell", "no start before its stop is safe");
        }
        self.children.insert(spawn.child, spawn);
    }

    fn tell(&mut self, what: &What) {
        let seconds = (self.now.as_nanos() - 1_000_000_000_000) / 1_000_000;
        let _ = match what {
            What::Event(_) | What::NotLogged { .. } | What::Lost { .. } => Ok(()),
            What::Command { subject, kind, event } => {
                let Subject { door, source } = subject;
                let event = if let CommandEvent::Running { command } = event {
                    format!("runs {command}")
                } else {
                    format!("{event:?}")
                };
                writeln!(self.trace, "{seconds} ms {door} {source} {}: {event}", kind.name())
            }
            What::Notice { text, .. } => writeln!(self.trace, "{seconds} ms {text}"),
        };
    }

    /// The disk answers its oldest write.
    pub(crate) fn answer_write(&mut self, result: Result<(), String>) {
        let Some((id, write)) = self.writes.pop_front() else { return };
        if let (Write::Ledger(record), Ok(())) = (write, &result) {
            self.disk.push(record);
        }
        self.supervisor.handle_written(id, result, self.now);
        self.carry_out();
    }

    /// The `nth` child ends: as the firewall has it, or otherwise with no effect.
    pub(crate) fn end_child(&mut self, nth: usize, hindrance: Option<Exit>) {
        let Some(child) = self.children.keys().nth(nth).copied() else { return };
        let spawn = self.children.remove(&child).unwrap();
        let exit = match hindrance {
            None if self.killed.contains(&child) => Exit::Signal(9),
            None => Exit::Status(self.effect(&spawn.command)),
            Some(exit) => exit,
        };
        self.supervisor.handle_exit(child, exit, self.now);
        self.carry_out();
    }

    /// What a command does to the firewall, and its status.
    fn effect(&mut self, command: &str) -> i32 {
        let mut words = command.split(' ').map(str::to_owned);
        let (verb, kind) = (words.next().unwrap(), words.next().unwrap());
        let Some(source) = words.next() else { return 0 };
        let count = self.firewall.entry((kind.clone(), source)).or_default();
        let was = *count;
        *count = match (verb.as_str(), kind.as_str()) {
            ("add", "set") => 1,
            ("add", _) => was + 1,
            ("del", _) => was.saturating_sub(1),
            _ => was,
        };
        i32::from(verb != "add" && was == 0)
    }

    /// Somebody flushes the firewall.
    pub(crate) fn flush(&mut self) {
        self.firewall.clear();
    }

    /// The daemon is killed, with its children, and comes back. Of what was to be written, the
    /// oldest `written` are on disk; each child has had its effect if its bit is set.
    pub(crate) fn crash(&mut self, written: usize, effects: u8, has_booted: bool) {
        for (id, write) in self.writes.drain(..).take(written) {
            let _: WriteId = id;
            if let Write::Ledger(record) = write {
                self.disk.push(record);
            }
        }
        let children = std::mem::take(&mut self.children);
        for (index, spawn) in children.values().enumerate() {
            if effects >> (index % 8) & 1 == 1 {
                self.effect(&spawn.command);
            }
        }
        self.killed.clear();
        let mut owed = entries(&self.disk);
        if has_booted {
            self.firewall.clear();
            owed.iter_mut().for_each(|entry| entry.deadline = None);
        }
        let next = self.disk.iter().map(|record| record.hold().0 + 1).max().unwrap_or(1);
        self.engine = engine(CONFIG);
        self.supervisor = Supervisor::new(self.limits, Mode::Live, HoldId(next));
        self.supervisor.recover(owed, GivenUp::Leave, self.now);
        self.carry_out();
    }

    /// Everything works from now on: writes are answered, children end, and time runs on until
    /// nothing is left to do. Then no door is open, nothing is owed, and no start was made up.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            self.work();
            match self.next_deadline() {
                Some(next) => {
                    self.now = self.now.max(next);
                    self.wake();
                }
                None if self.is_idle() => break,
                None => {}
            }
        }
        assert!(self.is_idle(), "the world comes to rest");
        let open: Vec<_> = self.firewall.iter().filter(|(_, count)| **count > 0).collect();
        assert!(open.is_empty(), "open for ever: {open:?}\n{}", self.trace);
        let owed: Vec<_> =
            entries(&self.disk).into_iter().filter(|entry| !entry.given_up).collect();
        assert!(owed.is_empty(), "owed for ever: {owed:?}\n{}", self.trace);
        assert_eq!(self.supervisor.open_doors(), 0);
    }

    /// Lets everything that can end now end.
    pub(crate) fn work(&mut self) {
        while !self.is_idle() {
            self.answer_write(Ok(()));
            self.end_child(0, None);
        }
    }

    fn is_idle(&self) -> bool {
        self.writes.is_empty() && self.children.is_empty()
    }

    /// Checks that no more starts ran than doors opened; a flushed firewall's may run again.
    pub(crate) fn assert_starts_are_earned(&self) {
        assert!(self.starts <= self.opens, "{} starts of {} opens", self.starts, self.opens);
    }

    pub(crate) fn stop(&mut self, on_stop: OnStop) -> bool {
        self.supervisor.handle_stop(on_stop, self.now);
        self.carry_out();
        self.supervisor.is_finished()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.supervisor.is_finished()
    }

    pub(crate) fn owed(&self) -> Vec<Entry> {
        entries(&self.disk)
    }

    pub(crate) fn count(&self, kind: &str, source: u8) -> u32 {
        let source = format!("198.51.100.{source}");
        self.firewall.get(&(kind.to_owned(), source)).copied().unwrap_or(0)
    }

    pub(crate) fn is_open(&self, kind: &str, source: u8) -> bool {
        self.count(kind, source) > 0
    }
}

fn engine(config: &str) -> Engine {
    let config = parse(config.as_bytes()).config.unwrap();
    Engine::new(config, LocalAddresses::Unknown, HashKey::default())
}

/// What records come to, naively.
fn entries(records: &[Record]) -> Vec<Entry> {
    let mut entries: BTreeMap<HoldId, Entry> = BTreeMap::new();
    for record in records {
        let hold = record.hold();
        if let Record::Intent { door, source, network, stop, deadline, .. } = record {
            let entry = Entry {
                hold,
                door: door.clone(),
                source: *source,
                network: *network,
                stop: stop.clone(),
                deadline: Some(*deadline),
                started: None,
                stop_begun: false,
                given_up: false,
            };
            assert!(entries.insert(hold, entry).is_none(), "a number is used once");
            continue;
        }
        // A renewal can be written before it shows that the intent could not be.
        let Some(entry) = entries.get_mut(&hold) else { continue };
        match record {
            Record::Intent { .. } => {}
            Record::Started { outcome, .. } => {
                let _: StartOutcome = *outcome;
                entry.started = Some(*outcome);
            }
            Record::Renewed { deadline, .. } => entry.deadline = Some(*deadline),
            Record::StopBegun { .. } => entry.stop_begun = true,
            Record::GivenUp { .. } => entry.given_up = true,
            Record::Ended { .. } => {
                entries.remove(&hold);
            }
        }
    }
    entries.into_values().collect()
}
