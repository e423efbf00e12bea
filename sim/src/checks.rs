//! What must hold after every turn of the daemon, at its death, and in the end.

use std::path::Path;
use std::sync::Arc;

use knock_engine::config::{Door, Sequences};
use knock_engine::output::{Event, EventKind, ResetReason};
use knockd::daemon::World as _;
use knockd::ledger::{Entry, Ledger};
use knockd::log::{CommandEvent, CommandKind, Exit, Message, Subject, What};
use knockd::supervisor::Spawn;

use crate::life::Life;
use crate::marks::sometimes;
use crate::model::Deed;
use crate::oracle::Credit;
use crate::plan::RECORD;
use crate::recording;
use crate::schedule::{MILLI, SECOND};
use crate::world::{Checked, World, ledger_path};

/// The longest wait before a stop is tried again, and some time for it: ten tries take ten minutes.
const LONGEST_RETRIES: u64 = 700 * SECOND;

impl World {
    /// Checks what the daemon did in a turn, before which it had put so many configs in place.
    pub(crate) fn check_turn(&mut self, before: u64) -> Checked {
        let Some(life) = &mut self.life else { return Ok(()) };
        let is_dead = life.fate.is_dead();
        let given = std::mem::take(&mut life.ears.given);
        let mut woken = life.ears.woken.take();
        if is_dead {
            // Whatever it told before it died is a part of what it would have told by now.
            woken = Some(life.daemon.hands.world.now());
        }
        life.oracle.hear(&given, woken);
        if before != life.daemon.configs() {
            let now = life.daemon.hands.world.now();
            life.oracle.reload(life.daemon.config(), now);
            let most = usize::from(life.daemon.config().options.max_commands);
            life.max_commands = life.max_commands.max(most);
        }
        let deeds = std::mem::take(&mut life.daemon.hands.world.deeds);
        if deeds.is_empty() && given.is_empty() {
            return Ok(());
        }
        let mut spawned = Vec::new();
        for deed in deeds {
            match deed {
                Deed::Told(Message { at, what: What::Event(event) }) => {
                    self.trail.add(&(at.as_nanos(), event.name()));
                    mark_event(&event, &life.told);
                    if self.is_keeping {
                        self.story.push(crate::oracle::name(Some(&event)));
                    }
                    life.told.push(event);
                }
                Deed::Told(message) => {
                    if self.is_keeping {
                        self.story.push(format!("{} {:?}", message.at, message.what));
                    }
                    mark_message(&message, &life.told);
                }
                Deed::Spawned(spawn) => {
                    self.trail.add(&(self.earth.now.get(), &spawn.command));
                    spawned.push(spawn);
                }
            }
        }
        self.trail.add(&(self.earth.now.get(), life.fate.effects()));
        // A packet of anybody moves the daemon's time, and a model hears of few: so only what has
        // come of all packets that are there can be compared.
        if woken.is_some() {
            life.oracle.compare(&life.told[life.compared..], is_dead)?;
            life.compared = life.told.len();
        }
        self.check_limits()?;
        for spawn in spawned.iter().filter(|spawn| spawn.kind == CommandKind::Start) {
            self.check_start(spawn)?;
        }
        Ok(())
    }

    /// No table and no class of commands is ever larger than its limit.
    fn check_limits(&self) -> Checked {
        let Some(life) = &self.life else { return Ok(()) };
        let (starts, stops) = life.daemon.hands.world.running();
        let most = life.max_commands;
        if starts > most || stops > most {
            return Err(format!("{starts} starts and {stops} stops run, and the limit is {most}"));
        }
        let (stats, options) = (life.daemon.engine().stats(), &life.daemon.config().options);
        let exceeds =
            |count: usize, limit: u32| u64::try_from(count).is_ok_and(|it| it > u64::from(limit));
        if exceeds(stats.places, options.max_attempts) || exceeds(stats.leases, options.max_leases)
        {
            return Err(format!("a table is larger than its limit: {stats:?}"));
        }
        Ok(())
    }

