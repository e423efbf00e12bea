//! The state machine of knockd 0.8: one list of attempts, in order of creation (R16-R36).

mod ghosts;
mod losses;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;

use knock_engine::local::LocalAddresses;
use knock_engine::packet::Protocol;
use knock_engine::time::Timestamp;
use thiserror::Error;

use self::ghosts::Ghosts;
use super::commands;
use super::config::{DoorConfig, Knock, Knockd08Config, Sequence};
use super::decision::{CrashCause, Decision, DoorRef, HeadEnd, LossReason, Step};
use super::decode::{self, Dropped, LinkLayer, Sniffed};
use super::filter::Filter;
use super::host::{Family, Host};
use super::{Families, hidden, one_time};

/// libpcap refuses a filter that can match nothing, and knockd exits with status 1 (R7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "knockd's filter for these doors and addresses can match no packet at all, and knockd ends \
     (each door has tcpflags, TCP knocks only, and a target of the family that it does not listen to)"
)]
pub struct FilterRejectsAll;

/// knockd 0.8 while it runs.
///
/// A frame costs time in proportion to the attempts in the list only where the original's pass
/// over the list would find something, or where the frame's source has an attempt itself.
#[derive(Clone, Debug)]
pub struct Knockd08 {
    doors: Vec<Door>,
    files: BTreeMap<String, Vec<u8>>,
    host: Host,
    filter: Option<Filter>,
    attempts: Vec<Attempt>,
    /// How many of the attempts each source has; only looked up, never gone through.
    per_source: HashMap<IpAddr, usize>,
    /// No attempt expires before this second; the pass may be left out until then.
    earliest_expiry_s: i64,
    /// Whether an attempt may have failed or completed since the last pass.
    some_over: bool,
    /// What was lost lately, to name the knocks that follow; no decision rests on it.
    ghosts: Ghosts,
    ended: bool,
    newest: Timestamp,
    outputs: VecDeque<Decision>,
}

#[derive(Clone, Debug)]
struct Door {
    config: DoorConfig,
    reference: DoorRef,
    /// The sequence in use; the config's own until a one-time sequence is used.
    sequence: Sequence,
    /// The door's own reading of its one-time sequence file: doors with one file between them do
    /// not see each other's marks, because each keeps its file in a buffer.
    one_time: Vec<u8>,
    /// Whether a one-time sequence was used and the filter did not follow in full (R48).
    stale_filter: bool,
    disabled: bool,
}

impl Door {
    /// Tells whether the door takes packets to this destination (R34, R35).
    fn accepts(&self, destination: IpAddr, host: &Host) -> bool {
        match self.config.target {
            Some(target) => target.canonical && target.address == destination,
            None => host.contains(destination),
        }
    }

    /// Tells whether the door's `tcpflags` let the packet count; UDP always does (R25).
    fn flags_accept(&self, packet: &Sniffed) -> bool {
        packet.protocol != Some(Protocol::Tcp) || self.config.flags.accepts(packet.flags)
    }

    /// Returns the first whole second at which an attempt begun then has expired (R20).
    fn expiry_s(&self, first: Timestamp) -> i64 {
        seconds(first).saturating_add(self.config.seq_timeout_s)
    }

    fn is_knock(&self, index: usize, packet: &Sniffed) -> bool {
        self.sequence.get(index).is_some_and(|knock| matches(*knock, packet))
    }
}

fn matches(knock: Knock, packet: &Sniffed) -> bool {
    packet.protocol == Some(knock.protocol) && packet.port == knock.port
}

#[derive(Clone, Debug)]
struct Attempt {
    source: IpAddr,
    door: usize,
    first: Timestamp,
    progress: Progress,
    /// Whether the knock that was matched last opened the door.
    opened: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The number of knocks matched; the attempt is complete when that is the sequence's length.
    Stage(usize),
    Failed,
}

