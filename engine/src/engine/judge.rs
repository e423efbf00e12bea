//! A packet against the doors that it concerns (S7-S13).

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use super::chain::{NO_SLOT, SlotId};
use super::places::{Identity, Places, Source};
use super::source::SourceKey;
use super::{
    Action, DoorEvent, DoorIndex, Engine, Event, EventKind, Output, Progress, ResetReason,
    Timestamp, Trigger, table_size,
};
use crate::config::{Door, FailureLimit, Knock, Sequence};
use crate::packet::{Packet, Transport};

/// A door that the packet at hand concerns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Concern {
    door: DoorIndex,
    /// The source's place at that door, as it was before the packet was judged anywhere.
    place: SlotId,
    is_knock: bool,
}

/// A knock packet at one door, and what the rules ask about it.
#[derive(Clone, Copy)]
struct KnockPacket<'a> {
    packet: &'a Packet,
    door: DoorIndex,
    source: Source,
    /// What it is remembered by; none for UDP, and where the door remembers nothing.
    identity: Option<Identity>,
}

impl Engine {
    /// Lists the doors for which a packet is a knock packet; tells whether it concerns any door,
    /// also as a stray (S5).
    pub(super) fn collect_knocked(&self, list: &mut Vec<Concern>, packet: &Packet) -> bool {
        for door in self.doors.knocked_by(packet, &self.local) {
            list.push(Concern { door, place: NO_SLOT, is_knock: true });
        }
        !list.is_empty() || self.doors.is_stray_anywhere(packet, &self.local)
    }

    /// Judges a packet at every door that it concerns, in config order (S6). `concerned` has the
    /// doors for which it is a knock packet, and is empty afterwards.
    pub(super) fn judge(&mut self, packet: &Packet, concerned: &mut Vec<Concern>) {
        let source = self.places.source(packet.source);
        self.collect_places(concerned, packet, &source);
        for concern in concerned.drain(..) {
            let Concern { door, place, is_knock } = concern;
            // What a door before this one evicted is gone, and nothing can have come in its
            // place: only this door makes a place for this source and itself.
            let place = self.places.is(place, &source.key, door).then_some(place);
            if self.is_locked_out(door, source.key) {
                continue;
            }
            if is_knock {
                let identity = self.identity(door, packet);
                self.judge_knock(place, KnockPacket { packet, door, source, identity });
            } else if let Some(place) = place {
                self.judge_stray(place, door, packet);
            }
        }
    }

    /// Finds the places that the source has at the doors on the list, and adds the doors at which
    /// it has an attempt and the packet is a stray.
    fn collect_places(&self, list: &mut Vec<Concern>, packet: &Packet, source: &Source) {
        let mut id = self.places.first_of(source);
        let knocks = list.len();
        // Both orders are the config's, so one pass finds each knocked door's place.
        let mut knock = 0;
        while id != NO_SLOT {
            let (_, door) = self.places.owner(id);
            while knock < knocks && list[knock].door < door {
                knock += 1;
            }
            if knock < knocks && list[knock].door == door {
                list[knock].place = id;
            } else if self.places.attempt(id).is_some()
                && self.doors.is_stray(door, packet, &self.local)
            {
                list.push(Concern { door, place: id, is_knock: false });
            }
            id = self.places.sibling(id);
        }
        if list.len() > knocks {
            list.sort_unstable_by_key(|concern| concern.door);
        }
    }

    pub(super) fn is_locked_out(&self, door: DoorIndex, source: SourceKey) -> bool {
        self.doors.get(door).door.failure_limit.is_some()
            && self.failures.is_locked_out(door, source, self.clock.now())
    }

    /// Returns what a knock packet is remembered by (S8.1).
    fn identity(&self, door: DoorIndex, packet: &Packet) -> Option<Identity> {
        let Transport::Tcp { sequence_number, .. } = packet.transport else { return None };
        if self.doors.get(door).door.retransmit_window.is_zero() {
            return None;
        }
        let destination_port = NonZeroU16::new(packet.destination_port)?;
        Some(Identity { destination_port, source_port: packet.source_port, sequence_number })
    }