    /// A start must be earned by a completed knock that no start has run for, its stop must be safe
    /// on disk, and so must the mark of its one-time line, for which nothing has run before.
    fn check_start(&mut self, spawn: &Spawn) -> Checked {
        self.counts.starts += 1;
        let subject = Subject { door: spawn.door.clone(), source: spawn.source };
        let files = &self.files;
        let is_marked = |path: &str, line: usize| {
            let content = files.safe_content(Path::new(path)).unwrap_or_default();
            let text = content.split(|byte| *byte == b'\n').nth(line - 1).unwrap_or_default();
            text.starts_with(b"#")
        };
        let opened = &self.opened;
        let accepts = |credit: &Credit| {
            credit.line.as_ref().is_none_or(|(path, line)| {
                is_marked(path, *line) && !opened.contains(&(path.clone(), *line))
            })
        };
        let Some(life) = &mut self.life else { return Ok(()) };
        let credit = life.oracle.spend(&subject, accepts)?;
        let has_stop = spawn.command.starts_with("add ");
        let is_owed = |entry: &Entry| entry.door == spawn.door && entry.source == spawn.source;
        if has_stop && !self.is_rotten && !self.safe_entries()?.iter().any(is_owed) {
            return Err(format!("a start without a stop that is safe on disk: {}", spawn.command));
        }
        if let Some(line) = credit.line {
            self.opened.insert(line);
        }
        Ok(())
    }

    /// Returns what a power cut now would leave of the ledger for sure.
    fn safe_entries(&self) -> Result<Vec<Entry>, String> {
        let Some(life) = &self.life else { return Ok(Vec::new()) };
        let bytes = self.files.safe_content(&ledger_path(life)).unwrap_or_default();
        match Ledger::open_sized(bytes, life.boot, self.half_len) {
            Ok((_, recovered)) => Ok(recovered.entries),
            Err(_) if self.is_rotten => Ok(Vec::new()),
            Err(error) => Err(format!("the ledger on disk: {error}")),
        }
    }

    /// What a recording says must be what was told.
    pub(crate) fn check_recording(&mut self, life: &Life, has_ended: bool) -> Checked {
        let Some(recording) = &life.recording else { return Ok(()) };
        let begins = recording.begins.borrow().clone();
        let mut files = Vec::new();
        for (_, content) in self.files.contents(Path::new(RECORD)) {
            let replayed = recording::replay(&content, life.started)?;
            files.extend(replayed);
        }
        files.sort_by_key(|file| file.number);
        let is_later = files.iter().any(|file| file.number > 0);
        sometimes!(is_later, "a recording is replayed over more than one file");
        for (at, file) in files.iter().enumerate() {
            let number = usize::try_from(file.number).unwrap_or(usize::MAX);
            let Some(begin) = begins.get(number) else { continue };
            let begin = usize::try_from(*begin).unwrap_or(usize::MAX);
            let end = files.get(at + 1).filter(|next| next.number == file.number + 1);
            let end = end.filter(|next| next.lost == 0).and_then(|_| begins.get(number + 1));
            let told = life.told.get(begin..).unwrap_or_default();
            let (told, is_whole) = match end {
                Some(end) => {
                    let end = usize::try_from(*end).unwrap_or(usize::MAX);
                    (life.told.get(begin..end).unwrap_or_default(), true)
                }
                None => (told, has_ended && file.has_end),
            };
            recording::compare(file, told, is_whole)?;
            self.counts.recordings += 1;
        }
        Ok(())
    }