/// What a pass over the list makes of an attempt.
enum Fate {
    Kept,
    Completed { opened: bool, stage: usize },
    Failed,
    Expired { stage: usize },
}

impl Knockd08 {
    /// Starts knockd on an interface with these addresses.
    ///
    /// Where the addresses are not known, any destination that is not multicast or
    /// 255.255.255.255 counts as local, and both families are there (S4).
    ///
    /// # Errors
    ///
    /// The filter can match nothing (R7).
    pub fn new(
        config: Knockd08Config,
        local: LocalAddresses,
        families: Families,
    ) -> Result<Self, FilterRejectsAll> {
        let host = Host::new(local, families);
        let filter = Filter::new(&config.doors, &host);
        if filter.as_ref().is_some_and(|filter| filter.rejects_all(&host)) {
            return Err(FilterRejectsAll);
        }
        let files = config.files;
        let file_of = |door: &DoorConfig| {
            let file = door.one_time.as_ref().and_then(|path| files.get(path));
            file.cloned().unwrap_or_default()
        };
        let doors = config.doors.into_iter().enumerate().map(|(index, config)| Door {
            reference: DoorRef { index, name: config.name.clone() },
            sequence: config.sequence.clone(),
            one_time: file_of(&config),
            config,
            stale_filter: false,
            disabled: false,
        });
        Ok(Self {
            doors: doors.collect(),
            files,
            host,
            filter,
            attempts: Vec::new(),
            per_source: HashMap::new(),
            earliest_expiry_s: i64::MAX,
            some_over: false,
            ghosts: Ghosts::default(),
            ended: false,
            newest: Timestamp::ZERO,
            outputs: VecDeque::new(),
        })
    }

    /// Handles one captured frame.
    pub fn handle_frame(&mut self, link: LinkLayer, captured: &[u8], at: Timestamp) {
        if self.ended {
            return;
        }
        self.newest = at;
        if let Some(filter) = &self.filter {
            let reading = decode::filter_reading(link, captured);
            if !reading.is_some_and(|packet| filter.passes(&packet, &self.host)) {
                self.explain_invisible(link, captured, reading, at);
                return;
            }
        }
        match decode::sniffer_reading(link, captured) {
            Ok(packet) => self.handle_packet(&packet, at),
            Err(Dropped::Ipv6OnThisLink) => {
                if let Some((packet, source)) = hidden::ipv6_behind(link, captured) {
                    self.lose_unseen(&packet, source, at, &LossReason::Ipv6OnThisLink);
                }
            }
            Err(Dropped::Other) => {}
        }
    }

    /// Ends the capture: tells which attempts are left in the middle.
    pub fn finish(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        for attempt in std::mem::take(&mut self.attempts) {
            if let Progress::Stage(stage) = attempt.progress
                && stage < self.doors[attempt.door].sequence.len()
            {
                let step = self.step(attempt.source, attempt.door, stage, self.newest);
                self.outputs.push_back(Decision::Lost { step, reason: LossReason::Unfinished });
            }
        }
    }

