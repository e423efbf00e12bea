//! Listens to a run, and puts its events together to attempts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use knock_engine::Disregard;
use knock_engine::config::Door;
use knock_engine::output::{Action, DoorEvent, Event, EventKind, Output, Trigger};
use knock_engine::packet::{Packet, Transport};
use knock_engine::time::Timestamp;

use super::book::{Book, Lease, Mark};
use super::trial::{Outcome, Row, Trial};
use crate::explain::{self, FailureKind, Verdict};
use crate::report::{Doors, Origin, Report, Totals};

/// A source and the index of a door.
type Place = (IpAddr, usize);

/// What goes on between a source and a door.
#[derive(Default)]
struct Pair {
    /// The attempt that goes on.
    current: Option<Box<Trial>>,
    /// The one that ended last: what explains it may come a little later.
    last: Option<Box<Trial>>,
    /// Packets that began none.
    loose: Option<Box<Trial>>,
    /// Its lease, by its number.
    lease: Option<usize>,
}

/// A run's listener.
pub(super) struct Gather {
    doors: Doors,
    pairs: HashMap<Place, Pair, FixedState>,
    book: Book,
    /// Lines of each door's one-time file that were used.
    used_lines: Vec<usize>,
    /// Where the packet at hand brought something about.
    touched: Vec<Place>,
    serial: u64,
    /// How many pairs there may be before those that can be concluded are.
    patience: usize,
}

/// The listener, shared with the run that it listens to.
pub(super) struct Shared(pub(super) Rc<RefCell<Gather>>);

impl Gather {
    const LEAST_PATIENCE: usize = 1 << 16;
    /// After this time nothing explains a failed attempt any more.
    const HINDSIGHT: Duration = Duration::from_secs(61);

    pub(super) fn new(doors: Doors) -> Self {
        Self {
            used_lines: vec![0; doors.all().len()],
            doors,
            pairs: HashMap::default(),
            book: Book::default(),
            touched: Vec::new(),
            serial: 0,
            patience: Self::LEAST_PATIENCE,
        }
    }

    /// Concludes everything, and hands over what the page tells.
    pub(super) fn take_book(&mut self) -> Book {
        self.conclude(|_, _| true, |_, _| true);
        for place in self.places() {
            if let Some(current) = self.pair(place).current.take() {
                self.book_it(place, *current);
            }
        }
        let mut book = std::mem::take(&mut self.book);
        book.sort();
        book
    }

    fn pair(&mut self, place: Place) -> &mut Pair {
        self.pairs.entry(place).or_default()
    }

    fn door(&self, place: Place) -> Arc<Door> {
        Arc::clone(&self.doors.all()[place.1])
    }

