//! The shell: the one loop that waits, and does what engine and supervisor say.
//!
//! One thread and one place to wait: capture sockets, children, the disk's answers, netlink,
//! signals, and one alarm for the next deadline of anybody. Nothing here decides about a knock or
//! a command.

mod closing;
mod losses;
mod reload;
mod startup;

use std::collections::BTreeSet;

use anyhow::Context as _;
use knock_engine::Engine;
use knock_engine::config::Config;
use knock_engine::packet::{Packet, TcpFlags};
use knock_engine::time::Timestamp;
use knock_engine::wire::{self, LinkType};
use knock_frontend::recording::{self, Note};

pub use closing::close_all;
pub use startup::run;

use self::losses::Losses;
use crate::capture::{self, Captures, Drained};
use crate::cli::Cli;
use crate::clock::Clock;
use crate::disk::Disk;
use crate::host::Host;
use crate::log::{Logger, Message, Severity, What};
use crate::process::children::{Children, Report};
use crate::process::event_loop::{EventLoop, Interest, Ready};
use crate::process::notify::{Notifier, Watchdog};
use crate::process::privileges::Kept;
use crate::process::signals::{Asked, Signals};
use crate::recorder::Recorder;
use crate::settings::{Families, Settings};
use crate::supervisor::{Effect, Supervisor};

/// How many packets of a socket are read before anybody else gets a turn.
const PACKETS_A_TURN: usize = 1024;

/// What the event loop waits for, besides capture sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Signals,
    Host,
    Disk,
    Children,
}

impl Token {
    /// The first number of a capture socket's token.
    const CAPTURES: u64 = 4;

    const fn number(self) -> u64 {
        self as u64
    }
}

/// The daemon at work.
struct Daemon {
    clock: Clock,
    /// The command line, which a reload merges with the new config.
    cli: Cli,
    settings: Settings,
    config: Config,
    kept: Kept,
    event_loop: EventLoop,
    signals: Signals,
    host: Host,
    captures: Captures,
    engine: Engine,
    supervisor: Supervisor,
    hands: Hands,
    notifier: Notifier,
    watchdog: Option<Watchdog>,
    /// The capture sockets that the event loop knows.
    heard: BTreeSet<capture::Token>,
    /// When the alarm goes off, as it was last set.
    alarm: Option<Timestamp>,
    losses: Losses,
}

/// What carries effects out.
struct Hands {
    clock: Clock,
    /// `None` in a dry run, which writes nothing.
    disk: Option<Disk>,
    /// `None` where nothing is recorded.
    recorder: Option<Recorder>,
    children: Children,
    logger: Logger,
    /// Whether one-time files are to be read again.
    reads_again: bool,
}

impl Hands {
    /// Carries out everything that a supervisor wants done.
    fn carry_out(&mut self, supervisor: &mut Supervisor) {
        while let Some(effect) = supervisor.poll_effect() {
            match effect {
                Effect::Log(message) => self.tell(&message),
                Effect::Write { id, write } => {
                    if let Some(disk) = &mut self.disk {
                        disk.send(id, write);
                    }
                }
                Effect::Spawn(spawn) => {
                    if let Err(exit) = self.children.spawn(&spawn) {
                        supervisor.handle_exit(spawn.child, exit, self.clock.now());
                    }
                }
                Effect::Kill { child } => self.children.kill(child),
                Effect::ReadSequencesAgain => self.reads_again = true,
            }
        }
    }

    /// Hands the disk's answers over.
    fn take_answers(&mut self, supervisor: &mut Supervisor) {
        let now = self.clock.now();
        for (id, result) in self.disk.iter_mut().flat_map(Disk::take_answers) {
            supervisor.handle_written(id, result, now);
        }
    }

    /// Hands over how children ended, and logs what they printed.
    fn look_after_children(&mut self, supervisor: &mut Supervisor) {
        let now = self.clock.now();
        let mut told = Vec::new();
        self.children.handle_ready(&mut |report| match report {
            Report::Output { subject, kind, event } => {
                told.push(What::Command { subject, kind, event });
            }
            Report::Exited { child, exit } => supervisor.handle_exit(child, exit, now),
        });
        for what in told {
            self.tell(&Message { at: now, what });
        }
    }

    /// Logs a message, and records it.
    fn tell(&mut self, message: &Message) {
        if let Some(recorder) = &mut self.recorder {
            recorder.message(message, self.clock.now());
        }
        self.logger.log(message, self.clock);
    }