    /// Ends all faults and checks that the daemon puts everything right: all doors shut within
    /// their time and a second, nothing owed but what was given up, and a fresh knock opens.
    ///
    /// # Errors
    ///
    /// It does not.
    pub fn settle(&mut self) -> Checked {
        let starts_anew = self.chance(700);
        self.calm();
        if self.life.is_none() {
            self.start()?;
        } else if starts_anew {
            if self.chance(500) {
                self.kill();
                self.bury(false)?;
            } else {
                self.stop()?;
            }
            self.calm();
        }
        // What the network still had on its way comes first.
        let late = self.schedule.next().map_or(0, |_| 110 * SECOND);
        let mut until = self.earth.now.get() + late + (self.plan.longest_open() + 21) * SECOND;
        if !starts_anew {
            // A stop that was hindered waits for its next try.
            until += LONGEST_RETRIES + 2 * self.plan.command_timeout() * SECOND;
        }
        while self.step(until)? {}
        if self.life.is_none() {
            return Err("nothing is wrong any more, and it does not start".to_owned());
        }
        self.check_shut()?;
        // A stop that says no, because there is nothing left to do, is tried for ten minutes.
        while self.step(until + LONGEST_RETRIES)? {}
        // What says that nothing is owed any more can rot, too: then a stop runs once more.
        let owed = self.safe_entries()?;
        let left = owed.iter().find(|entry| !entry.given_up && !self.is_rotten);
        if let Some(entry) = left {
            return Err(format!("the ledger still owes {}", entry.stop));
        }
        self.check_fresh_knock()
    }

    fn check_shut(&self) -> Checked {
        let owed = self.safe_entries()?;
        let firewall = self.earth.firewall.borrow();
        for (table, address, count) in firewall.rules() {
            let stop = format!("del {table} {address}");
            let is_known = owed.iter().any(|entry| entry.given_up && entry.stop == stop);
            // A rotten last record looks like one that a crash has torn, which never counted.
            let is_lost = self.is_rotten;
            if !is_known && !is_lost {
                return Err(format!("left open: {count} times {table} for {address}"));
            }
        }
        Ok(())
    }

    fn check_fresh_knock(&mut self) -> Checked {
        let is_usable = |door: &&Arc<Door>| {
            let has_stop = door.commands.stop.is_some();
            has_stop && matches!(door.sequences, Sequences::Fixed(_))
        };
        let doors = self.doors();
        let Some(door) = doors.iter().find(is_usable) else { return Ok(()) };
        let source = std::net::IpAddr::from([203, 0, 113, 77]);
        if let Some(life) = &mut self.life {
            life.oracle.watch(source);
        }
        let start = door.start_command(source).map(|command| command.expand(source, door.grant));
        let start = start.unwrap_or_default();
        let words: Vec<&str> = start.split(' ').collect();
        let [_, table, address] = words[..] else { return Ok(()) };
        for step in self.steps(door) {
            let packet = self.packet(source, step);
            self.send(packet, self.earth.now.get());
            let soon = self.earth.now.get() + MILLI;
            while self.step(soon)? {}
        }
        let is_open = |world: &Self| world.earth.firewall.borrow().lets_in(table, address);
        let soon = self.earth.now.get() + SECOND;
        let mut has_opened = false;
        while self.step(soon)? {
            has_opened |= is_open(self);
        }
        if !has_opened && !is_open(self) {
            return Err(format!("a fresh knock does not open {}", door.name));
        }
        let end = u64::try_from(door.cmd_timeout.as_nanos()).unwrap_or(SECOND) + SECOND;
        let end = self.earth.now.get() + end;
        while self.step(end)? {}
        if is_open(self) {
            Err(format!("{} stays open after a fresh knock", door.name))
        } else {
            Ok(())
        }
    }

    /// Makes it end in peace: whatever it recorded is replayed.
    ///
    /// # Errors
    ///
    /// The recording says something else.
    pub fn end(&mut self) -> Checked {
        self.stop()?;
        self.counts.time = self.earth.now.get() - 1_000_000_000_000;
        Ok(())
    }

    /// Lets the next thing happen, trouble and all; tells whether there was one.
    ///
    /// # Errors
    ///
    /// A check has failed.
    pub fn trouble(&mut self) -> Result<bool, String> {
        // Without a schedule nobody comes any more.
        Ok(self.schedule.next().is_some() && self.step(u64::MAX / 4)?)
    }