    /// Returns all places, in an order that no hash table knows.
    fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = self.pairs.keys().copied().collect();
        places.sort_unstable();
        places
    }

    fn new_trial(&mut self, at: Timestamp, door: usize) -> Box<Trial> {
        self.serial += 1;
        Box::new(Trial::new(self.serial, at, self.used_lines[door]))
    }

    fn book_it(&mut self, place: Place, trial: Trial) {
        let door = self.door(place);
        self.book.take(place, &door, trial);
    }

    /// Books what nothing can explain better: ended attempts and runs of loose packets for which
    /// these say so.
    fn conclude(
        &mut self,
        is_over: impl Fn(&Trial, &Door) -> bool,
        is_past: impl Fn(&Trial, &Door) -> bool,
    ) {
        for place in self.places() {
            let door = self.door(place);
            let pair = self.pair(place);
            let last = pair.last.take_if(|trial| is_over(trial, &door));
            let loose = pair.loose.take_if(|trial| is_past(trial, &door));
            for trial in last.into_iter().chain(loose) {
                self.book_it(place, *trial);
            }
        }
    }

    /// Makes room, where there are many pairs.
    fn tidy(&mut self, now: Timestamp) {
        if self.pairs.len() < self.patience {
            return;
        }
        let since = |trial: &Trial| now.saturating_duration_since(trial.ended);
        self.conclude(
            |trial, _| since(trial) > Self::HINDSIGHT,
            |trial, door| since(trial) > door.seq_timeout,
        );
        self.pairs.retain(|_, pair| {
            pair.current.is_some()
                || pair.last.is_some()
                || pair.loose.is_some()
                || pair.lease.is_some()
        });
        self.patience = (self.pairs.len() * 2).max(Self::LEAST_PATIENCE);
    }

    fn row(&mut self, event: &DoorEvent, origin: Option<Origin>) -> Row {
        let packet = match event.trigger {
            Trigger::Packet(packet) => Some(self.packet_number(&packet)),
            Trigger::OtherAttempt | Trigger::Deadline => None,
        };
        Row {
            at: event.at,
            words: self.book.words.number(&explain::verdict_text(&Verdict::of(event))),
            packet,
            left: event.progress.filter(|its| its.stage > 0).map(|its| its.margin),
            origin: origin.filter(|_| event.trigger != Trigger::Deadline),
        }
    }

    fn packet_number(&mut self, packet: &Packet) -> usize {
        let to = SocketAddr::new(packet.destination, packet.destination_port);
        let text = match packet.transport {
            Transport::Tcp { flags, .. } if flags.is_empty() => format!("tcp {to} no flags"),
            Transport::Tcp { flags, .. } => format!("tcp {to} {flags}"),
            Transport::Udp => format!("udp {to}"),
        };
        self.book.packets.number(&text)
    }

    fn event(&mut self, event: &Event, origin: Option<Origin>) {
        match event {
            Event::ClockStep { at, .. } => self.clock_step(*at, origin),
            Event::Disabled { at, door } => {
                let door = self.doors.index(door);
                self.mark(Mark { at: *at, word: "disabled", door });
            }
            Event::Door(event) => {
                let Some(door) = self.doors.index(&event.door) else { return };
                self.door_event(event, (event.source, door), origin);
            }
        }
    }

    fn mark(&mut self, mark: Mark) {
        if self.book.marks.len() < Book::MAX_OTHERS {
            self.book.marks.push(mark);
        }
    }

    fn door_event(&mut self, event: &DoorEvent, place: Place, origin: Option<Origin>) {
        if matches!(event.trigger, Trigger::Packet(_)) {
            self.touched.push(place);
        }
        match event.kind {
            EventKind::Close => self.close(place, event.at),
            EventKind::Renew | EventKind::Suppressed | EventKind::Refused | EventKind::Lockout => {
                self.add_to_last(event, place, origin)
            }
            EventKind::Stage
            | EventKind::Restart
            | EventKind::Duplicate
            | EventKind::Repeat
            | EventKind::Stray
            | EventKind::Reset(_)
            | EventKind::Timeout
            | EventKind::Open
            | EventKind::Evicted => self.go_on(event, place, origin),
        }
    }

    /// Tells of an event of the attempt that goes on, of the one that begins with it, or of none.
    fn go_on(&mut self, event: &DoorEvent, place: Place, origin: Option<Origin>) {
        let row = self.row(event, origin);
        if let Some(progress) = event.progress {
            let is_first = event.kind == EventKind::Stage && progress.stage == 1;
            // The beginning of this one lies before that of a recording.
            let is_unknown = progress.stage > 0 && self.pair(place).current.is_none();
            if is_first || is_unknown {
                self.begin(place, before(event.at, progress.elapsed));
            }
        }
        let current = self.pair(place).current.take();
        let Some(mut trial) = current else {
            self.loose_row(place, row, None);
            return;
        };
        self.join_row(&mut trial, row);
        let door = self.door(place);
        let sequence = explain::sequence(&door, trial.used_lines);
        trial.story.follow(event, |stage| explain::knock_at(sequence, stage));
        if let Some(progress) = event.progress {
            trial.progress = (progress.stage, progress.of);
        }
        let Some(outcome) = Outcome::of(event) else {
            self.pair(place).current = Some(trial);
            return;
        };
        trial.outcome = outcome;
        if outcome == Outcome::Open {
            trial.margin = event.progress.map(|progress| progress.margin);
        }
        self.end(place, trial);
    }

    fn begin(&mut self, place: Place, at: Timestamp) {
        let trial = self.new_trial(at, place.1);
        let pair = self.pair(place);
        let unfinished = pair.current.replace(trial);
        let before = [pair.last.take(), pair.loose.take(), unfinished];
        for trial in before.into_iter().flatten() {
            self.book_it(place, *trial);
        }
    }

    fn end(&mut self, place: Place, trial: Box<Trial>) {
        if let Some(before) = self.pair(place).last.replace(trial) {
            self.book_it(place, *before);
        }
    }

    /// Adds a row; verdicts about one packet share one.
    fn join_row(&mut self, trial: &mut Trial, row: Row) {
        if let Some(before) = trial.rows.last_mut()
            && row.packet.is_some()
            && (before.at, before.packet, before.origin) == (row.at, row.packet, row.origin)
        {
            let words = &mut self.book.words;
            let both = format!("{}, {}", words.get(before.words), words.get(row.words));
            before.words = words.number(&both);
            return;
        }
        trial.push(row);
    }

    /// Tells what became of the attempt that just ended.
    fn add_to_last(&mut self, event: &DoorEvent, place: Place, origin: Option<Origin>) {
        let row = self.row(event, origin);
        let Some(mut trial) = self.pair(place).last.take() else {
            self.loose_row(place, row, None);
            return;
        };
        self.join_row(&mut trial, row);
        if let Some(outcome) = Outcome::of(event) {
            trial.outcome = outcome;
            trial.story.follow(event, |_| None);
        }
        self.pair(place).last = Some(trial);
    }

    /// Adds a row to the run of packets that began no attempt.
    fn loose_row(&mut self, place: Place, row: Row, why: Option<(Disregard, &Packet)>) {
        let door = self.door(place);
        let is_apart =
            |trial: &Trial| row.at.saturating_duration_since(trial.ended) > door.seq_timeout;
        if let Some(before) = self.pair(place).loose.take_if(|trial| is_apart(trial)) {
            self.book_it(place, *before);
        }
        let mut loose = match self.pair(place).loose.take() {
            Some(loose) => loose,
            None => {
                let mut loose = self.new_trial(row.at, place.1);
                loose.outcome = Outcome::None;
                loose
            }
        };
        if let Some((reason, packet)) = why {
            loose.story.note_disregard(reason, packet, row.at);
            let stale = explain::stale_step(&door, loose.used_lines, packet);
            loose.story.stale = loose.story.stale.or(stale);
            loose.note_port(packet.destination_port);
        }
        loose.push(row);
        self.pair(place).loose = Some(loose);
    }

    fn disregarded(
        &mut self,
        place: Place,
        reason: Disregard,
        (packet, at, origin): (&Packet, Timestamp, Origin),
    ) {
        let row = Row {
            at,
            words: self.book.words.number(&explain::verdict_text(&Verdict::Disregard(reason))),
            packet: Some(self.packet_number(packet)),
            left: None,
            origin: Some(origin),
        };
        let pair = self.pair(place);
        if let Some(current) = &mut pair.current {
            current.story.note_disregard(reason, packet, at);
            current.push(row);
            return;
        }
        if let Some(last) = pair.last.as_mut().filter(|_| reason == Disregard::NotFirstKnock) {
            let lag = |trial: &Trial| trial.story.failure.as_ref().and_then(|its| its.came_after);
            let before = lag(last);
            last.story.note_disregard(reason, packet, at);
            if lag(last) != before {
                last.push(row);
                return;
            }
        }
        self.loose_row(place, row, Some((reason, packet)));
    }

    /// The clock stepped back: every attempt is gone (S1).
    fn clock_step(&mut self, at: Timestamp, origin: Option<Origin>) {
        self.mark(Mark { at, word: "clock_step", door: None });
        let words = self.book.words.number(&explain::verdict_text(&Verdict::ClockStep));
        for place in self.places() {
            let Some(mut trial) = self.pair(place).current.take() else { continue };
            let door = self.door(place);
            let sequence = explain::sequence(&door, trial.used_lines);
            let expected = |stage| explain::knock_at(sequence, stage);
            trial.story.fail(FailureKind::ClockStep, at, expected);
            trial.outcome = Outcome::ClockStep;
            trial.push(Row { at, words, packet: None, left: None, origin });
            self.end(place, trial);
        }
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::Start { at, door, source, until } => {
                let Some(door) = self.doors.index(door) else { return };
                if self.book.leases.len() < Book::MAX_OTHERS {
                    let number = self.book.leases.len();
                    let lease = Lease { source: *source, door, from: *at, until: *until };
                    self.book.leases.push(lease);
                    // Nobody renews or closes a lease without an end.
                    self.pair((*source, door)).lease = until.map(|_| number);
                }
            }
            Action::Renew { door, source, until, .. } => {
                let Some(door) = self.doors.index(door) else { return };
                self.set_end((*source, door), *until);
            }
            Action::Consume { door, .. } => {
                if let Some(index) = self.doors.index(door) {
                    self.used_lines[index] += 1;
                }
            }
            // The event `close` tells it.
            Action::Stop { .. } => {}
        }
    }

    fn set_end(&mut self, place: Place, until: Timestamp) {
        if let Some(number) = self.pair(place).lease
            && let Some(lease) = self.book.leases.get_mut(number)
        {
            lease.until = Some(until);
        }
    }

    fn close(&mut self, place: Place, at: Timestamp) {
        self.set_end(place, at);
        self.pair(place).lease = None;
    }
}