    /// Judges a knock packet at one door (S7, S8.1-5).
    fn judge_knock(&mut self, place: Option<SlotId>, knock: KnockPacket<'_>) {
        let now = self.clock.now();
        let seen =
            |id: SlotId| knock.identity.is_some_and(|its| self.places.remembers(id, its, now));
        if let Some(id) = place.filter(|id| seen(*id)) {
            let progress = self.progress(id, now).or_else(|| self.no_progress(knock.door));
            return self.emit_packet(&knock, EventKind::Duplicate, progress);
        }
        let Some(sequence) = self.doors.get(knock.door).sequence() else { return };
        let matches = |step: usize| is_step(sequence, step, knock.packet);
        let (starts, length) = (matches(0), sequence.knocks().len());
        let attempt = place.and_then(|id| Some((id, self.places.attempt(id)?)));
        let Some((id, attempt)) = attempt else {
            return if starts {
                self.start(place, knock, length)
            } else {
                self.remember(place, knock)
            };
        };
        let stage = usize::from(attempt.stage);
        if matches(stage) {
            self.remember(place, knock);
            let progress = self.progress_after_step(id, now);
            self.places.step(id, now);
            self.emit_packet(&knock, EventKind::Stage, Some(progress));
            if stage + 1 == length {
                self.complete(id, knock, progress);
            }
        } else if starts && stage == 1 {
            let ticket = self.clock.ticket();
            self.places.restart(id, ticket, knock.identity);
            self.arm(knock.door);
            let progress = self.first_progress(id, length);
            self.emit_packet(&knock, EventKind::Restart, Some(progress));
        } else if matches(stage - 1) {
            self.remember(place, knock);
            let progress = self.progress(id, now);
            self.emit_packet(&knock, EventKind::Repeat, progress);
        } else {
            self.out_of_order(id, knock, starts.then_some(length));
        }
    }

    /// Ends an attempt because another knock came than the next one (S8.5). Where that knock is
    /// the first of the sequence (whose length `starts` gives), a new attempt begins at once.
    fn out_of_order(&mut self, id: SlotId, knock: KnockPacket<'_>, starts: Option<usize>) {
        let is_locked_out = self.reset(id, ResetReason::OutOfOrder, knock.packet);
        match starts {
            Some(length) if !is_locked_out => {
                self.end(id);
                let place = self.places.is(id, &knock.source.key, knock.door).then_some(id);
                self.start(place, knock, length);
            }
            _ => {
                if !is_locked_out {
                    self.remember(Some(id), knock);
                }
                self.end(id);
            }
        }
    }

    /// Begins an attempt (S7).
    fn start(&mut self, place: Option<SlotId>, knock: KnockPacket<'_>, length: usize) {
        if place.is_none() {
            self.make_room(Places::victim);
        }
        let ticket = self.clock.ticket();
        let id = match place {
            Some(id) => {
                self.places.begin(id, ticket, knock.identity);
                id
            }
            None => {
                let whose = (&knock.source, knock.door);
                self.places.create_attempt(whose, ticket, knock.identity)
            }
        };
        if self.places.next_to_expire(knock.door) == Some(id) {
            self.arm(knock.door);
        }
        let progress = self.first_progress(id, length);
        self.emit_packet(&knock, EventKind::Stage, Some(progress));
        if length == 1 {
            self.complete(id, knock, progress);
        }
    }

    /// Evicts places until there is room for one more (S14). Tells whether there is.
    fn make_room(&mut self, choose: impl Fn(&Places) -> Option<SlotId>) -> bool {
        while self.places.len() >= table_size(self.options.max_attempts) {
            let Some(victim) = choose(&self.places) else { return false };
            let (source, door) = self.places.owner(victim);
            self.places.remove(victim);
            self.arm(door);
            self.evicted += 1;
            self.emit(DoorEvent {
                at: self.clock.now(),
                door: self.door(door),
                source: source.address(),
                kind: EventKind::Evicted,
                trigger: Trigger::OtherAttempt,
                progress: None,
            });
        }
        true
    }

    /// Remembers a knock packet (S8.1), at a new place if there is room without ending an
    /// attempt.
    fn remember(&mut self, place: Option<SlotId>, knock: KnockPacket<'_>) {
        let Some(identity) = knock.identity else { return };
        self.was_noticed = true;
        let id = match place {
            Some(id) => id,
            None if self.make_room(Places::longest_idle) => {
                self.places.create(&knock.source, knock.door)
            }
            None => {
                self.unremembered += 1;
                return;
            }
        };
        self.places.remember(id, identity, self.clock.now());
    }