    /// Takes the oldest decision that was not taken yet.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Decision> {
        self.outputs.pop_front()
    }

    /// Returns a one-time sequence file as knockd would have left it so far.
    #[must_use]
    pub fn one_time_file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// Handles a packet that passed the filter (R17).
    fn handle_packet(&mut self, packet: &Sniffed, at: Timestamp) {
        self.clean_up(at);
        let running = self.attempts_of(packet);
        if running.is_empty() {
            self.start_attempts(packet, at);
            self.report_orphaned(packet, at);
        } else {
            self.judge_attempts(&running, packet, at);
        }
    }

    /// Removes what is over from the list (R18); with its first, everything (R19).
    fn clean_up(&mut self, at: Timestamp) {
        if !self.some_over && seconds(at) < self.earliest_expiry_s {
            return;
        }
        self.some_over = false;
        let list = std::mem::take(&mut self.attempts);
        let mut forgotten_by = None;
        for (index, attempt) in list.into_iter().enumerate() {
            let fate = self.fate(&attempt, at);
            if index == 0 {
                forgotten_by = head_end(&fate).map(|end| LossReason::Forgotten {
                    head: attempt.source,
                    head_door: self.doors[attempt.door].reference.clone(),
                    end,
                });
            }
            self.report_fate(&attempt, &fate, at);
            match (&fate, &forgotten_by) {
                (Fate::Kept, None) => self.attempts.push(attempt),
                (Fate::Kept, Some(reason)) => self.report_forgotten(&attempt, reason, at),
                _ => {}
            }
        }
        self.index_attempts();
    }

    fn fate(&self, attempt: &Attempt, at: Timestamp) -> Fate {
        let door = &self.doors[attempt.door];
        match attempt.progress {
            Progress::Failed => Fate::Failed,
            Progress::Stage(stage) if stage >= door.sequence.len() => {
                Fate::Completed { opened: attempt.opened, stage }
            }
            Progress::Stage(stage) => {
                let elapsed = seconds(at) - seconds(attempt.first);
                if elapsed >= door.config.seq_timeout_s {
                    Fate::Expired { stage }
                } else {
                    Fate::Kept
                }
            }
        }
    }

    /// Counts the attempts anew and finds the first second at which one of them expires.
    fn index_attempts(&mut self) {
        self.per_source.clear();
        self.earliest_expiry_s = i64::MAX;
        for attempt in &self.attempts {
            *self.per_source.entry(attempt.source).or_default() += 1;
            let expiry = self.doors[attempt.door].expiry_s(attempt.first);
            self.earliest_expiry_s = self.earliest_expiry_s.min(expiry);
        }
    }

    /// Finds the source's attempts whose doors take the packet's destination (R17).
    fn attempts_of(&self, packet: &Sniffed) -> Vec<usize> {
        if !self.per_source.contains_key(&packet.source) {
            return Vec::new();
        }
        let mine = |attempt: &Attempt| {
            attempt.source == packet.source
                && self.doors[attempt.door].accepts(packet.destination, &self.host)
        };
        let attempts = self.attempts.iter().enumerate();
        attempts.filter(|(_, attempt)| mine(attempt)).map(|(index, _)| index).collect()
    }

    /// Begins an attempt at each door whose first knock this is (R29).
    fn start_attempts(&mut self, packet: &Sniffed, at: Timestamp) {
        for door in 0..self.doors.len() {
            if self.ended || !self.starts(door, packet) {
                continue;
            }
            let attempt = Attempt {
                source: packet.source,
                door,
                first: at,
                progress: Progress::Stage(0),
                opened: false,
            };
            self.earliest_expiry_s = self.earliest_expiry_s.min(self.doors[door].expiry_s(at));
            self.attempts.push(attempt);
            *self.per_source.entry(packet.source).or_default() += 1;
            self.advance(self.attempts.len() - 1, 0, at);
        }
    }

    fn starts(&self, door: usize, packet: &Sniffed) -> bool {
        let door = &self.doors[door];
        !door.disabled
            && door.flags_accept(packet)
            && door.is_knock(0, packet)
            && door.accepts(packet.destination, &self.host)
    }

    /// Lets each of the source's attempts judge the packet on its own (R24, R30).
    fn judge_attempts(&mut self, running: &[usize], packet: &Sniffed, at: Timestamp) {
        let mut failed = None;
        let mut advanced = Vec::new();
        for &index in running {
            if self.ended {
                return;
            }
            let Attempt { source, door, progress, .. } = self.attempts[index];
            let Progress::Stage(stage) = progress else { continue };
            if !self.doors[door].flags_accept(packet) {
                continue;
            }
            if self.doors[door].is_knock(stage, packet) {
                advanced.push(door);
                self.advance(index, stage, at);
                continue;
            }
            self.attempts[index].progress = Progress::Failed;
            self.some_over = true;
            failed = failed.or(Some(door));
            let repeated = stage > 0 && self.doors[door].is_knock(stage - 1, packet);
            let reason = if repeated { LossReason::Repeated } else { LossReason::WrongPacket };
            self.lose_attempt(self.step(source, door, stage, at), reason);
        }
        if !self.ended {
            self.report_unstarted(running, failed, &advanced, (packet, at));
        }
    }

    /// Moves an attempt on by a knock and opens the door at the last one (R32).
    fn advance(&mut self, index: usize, stage: usize, at: Timestamp) {
        let Attempt { source, door, .. } = self.attempts[index];
        let stage = stage + 1;
        let step = self.step(source, door, stage, at);
        let opened = stage >= step.of;
        self.attempts[index].progress = Progress::Stage(stage);
        self.attempts[index].opened = opened;
        self.outputs.push_back(Decision::Stage(step.clone()));
        if opened {
            self.some_over = true;
            let commands = commands::of_opening(&self.doors[door].config, source, at);
            self.outputs.push_back(Decision::Open { step, commands });
            self.use_up(door, at);
        }
    }

    /// Crosses out a one-time sequence and takes the next (R44-R48).
    fn use_up(&mut self, door: usize, at: Timestamp) {
        let Self { doors, files, .. } = self;
        let Door { config, reference, sequence, one_time: own, .. } = &mut doors[door];
        let Some(path) = &config.one_time else { return };
        if let Some(mark) = one_time::mark_of(own, sequence) {
            let shared = files.get_mut(path).and_then(|file| file.get_mut(mark));
            for byte in own.get_mut(mark).into_iter().chain(shared) {
                *byte = b'#';
            }
        }
        let reference = reference.clone();
        let Some(next) = one_time::first_usable(own) else {
            self.lose_door(door, reference, at);
            return;
        };
        *sequence = next;
        let renews = self.host.has(Family::Ipv4);
        let door_state = &mut self.doors[door];
        door_state.stale_filter = self.host.has(Family::Ipv6) || !renews;
        if let Some(filter) = self.filter.as_mut().filter(|_| renews) {
            filter.renew(door, &door_state.config, &door_state.sequence);
            if filter.rejects_all(&self.host) {
                let cause = CrashCause::FilterRejectsAll;
                self.outputs.push_back(Decision::Crash { at, door: reference, cause });
                self.ended = true;
            }
        }
    }

    /// Goes on, or not, after a door's last one-time sequence (R45): the abort comes with the
    /// renewal of the filter, which happens only where the interface has an IPv4 address.
    fn lose_door(&mut self, door: usize, reference: DoorRef, at: Timestamp) {
        if self.host.has(Family::Ipv4) {
            let cause = CrashCause::LastSequence;
            self.outputs.push_back(Decision::Crash { at, door: reference, cause });
            self.ended = true;
            return;
        }
        self.doors[door].disabled = true;
        self.outputs.push_back(Decision::Disabled { at, door: reference });
        for attempt in &mut self.attempts {
            if attempt.door == door && !attempt.opened {
                attempt.progress = Progress::Failed;
            }
        }
    }

    fn step(&self, source: IpAddr, door: usize, stage: usize, at: Timestamp) -> Step {
        let door = &self.doors[door];
        Step { at, source, door: door.reference.clone(), stage, of: door.sequence.len() }
    }
}

fn head_end(fate: &Fate) -> Option<HeadEnd> {
    match fate {
        Fate::Kept => None,
        Fate::Completed { .. } => Some(HeadEnd::Completed),
        Fate::Failed => Some(HeadEnd::Failed),
        Fate::Expired { .. } => Some(HeadEnd::Expired),
    }
}

/// Returns the whole seconds of a stamp (R20).
fn seconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanos() / 1_000_000_000).unwrap_or(i64::MAX)
}