    /// Records what the engine was just told.
    fn record(&mut self, note: Note) {
        if let Some(recorder) = &mut self.recorder {
            recorder.note(note);
        }
    }

    fn notice(&mut self, severity: Severity, text: String) {
        notice(&mut self.logger, self.clock, severity, text);
    }
}

/// Says something about the daemon itself.
fn notice(logger: &mut Logger, clock: Clock, severity: Severity, text: String) {
    let what = What::Notice { severity, text };
    logger.log(&Message { at: clock.now(), what }, clock);
}

impl Daemon {
    /// Waits and works until it is asked to stop.
    fn work(&mut self) -> anyhow::Result<()> {
        let mut ready = Vec::new();
        // What the ledger asked for at start-up comes before the first wait.
        self.hands.carry_out(&mut self.supervisor);
        loop {
            self.set_alarm()?;
            self.event_loop.wait(&mut ready).context("cannot wait for events")?;
            let mut asked = Asked::default();
            for event in ready.drain(..) {
                self.handle(event, &mut asked);
            }
            self.listen();
            self.wake();
            if asked.stop {
                return Ok(());
            }
            if asked.reload {
                self.reload();
            }
        }
    }

    fn handle(&mut self, ready: Ready, asked: &mut Asked) {
        match ready {
            Ready::Alarm => self.alarm = None,
            Ready::Token(number) if number == Token::Signals.number() => {
                *asked = self.signals.take();
            }
            Ready::Token(number) if number == Token::Host.number() => self.follow_host(),
            Ready::Token(number) if number == Token::Disk.number() => {
                self.hands.take_answers(&mut self.supervisor);
            }
            Ready::Token(number) if number == Token::Children.number() => {
                self.hands.look_after_children(&mut self.supervisor);
            }
            // The sockets are read in any case.
            Ready::Token(_) => {}
        }
    }

    /// Reads what the sockets have, each for a turn. Where all of it was read, time is told to
    /// the engine: every packet from before has been handed over (S2).
    fn listen(&mut self) {
        let mut is_quiet = true;
        let mut has_failed = false;
        let mut has_heard = false;
        let families = self.settings.families;
        let Self { captures, engine, supervisor, hands, clock, .. } = self;
        for token in &self.heard {
            let drained = captures.drain(*token, PACKETS_A_TURN, &mut |interface, link, bytes| {
                has_heard = true;
                let now = clock.now();
                if hear(engine, families, (link, bytes), now) {
                    if let Some(recorder) = &mut hands.recorder {
                        record(recorder, engine, (interface, link, bytes), now);
                    }
                    hand_over(engine, supervisor, now);
                    hands.carry_out(supervisor);
                }
            });
            is_quiet &= drained != Drained::More;
            has_failed |= drained == Drained::Failed;
        }
        if is_quiet {
            let now = self.clock.now();
            self.engine.handle_timeout(now);
            if self.engine.has_output() {
                self.hands.record(Note::Wake { at: now });
            }
        }
        if has_failed {
            self.reconcile();
        }
        if has_heard {
            self.losses.note_traffic(self.clock.now());
        }
    }

    /// Does what is due by now.
    fn wake(&mut self) {
        let now = self.clock.now();
        hand_over(&mut self.engine, &mut self.supervisor, now);
        self.supervisor.handle_timeout(now);
        self.hands.carry_out(&mut self.supervisor);
        self.hands.logger.handle_timeout(now, self.clock);
        if self.watchdog.as_mut().is_some_and(|watchdog| watchdog.handle_timeout(now)) {
            // A service manager that is gone does not mind.
            let _ = self.notifier.alive();
        }
        if self.losses.is_due(now) {
            self.tell_losses(now);
        }
        if self.captures.next_retry().is_some_and(|at| at <= now) {
            self.reconcile();
        }
        if std::mem::take(&mut self.hands.reads_again) {
            self.read_sequences_again();
        }
        self.look_after_recording(now);
    }

    /// Begins a new file of the recording where it is time, and says what is wrong with it.
    fn look_after_recording(&mut self, now: Timestamp) {
        let Some(recorder) = &mut self.hands.recorder else { return };
        // What a new config has brought about is told to the file at hand.
        if !self.engine.has_output() && recorder.is_due(now) {
            recorder.begin(&self.engine, now);
        }
        if let Some(news) = recorder.take_news() {
            self.hands.notice(Severity::Warning, news);
        }
    }