    /// Returns what happened, in the order in which it did, where the world keeps that.
    #[must_use]
    pub fn story(&self) -> String {
        self.story.join("\n")
    }

    /// Returns the hash of all that happened.
    #[must_use]
    pub fn hash(&self) -> u64 {
        std::hash::Hasher::finish(&self.trail)
    }

    /// Returns the fault classes that are on.
    #[must_use]
    pub fn classes(&self) -> Vec<crate::swarm::Class> {
        self.swarm.classes().collect()
    }
}

/// How many events back it is looked what an evicted source did last.
const LOOK_BACK: usize = 300;

fn mark_event(event: &Event, told: &[Event]) {
    let Event::Door(event) = event else {
        if matches!(event, Event::Disabled { .. }) {
            sometimes!("a one-time door has no line left");
        }
        return;
    };
    match event.kind {
        EventKind::Evicted => {
            let its = told.iter().rev().take(LOOK_BACK).find_map(|other| match other {
                Event::Door(other)
                    if other.source == event.source && other.door.name == event.door.name =>
                {
                    Some(other)
                }
                Event::Door(_) | Event::Disabled { .. } | Event::ClockStep { .. } => None,
            });
            let is_first = its.is_some_and(|its| {
                let stage = its.progress.map_or(0, |progress| progress.stage);
                matches!(its.kind, EventKind::Stage | EventKind::Restart) && stage == 1
            });
            sometimes!(is_first, "eviction at stage 1");
            let is_over = its.is_some_and(|its| {
                matches!(its.kind, EventKind::Timeout | EventKind::Reset(_) | EventKind::Open)
            });
            sometimes!(is_over, "eviction of what is only remembered");
        }
        EventKind::Refused => sometimes!("a lease is refused because there are too many"),
        EventKind::Lockout => sometimes!("a source is locked out"),
        EventKind::Reset(ResetReason::Strays) => sometimes!("a scan resets an attempt"),
        EventKind::Renew => sometimes!("a door is renewed"),
        EventKind::Stage
        | EventKind::Duplicate
        | EventKind::Repeat
        | EventKind::Restart
        | EventKind::Stray
        | EventKind::Reset(_)
        | EventKind::Timeout
        | EventKind::Open
        | EventKind::Close
        | EventKind::Suppressed => {}
    }
}

fn mark_message(message: &Message, told: &[Event]) {
    let What::Command { subject, event, .. } = &message.what else { return };
    match event {
        CommandEvent::Retry { attempt, .. } => {
            sometimes!(*attempt >= 3, "a stop is tried for the third time");
        }
        CommandEvent::GivenUp { .. } => sometimes!("a stop is given up"),
        CommandEvent::NotStarted { reason } => {
            let is_ledger = reason.starts_with("the ledger can't be written");
            sometimes!(is_ledger, "a start is refused because its stop can't be written");
            let is_line = reason.starts_with("its one-time sequence");
            sometimes!(is_line, "a one-time line can't be marked");
        }
        CommandEvent::EffectMissing => sometimes!("a check finds that a door is gone"),
        CommandEvent::Failed { exit: Exit::TimedOut } => {
            sometimes!("a command is killed because it takes too long");
        }
        CommandEvent::Expired => {
            let knocked = |event: &Event| {
                matches!(event, Event::Door(event) if event.kind == EventKind::Open
                    && event.source == subject.source && event.door.name == subject.door)
            };
            sometimes!(told.iter().any(knocked), "a door is recovered and knocked at again");
        }
        CommandEvent::Running { .. }
        | CommandEvent::WouldRun { .. }
        | CommandEvent::Failed { .. }
        | CommandEvent::Printed { .. }
        | CommandEvent::PrintedMore { .. }
        | CommandEvent::StillRunning { .. }
        | CommandEvent::Recovered { .. } => {}
    }
}
