//! Whose packets are worth an explanation.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::net::IpAddr;
use std::sync::Arc;

use knock_engine::config::{Config, Door, Sequences};
use knock_engine::local::LocalAddresses;
use knock_engine::packet::Packet;
use knock_engine::wire::{self, LinkType};

use crate::run;
use crate::run::progress::Progress;
use crate::trace::Traces;

/// The ports of all knocks of all doors, whatever their protocol: a knock by the wrong protocol
/// wants an explanation most of all.
pub(super) struct KnockPorts {
    all: HashSet<u16>,
    /// Those of each door, in the order of the config.
    doors: Vec<HashSet<u16>>,
}

impl KnockPorts {
    pub(super) fn new(config: &Config) -> Self {
        let of_door = |door: &Arc<Door>| {
            let sequences: Vec<_> = match &door.sequences {
                Sequences::Fixed(sequence) => vec![sequence],
                Sequences::OneTime { lines, .. } => lines.iter().map(|its| &its.sequence).collect(),
            };
            let knocks = sequences.into_iter().flat_map(|sequence| sequence.knocks());
            knocks.map(|knock| knock.port.get()).collect()
        };
        let doors: Vec<HashSet<u16>> = config.doors.iter().map(of_door).collect();
        Self { all: doors.iter().flatten().copied().collect(), doors }
    }

    /// Tells whether any door has a knock with this port.
    pub(super) fn contains(&self, port: u16) -> bool {
        self.all.contains(&port)
    }

    /// Tells whether this door has one.
    pub(super) fn has(&self, door: usize, port: u16) -> bool {
        self.doors.get(door).is_some_and(|ports| ports.contains(&port))
    }
}

/// The sources that are explained.
#[derive(Debug)]
pub(super) struct Watched {
    sources: HashSet<IpAddr>,
    /// The one that was asked for.
    pub(super) only: Option<IpAddr>,
    /// How many more sources touched a knock port.
    pub(super) unwatched: usize,
}

/// What a source did to the knock ports.
struct Touches {
    order: usize,
    ports: HashSet<u16>,
}

/// What all sources did to the knock ports.
#[derive(Default)]
pub(super) struct AllTouches(HashMap<IpAddr, Touches>);

impl AllTouches {
    /// Reads all of the traces, or up to where they can't be read.
    pub(super) fn read(
        &mut self,
        traces: &mut Traces<File>,
        ports: &KnockPorts,
        local: &LocalAddresses,
    ) {
        let mut progress = Progress::new(run::is_live(traces));
        for count in 1_u64.. {
            if count.is_multiple_of(Progress::INTERVAL) {
                progress.update(traces);
            }
            let Ok(Some(frame)) = traces.next() else { break };
            let Ok(link) = LinkType::from_linktype(frame.link_type) else { break };
            let Ok(segment) = wire::decode(link, frame.captured) else { continue };
            if ports.contains(segment.destination_port()) {
                self.note(&segment.packet(), local);
            }
        }
        progress.finish();
    }

    /// Notes a packet to a knock port.
    pub(super) fn note(&mut self, packet: &Packet, local: &LocalAddresses) {
        // The server's own answers come from its address, and go to high ports.
        let is_our_own = matches!(local, LocalAddresses::Known(_)) && local.contains(packet.source);
        if !is_our_own {
            let order = self.0.len();
            let new = || Touches { order, ports: HashSet::new() };
            let of_source = self.0.entry(packet.source).or_insert_with(new);
            of_source.ports.insert(packet.destination_port);
        }
    }

    /// Returns the sources, those that touched the most ports first, for they are the ones that
    /// tried.
    pub(super) fn ranked(self) -> Vec<IpAddr> {
        let mut ranked: Vec<_> = self.0.into_iter().collect();
        ranked.sort_by_key(|(_, touch)| (std::cmp::Reverse(touch.ports.len()), touch.order));
        ranked.into_iter().map(|(source, _)| source).collect()
    }
}

impl Watched {
    /// The most sources that one report explains. Of more, those that touched the most knock ports
    /// are chosen, for those are the ones that tried.
    const LIMIT: usize = 200;

    /// Watches the source that was asked for.
    pub(super) fn only(source: IpAddr) -> Self {
        Self { sources: HashSet::from([source]), only: Some(source), unwatched: 0 }
    }

    /// Watches the sources that touched a knock port of this host. Where a trace can't be read,
    /// what lies before that place counts; the second reading reports the error.
    pub(super) fn find(
        traces: &mut Traces<File>,
        ports: &KnockPorts,
        local: &LocalAddresses,
    ) -> Self {
        let mut touches = AllTouches::default();
        touches.read(traces, ports, local);
        let ranked = touches.ranked();
        let unwatched = ranked.len().saturating_sub(Self::LIMIT);
        let sources = ranked.into_iter().take(Self::LIMIT).collect();
        Self { sources, only: None, unwatched }
    }

    /// Watches these sources.
    pub(super) fn these(sources: impl Iterator<Item = IpAddr>) -> Self {
        Self { sources: sources.collect(), only: None, unwatched: 0 }
    }

    pub(super) fn contains(&self, source: IpAddr) -> bool {
        self.sources.contains(&source)
    }
}