    /// Sets the alarm to the next deadline of anybody, where that has changed.
    fn set_alarm(&mut self) -> anyhow::Result<()> {
        let deadlines = [
            self.engine.poll_timeout().map(|deadline| deadline.at),
            self.supervisor.poll_timeout(),
            self.hands.logger.poll_timeout(),
            self.watchdog.as_ref().map(Watchdog::poll_timeout),
            self.captures.next_retry(),
            self.losses.poll_timeout(),
        ];
        let next = deadlines.into_iter().flatten().min();
        if next != self.alarm {
            let since_boot = next.map(|at| self.clock.since_boot(at));
            self.event_loop.set_alarm(since_boot).context("cannot set the alarm")?;
            self.alarm = next;
        }
        Ok(())
    }

    /// Follows what has changed about the host.
    fn follow_host(&mut self) {
        match self.host.read_events() {
            Ok(changes) if changes.any() => {
                if changes.addresses {
                    let local = self.host.network().local_addresses();
                    let at = self.clock.now();
                    let addresses = recording::addresses(&local);
                    self.hands.record(Note::LocalAddresses { at, addresses });
                    self.engine.handle_local_addresses(local);
                }
                if changes.default_routes {
                    let names = startup::names_to_hear(&self.settings.listen, self.host.network());
                    self.captures.set_names(names);
                }
                self.reconcile();
            }
            Ok(_) => {}
            Err(error) => self.hands.notice(Severity::Error, error.to_string()),
        }
    }

    /// Makes the sockets match the host's interfaces, and says what that came to.
    fn reconcile(&mut self) {
        for change in self.captures.reconcile(self.host.network(), self.clock.now()) {
            self.hands.notice(change.severity(), change.to_string());
        }
        let mut failures = Vec::new();
        let mut open = BTreeSet::new();
        for (token, fd) in self.captures.fds() {
            open.insert(token);
            if !self.heard.contains(&token) {
                let number = Token::CAPTURES + token.0;
                failures.extend(self.event_loop.register(fd, number, Interest::Readable).err());
            }
        }
        self.heard = open;
        for error in failures {
            self.hands.notice(Severity::Error, format!("cannot wait for packets: {error}"));
        }
    }

    fn tell_losses(&mut self, now: Timestamp) {
        for (interface, drops) in self.captures.drops() {
            let text = format!(
                "{interface}: the kernel dropped {drops} packets that came too fast; knocks among \
                 them are lost (a larger BufferSize helps against short bursts)"
            );
            self.hands.notice(Severity::Warning, text);
        }
        if let Some(evicted) = self.losses.evictions_to_tell(self.engine.stats().evicted, now) {
            let text = format!(
                "the table of attempts is full: {evicted} made room for newer ones, those at their \
                 first knock before others (max_attempts = {} in the config)",
                self.config.options.max_attempts
            );
            self.hands.notice(Severity::Warning, text);
        }
    }
}

/// Hands the engine a frame, if it could concern a door. Tells whether it did.
fn hear(
    engine: &mut Engine,
    families: Families,
    (link, bytes): (LinkType, &[u8]),
    now: Timestamp,
) -> bool {
    if let Some(glance) = wire::glance(link, bytes)
        && !engine.is_candidate(glance.protocol, glance.destination_port, glance.flags)
    {
        return false;
    }
    // What can't be decoded is no packet to the engine (S3).
    let Ok(segment) = wire::decode(link, bytes) else { return false };
    let flags = segment.tcp_flags().unwrap_or(TcpFlags::NONE);
    if !engine.is_candidate(segment.protocol(), segment.destination_port(), flags) {
        return false;
    }
    let packet: Packet = segment.packet();
    if !families.admit(packet.destination) {
        return false;
    }
    engine.handle_packet(&packet, now);
    true
}

/// Records the packet that the engine was just given if it changed anything, else that deadlines
/// fired.
fn record(
    recorder: &mut Recorder,
    engine: &Engine,
    (interface, link, bytes): (&str, LinkType, &[u8]),
    now: Timestamp,
) {
    if engine.was_noticed() {
        recorder.packet(interface, (link, bytes), now);
    } else if engine.has_output() {
        recorder.note(Note::Wake { at: now });
    }
}

/// Hands the engine's outputs to the supervisor.
fn hand_over(engine: &mut Engine, supervisor: &mut Supervisor, now: Timestamp) {
    while let Some(output) = engine.poll_output() {
        supervisor.handle_output(output, now);
    }
}
