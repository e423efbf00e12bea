//! What a completed sequence brings: a one-time line is used up, commands run, leases begin and
//! end (S11, S12).

use std::net::IpAddr;
use std::sync::Arc;

use knock_engine::config::{Door, Sequences};
use knock_engine::output::{Action, DoorEvent, Event, EventKind, Output, ResetReason, Trigger};
use knock_engine::packet::Packet;
use knock_engine::time::Timestamp;

use crate::Reference;

/// A door held open for one source until a deadline (S11).
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    /// The door as it was when the lease began.
    pub(crate) door: Arc<Door>,
    /// How many doors of that name stood before it.
    ordinal: usize,
    pub(crate) source: IpAddr,
    pub(crate) until: Timestamp,
    /// When it began or was renewed, as a place in the order (S2).
    pub(crate) deadline_order: u64,
    /// Whether no newer lease has taken its place (S16).
    is_current: bool,
}

/// When a door without a stop command may run its start command again for a source (S11).
#[derive(Clone, Debug)]
pub(crate) struct Cooldown {
    pub(crate) door: usize,
    source: IpAddr,
    pub(crate) until: Timestamp,
}

impl Reference {
    /// S12: a completion at a one-time door uses up the current line, before anything else runs.
    pub(crate) fn use_line(&mut self, door: usize, source: IpAddr) {
        let at = self.now;
        let its_door = self.doors[door].door.clone();
        let Sequences::OneTime { lines, .. } = &its_door.sequences else { return };
        let used = self.doors[door].used_lines;
        let line = lines[used].number;
        let consume = Action::Consume { at, door: its_door.clone(), source, line };
        self.outputs.push_back(Output::Action(consume));
        self.end_other_attempts(door);
        self.doors[door].used_lines += 1;
        if self.doors[door].sequence().is_none() {
            self.outputs.push_back(Output::Event(Event::Disabled { at, door: its_door }));
        }
    }

    /// S12: every attempt that is left at the door ends, in order of creation. These are no
    /// failures (S13).
    fn end_other_attempts(&mut self, door: usize) {
        let at_door = self.places.iter().filter(|place| place.door == door);
        let mut others: Vec<(u64, IpAddr)> = at_door
            .filter_map(|place| Some((place.attempt.as_ref()?.created, place.source)))
            .collect();
        others.sort_unstable_by_key(|(created, _)| *created);
        for (_, source) in others {
            let progress = self.progress(door, source);
            self.end_attempt(door, source);
            self.push_event(DoorEvent {
                at: self.now,
                door: self.doors[door].door.clone(),
                source,
                kind: EventKind::Reset(ResetReason::SequenceUsed),
                trigger: Trigger::OtherAttempt,
                progress,
            });
        }
    }

    /// S11: what runs at a completion depends on the commands that the source's family has.
    pub(crate) fn run_commands(&mut self, door: usize, packet: &Packet) {
        let its_door = &self.doors[door].door;
        let has_start = its_door.start_command(packet.source).is_some();
        let has_stop = its_door.stop_command(packet.source).is_some();
        match (has_start, has_stop) {
            (false, _) => {}
            (true, false) => self.start_unless_cooling_down(door, packet),
            (true, true) => match self.renewable_lease(door, packet.source) {
                Some(lease) => self.renew(lease, door, packet),
                None => self.start_lease(door, packet),
            },
        }
    }

    /// S11: with a start command only, it runs at each completion but within `cooldown`.
    fn start_unless_cooling_down(&mut self, door: usize, packet: &Packet) {
        let source = packet.source;
        let is_same = |cooldown: &Cooldown| (cooldown.door, cooldown.source) == (door, source);
        if self.cooldowns.iter().any(|cooldown| is_same(cooldown) && self.now < cooldown.until) {
            return self.report(door, packet, EventKind::Suppressed, None);
        }
        let its_door = self.doors[door].door.clone();
        if !its_door.cooldown.is_zero() {
            let until = self.now.saturating_add(its_door.cooldown);
            self.cooldowns.retain(|cooldown| !is_same(cooldown));
            self.cooldowns.push(Cooldown { door, source, until });
            self.keep_newest_cooldowns();
        }
        let start = Action::Start { at: self.now, door: its_door, source, until: None };
        self.outputs.push_back(Output::Action(start));
    }

    /// S14: as many cooldowns as leases; the oldest go first.
    pub(crate) fn keep_newest_cooldowns(&mut self) {
        let surplus = self.cooldowns.len().saturating_sub(self.max_leases());
        self.cooldowns.drain(..surplus);
    }

    /// S11, S16: the lease that a completion renews: the current one of that door and source,
    /// where what it started and will stop is what the door would start and stop today.
    fn renewable_lease(&self, door: usize, source: IpAddr) -> Option<usize> {
        let its_door = &self.doors[door].door;
        let index = self.current_lease(door, source)?;
        let before = &self.leases[index].door;
        let is_alike = before.start_command(source) == its_door.start_command(source)
            && before.stop_command(source) == its_door.stop_command(source)
            && before.grant == its_door.grant;
        is_alike.then_some(index)
    }

    fn current_lease(&self, door: usize, source: IpAddr) -> Option<usize> {
        let its_door = &self.doors[door].door;
        let ordinal = self.ordinal(door);
        self.leases.iter().position(|lease| {
            lease.is_current
                && lease.door.name == its_door.name
                && lease.ordinal == ordinal
                && lease.source == source
        })
    }

    /// S11: no lease yet, or one that another stop command belongs to: start, and a new lease.
    fn start_lease(&mut self, door: usize, packet: &Packet) {
        if self.leases.len() >= self.max_leases() {
            return self.report(door, packet, EventKind::Refused, None);
        }
        if let Some(outdated) = self.current_lease(door, packet.source) {
            self.leases[outdated].is_current = false;
        }
        let its_door = self.doors[door].door.clone();
        let until = self.now.saturating_add(its_door.cmd_timeout);
        let lease = Lease {
            door: its_door.clone(),
            ordinal: self.ordinal(door),
            source: packet.source,
            until,
            deadline_order: self.next_order(),
            is_current: true,
        };
        self.leases.push(lease);
        self.outputs.push_back(Output::Action(Action::Start {
            at: self.now,
            door: its_door,
            source: packet.source,
            until: Some(until),
        }));
    }

    /// S11: a lease already: it lasts until now + `cmd_timeout`.
    fn renew(&mut self, lease: usize, door: usize, packet: &Packet) {
        let (at, source) = (self.now, packet.source);
        let until = at.saturating_add(self.doors[door].door.cmd_timeout);
        let deadline_order = self.next_order();
        let lease = &mut self.leases[lease];
        lease.until = until;
        lease.deadline_order = deadline_order;
        let door = lease.door.clone();
        self.push_event(DoorEvent {
            at,
            door: door.clone(),
            source,
            kind: EventKind::Renew,
            trigger: Trigger::Packet(*packet),
            progress: None,
        });
        self.outputs.push_back(Output::Action(Action::Renew { at, door, source, until }));
    }

    /// S11: a lease's deadline has passed.
    pub(crate) fn close(&mut self, lease: usize) {
        let Lease { until: at, door, source, .. } = self.leases.remove(lease);
        self.push_event(DoorEvent {
            at,
            door: door.clone(),
            source,
            kind: EventKind::Close,
            trigger: Trigger::Deadline,
            progress: None,
        });
        self.outputs.push_back(Output::Action(Action::Stop { at, door, source }));
    }

    fn max_leases(&self) -> usize {
        usize::try_from(self.options.max_leases).unwrap_or(usize::MAX)
    }
}
