//! Who opened a door by accident: sources that hit many other ports around their opening.
//!
//! This is measured on the packets, and not taken from the engine's count of strays, so that it
//! is the same whatever `max_strays`, `ignore_ports` and `udp_strays` say.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use foldhash::fast::FixedState;
use knock_engine::config::{Config, Door, Sequences};
use knock_engine::local::LocalAddresses;
use knock_engine::packet::{Packet, Protocol, TcpFlags, Transport};
use knock_engine::time::Timestamp;

use crate::fleet::Listener;
use crate::knockers::Knockers;
use crate::openings::{Opening, Openings};
use crate::run::frames::Candidate;

/// How long before the first knock and after the last one other ports count, so that a scan is
/// known also where the knock ports are neighbours.
pub(crate) const AROUND: Duration = Duration::from_secs(10);

/// A clock that went back by more than that was set (S1).
const TOLERANCE: Duration = Duration::from_secs(1);

/// Measures which openings are accidents, while they happen.
pub(crate) struct Scanners {
    openings: Rc<RefCell<Openings>>,
    /// Whose packets are looked at.
    knockers: Rc<Knockers>,
    /// How many other ports make a scanner.
    ports: usize,
    doors: Vec<DoorPorts>,
    local: LocalAddresses,
    sources: HashMap<IpAddr, Source, FixedState>,
    /// How many of the openings were seen.
    seen: usize,
    /// The numbers of openings whose last knock is still to come, in the order of the packets.
    coming: VecDeque<usize>,
    /// By the openings' numbers.
    accidental: Vec<bool>,
}

/// What of a door tells whether a port is another one.
pub(crate) struct DoorPorts {
    knocks: Vec<(Protocol, u16)>,
    targets: Vec<IpAddr>,
}

/// A source that may open a door.
#[derive(Default)]
struct Source {
    /// The newest ports that it hit, each once, with where it hit them and when; the newest last.
    hits: VecDeque<Hit>,
    /// The numbers of its openings whose time is not over yet.
    pending: VecDeque<usize>,
    /// The newest stamp.
    now: Timestamp,
}

struct Hit {
    port: (Protocol, u16),
    destination: IpAddr,
    at: Timestamp,
}

impl Scanners {
    /// The most knocks of a sequence, which are no other ports.
    const KNOCKS: usize = knock_engine::config::MAX_KNOCKS;

    /// Prepares to measure: a source that hit this many other ports of this host around an opening
    /// opened by accident.
    pub(crate) fn new(
        openings: Rc<RefCell<Openings>>,
        knockers: Rc<Knockers>,
        config: &Config,
        ports: u16,
    ) -> Self {
        Self {
            openings,
            knockers,
            ports: usize::from(ports),
            doors: config.doors.iter().map(|door| DoorPorts::of(door)).collect(),
            local: LocalAddresses::Unknown,
            sources: HashMap::default(),
            seen: 0,
            coming: VecDeque::new(),
            accidental: Vec::new(),
        }
    }

    /// Prepares for another reading of the same traces.
    pub(crate) fn rewind(&mut self) {
        self.finish();
    }

    /// Returns of each opening so far, by its number, whether it is an accident.
    pub(crate) fn into_accidental(mut self) -> Vec<bool> {
        self.finish();
        self.accidental
    }

    fn finish(&mut self) {
        for source in std::mem::take(&mut self.sources).into_values() {
            source.pending.iter().for_each(|number| self.settle(*number, &source));
        }
    }

    /// Takes up openings that came about since the last packet.
    fn take_up(&mut self) {
        let openings = self.openings.borrow();
        let all = openings.all();
        if all.len() == self.seen {
            return;
        }
        let mut new: Vec<usize> = (self.seen..all.len()).collect();
        new.sort_by_key(|number| all[*number].place);
        self.coming.extend(new);
        self.seen = all.len();
        self.accidental.resize(self.seen, false);
    }

    /// Looks at a packet of a source that may open a door.
    fn look(&mut self, candidate: &Candidate, source: &mut Source) {
        let Candidate { packet, at, origin } = candidate;
        if at.saturating_add(TOLERANCE) < source.now {
            std::mem::take(&mut source.pending)
                .iter()
                .for_each(|number| self.settle(*number, source));
            source.hits.clear();
            source.now = *at;
        }
        source.now = source.now.max(*at);
        while let Some(number) = source.pending.front().copied() {
            if self.opening(number).at.saturating_add(AROUND) >= source.now {
                break;
            }
            source.pending.pop_front();
            self.settle(number, source);
        }
        if begins(packet.protocol(), flags(packet)) {
            self.note_hit(packet, source);
        }
        while let Some(number) = self.coming.front().copied() {
            if self.opening(number).origin != *origin {
                break;
            }
            self.coming.pop_front();
            source.pending.push_back(number);
        }
    }