/// Returns the stamp that lies so long before another one.
fn before(at: Timestamp, span: Duration) -> Timestamp {
    let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    Timestamp::from_nanos(at.as_nanos().saturating_sub(span))
}

impl Report for Shared {
    fn output(&mut self, output: &Output, origin: Option<Origin>) -> io::Result<()> {
        let mut gather = self.0.borrow_mut();
        match output {
            Output::Action(action) => gather.action(action),
            Output::Event(event) => gather.event(event, origin),
        }
        Ok(())
    }

    fn disregard(
        &mut self,
        door: usize,
        reason: Disregard,
        packet: (&Packet, Timestamp, Origin),
    ) -> io::Result<()> {
        let mut gather = self.0.borrow_mut();
        let place = (packet.0.source, door);
        // What goes to no port of the current sequence is none of the door's business, but for a
        // step of another one-time sequence.
        let is_stale = || {
            let (settings, used) = (gather.door(place), gather.used_lines[door]);
            explain::stale_step(&settings, used, packet.0).is_some()
        };
        if !gather.touched.contains(&place) && (reason != Disregard::OtherPort || is_stale()) {
            gather.disregarded(place, reason, packet);
        }
        Ok(())
    }

    fn packet(&mut self, _packet: &Packet, at: Timestamp, _origin: Origin) -> io::Result<()> {
        let mut gather = self.0.borrow_mut();
        gather.touched.clear();
        gather.tidy(at);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, _totals: &Totals) -> io::Result<()> {
        Ok(())
    }
}