    /// Judges a stray at a door where its source has an attempt (S8.6).
    fn judge_stray(&mut self, id: SlotId, door: DoorIndex, packet: &Packet) {
        if self.places.attempt(id).is_none() {
            return;
        }
        let at = self.clock.now();
        self.emit(DoorEvent {
            at,
            door: self.door(door),
            source: packet.source,
            kind: EventKind::Stray,
            trigger: Trigger::Packet(*packet),
            progress: self.progress(id, at),
        });
        let strays = self.places.add_stray(id, packet.protocol(), packet.destination_port);
        let limit = self.doors.get(door).door.max_strays;
        if limit.is_some_and(|limit| strays > usize::from(limit)) {
            self.reset(id, ResetReason::Strays, packet);
            self.end(id);
        }
    }

    /// Announces that an attempt ends by a packet of its source, and counts that (S13). Tells
    /// whether the source is locked out now.
    fn reset(&mut self, id: SlotId, reason: ResetReason, packet: &Packet) -> bool {
        let at = self.clock.now();
        let (source, door) = self.places.owner(id);
        let trigger = Trigger::Packet(*packet);
        self.emit(DoorEvent {
            at,
            door: self.door(door),
            source: packet.source,
            kind: EventKind::Reset(reason),
            trigger,
            progress: self.progress(id, at),
        });
        self.count_failure(door, source, at, trigger)
    }

    fn end(&mut self, id: SlotId) {
        let (_, door) = self.places.owner(id);
        let was_next = self.places.next_to_expire(door) == Some(id);
        self.places.end(id);
        if was_next {
            self.arm(door);
        }
    }

    /// Counts a failed attempt and tells whether it brought a lockout (S13).
    pub(super) fn count_failure(
        &mut self,
        door: DoorIndex,
        source: SourceKey,
        at: Timestamp,
        trigger: Trigger,
    ) -> bool {
        let limit: Option<FailureLimit> = self.doors.get(door).door.failure_limit;
        let locks = limit.is_some_and(|limit| self.failures.count(door, source, limit, at));
        if locks {
            self.emit(DoorEvent {
                at,
                door: self.door(door),
                source: source.address(),
                kind: EventKind::Lockout,
                trigger,
                progress: None,
            });
        }
        locks
    }

    /// Completes a sequence (S10): the attempt ends, a one-time sequence is used up (S12), and
    /// the door opens (S11).
    fn complete(&mut self, id: SlotId, knock: KnockPacket<'_>, progress: Progress) {
        self.emit_packet(&knock, EventKind::Open, Some(progress));
        self.end(id);
        self.use_line(&knock);
        let door = &self.doors.get(knock.door).door;
        let (at, source) = (self.clock.now(), knock.packet.source);
        if door.start_command(source).is_none() {
            return;
        }
        if door.stop_command(source).is_some() {
            self.lease(&knock);
        } else if self.cooldowns.admit(knock.door, knock.source.key, door.cooldown, at) {
            let door = Arc::clone(door);
            let start = Action::Start { at, door, source, until: None };
            self.outputs.push_back(Output::Action(start));
        } else {
            self.emit_packet(&knock, EventKind::Suppressed, None);
        }
    }

    /// Opens a door that has a stop command, or keeps it open (S11).
    fn lease(&mut self, knock: &KnockPacket<'_>) {
        let state = self.doors.get(knock.door);
        let (at, source) = (self.clock.now(), knock.packet.source);
        let until = at.saturating_add(state.door.cmd_timeout);
        if let Some(id) = self.leases.renewable(knock.door, &state.door, source) {
            let former = self.leases.renew(id, (until, self.clock.ticket()));
            self.arm_lane(former);
            self.arm_lane(self.leases.get(id).lane());
            let door = Arc::clone(&self.leases.get(id).door);
            self.emit(DoorEvent {
                at,
                door: Arc::clone(&door),
                source,
                kind: EventKind::Renew,
                trigger: Trigger::Packet(*knock.packet),
                progress: None,
            });
            self.outputs.push_back(Output::Action(Action::Renew { at, door, source, until }));
        } else if self.leases.len() >= table_size(self.options.max_leases) {
            self.refused += 1;
            self.emit_packet(knock, EventKind::Refused, None);
        } else {
            let door = Arc::clone(&state.door);
            let its = (Arc::clone(&door), state.namesake);
            let id = self.leases.grant(knock.door, its, source, (until, self.clock.ticket()));
            let lane = self.leases.get(id).lane();
            if self.leases.next_to_end(lane) == Some(id) {
                self.arm_lane(lane);
            }
            let start = Action::Start { at, door, source, until: Some(until) };
            self.outputs.push_back(Output::Action(start));
        }
    }