    fn opening(&self, number: usize) -> Opening {
        self.openings.borrow().all()[number]
    }

    fn note_hit(&self, packet: &Packet, source: &mut Source) {
        if !self.is_ours(packet.destination) {
            return;
        }
        let port = (packet.protocol(), packet.destination_port);
        let destination = packet.destination;
        let is_same = |hit: &Hit| hit.port == port && hit.destination == destination;
        if let Some(known) = source.hits.iter().position(is_same) {
            source.hits.remove(known);
        } else if source.hits.len() >= self.ports + Self::KNOCKS {
            source.hits.pop_front();
        }
        source.hits.push_back(Hit { port, destination, at: source.now });
    }

    /// Tells whether some door may see what goes there.
    fn is_ours(&self, destination: IpAddr) -> bool {
        let is_target = || self.doors.iter().any(|door| door.targets.contains(&destination));
        self.local.contains(destination) || is_target()
    }

    /// Decides about an opening whose time is over: enough of the newest hits are new enough.
    fn settle(&mut self, number: usize, source: &Source) {
        let Opening { door, began, .. } = self.opening(number);
        let around = u64::try_from(AROUND.as_nanos()).unwrap_or(u64::MAX);
        let since = Timestamp::from_nanos(began.as_nanos().saturating_sub(around));
        let Some(door) = self.doors.get(door) else { return };
        let mut others: Vec<(Protocol, u16)> = source
            .hits
            .iter()
            .filter(|hit| hit.at >= since && door.has_other(hit.port, hit.destination, &self.local))
            .map(|hit| hit.port)
            .collect();
        others.sort_unstable();
        others.dedup();
        self.accidental[number] = others.len() >= self.ports;
    }
}

impl Listener for Scanners {
    #[inline]
    fn admits(&self, protocol: Protocol, _destination_port: u16, flags: TcpFlags) -> bool {
        begins(protocol, flags)
    }

    fn local_addresses(&mut self, local: &LocalAddresses) {
        self.local = local.clone();
    }

    fn packet(&mut self, candidate: &Candidate) {
        if !self.knockers.contains(candidate.packet.source) {
            return;
        }
        self.take_up();
        // It is put back, so that it can be changed while the rest is looked at.
        let mut source = self.sources.remove(&candidate.packet.source).unwrap_or_default();
        self.look(candidate, &mut source);
        self.sources.insert(candidate.packet.source, source);
    }
}

impl DoorPorts {
    pub(crate) fn of(door: &Door) -> Self {
        let sequences: Vec<_> = match &door.sequences {
            Sequences::Fixed(sequence) => vec![sequence],
            Sequences::OneTime { lines, .. } => lines.iter().map(|line| &line.sequence).collect(),
        };
        let knocks = sequences.into_iter().flat_map(|sequence| sequence.knocks());
        let knocks = knocks.map(|knock| (knock.protocol, knock.port.get())).collect();
        Self { knocks, targets: door.targets.clone() }
    }

    /// Tells whether a port of a host is one that the door sees (S4), and no knock port.
    pub(crate) fn has_other(
        &self,
        port: (Protocol, u16),
        destination: IpAddr,
        local: &LocalAddresses,
    ) -> bool {
        let is_seen = match self.targets.as_slice() {
            [] => local.contains(destination),
            targets => targets.contains(&destination),
        };
        is_seen && !self.knocks.contains(&port)
    }
}

/// Tells whether a packet begins something: UDP, or TCP that neither answers nor ends.
#[inline]
pub(crate) fn begins(protocol: Protocol, flags: TcpFlags) -> bool {
    let answers = TcpFlags::ACK.union(TcpFlags::RST);
    protocol == Protocol::Udp || flags.intersection(answers).is_empty()
}

/// Returns a packet's flags, none for UDP.
pub(crate) const fn flags(packet: &Packet) -> TcpFlags {
    match packet.transport {
        Transport::Udp => TcpFlags::from_bits(0),
        Transport::Tcp { flags, .. } => flags,
    }
}