    /// Uses up a door's one-time sequence (S12).
    fn use_line(&mut self, knock: &KnockPacket<'_>) {
        if self.doors.get(knock.door).line().is_none() {
            return;
        }
        let at = self.clock.now();
        // The others stood in the sequence that is used up now: their length is still known.
        let others = self.places.attempts_at(knock.door);
        let stood: Vec<_> = others.iter().map(|id| (*id, self.progress(*id, at))).collect();
        let Some(line) = self.doors.use_line(knock.door) else { return };
        let state = self.doors.get(knock.door);
        let (door, is_disabled) = (Arc::clone(&state.door), state.sequence().is_none());
        let source = knock.packet.source;
        let consume = Action::Consume { at, door: Arc::clone(&door), source, line };
        self.outputs.push_back(Output::Action(consume));
        for (id, progress) in stood {
            self.emit(DoorEvent {
                at,
                door: Arc::clone(&door),
                source: self.places.owner(id).0.address(),
                kind: EventKind::Reset(ResetReason::SequenceUsed),
                trigger: Trigger::OtherAttempt,
                progress,
            });
            self.end(id);
        }
        if is_disabled {
            self.outputs.push_back(Output::Event(Event::Disabled { at, door }));
        }
    }

    fn emit_packet(
        &mut self,
        knock: &KnockPacket<'_>,
        kind: EventKind,
        progress: Option<Progress>,
    ) {
        self.emit(DoorEvent {
            at: self.clock.now(),
            door: self.door(knock.door),
            source: knock.packet.source,
            kind,
            trigger: Trigger::Packet(*knock.packet),
            progress,
        });
    }

    pub(super) fn emit(&mut self, event: DoorEvent) {
        self.was_noticed = true;
        self.outputs.push_back(Output::Event(Event::Door(event)));
    }

    pub(super) fn door(&self, index: DoorIndex) -> Arc<Door> {
        Arc::clone(&self.doors.get(index).door)
    }

    /// Returns how a place's attempt stands at a time, if it has one.
    pub(super) fn progress(&self, id: SlotId, at: Timestamp) -> Option<Progress> {
        let attempt = self.places.attempt(id)?;
        let (_, door) = self.places.owner(id);
        Some(Progress {
            stage: attempt.stage,
            of: self.sequence_length(door),
            gap: Some(at.saturating_duration_since(attempt.last)),
            elapsed: at.saturating_duration_since(attempt.first),
            margin: attempt.deadline.saturating_duration_since(at),
        })
    }

    /// Returns how an attempt will stand when the knock that came now has taken it on.
    fn progress_after_step(&self, id: SlotId, now: Timestamp) -> Progress {
        let mut progress = self.progress(id, now).expect("only an attempt is taken on");
        progress.stage += 1;
        progress
    }

    /// Returns how an attempt at a sequence of this length stands at its first knock.
    fn first_progress(&self, id: SlotId, length: usize) -> Progress {
        let deadline = self.places.deadline(id);
        Progress {
            stage: 1,
            of: of(length),
            gap: None,
            elapsed: Duration::ZERO,
            margin: deadline.saturating_duration_since(self.clock.now()),
        }
    }

    /// Returns the progress of a source without an attempt.
    fn no_progress(&self, door: DoorIndex) -> Option<Progress> {
        Some(Progress {
            stage: 0,
            of: self.sequence_length(door),
            gap: None,
            elapsed: Duration::ZERO,
            margin: Duration::ZERO,
        })
    }

    fn sequence_length(&self, door: DoorIndex) -> u8 {
        of(self.doors.get(door).sequence().map_or(0, |its| its.knocks().len()))
    }
}

/// Returns the length of a sequence as events tell it.
fn of(length: usize) -> u8 {
    u8::try_from(length).expect("a sequence has at most 32 knocks")
}

/// Tells whether a packet matches the step of that number, counted from 0.
fn is_step(sequence: &Sequence, number: usize, packet: &Packet) -> bool {
    sequence.knocks().get(number).is_some_and(|Knock { protocol, port }| {
        *protocol == packet.protocol() && port.get() == packet.destination_port
    })
}
