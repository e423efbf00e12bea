//! One reading of the traces for many configs: what each of them makes of the same packets.

use std::collections::HashSet;
use std::fs::File;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use knock_engine::config::{Commands, Config, Door, Options, Sequences};
use knock_engine::local::LocalAddresses;
use knock_engine::output::Output;
use knock_engine::packet::{Protocol, TcpFlags};
use knock_engine::time::Timestamp;
use knock_engine::{Engine, HashKey};
use knock_frontend::recording::Note;

use crate::knockers::Knockers;
use crate::report::Origin;
use crate::run::frames::{Candidate, Filter, Frames, Haste, Stretch};
use crate::run::progress::Progress;
use crate::trace::Traces;

/// Is told what a config's engine says.
pub(crate) trait Observer {
    /// Is told an output of the engine, in order. `origin` is the frame that was handed to the
    /// engine; `None` where time ran on by itself.
    fn output(&mut self, output: &Output, origin: Option<Origin>);

    /// Is told of a packet that was handed to the engine, once all its outputs have been told.
    fn packet(&mut self, _candidate: &Candidate, _engine: &Engine) {}
}

/// Is told of packets beside the engines, also of some that concern no door.
pub(crate) trait Listener {
    /// Tells which packets it wants to be told of, by protocol, port and flags alone.
    fn admits(&self, protocol: Protocol, destination_port: u16, flags: TcpFlags) -> bool;

    /// Is told of the local addresses, where they are known, before any packet.
    fn local_addresses(&mut self, local: &LocalAddresses);

    /// Is told of a packet, of those that it wants or that some door may care for, in order. The
    /// engines have said what they say to it.
    fn packet(&mut self, candidate: &Candidate);
}

/// A listener that wants to be told of nothing.
struct Nobody;

impl Listener for Nobody {
    #[inline]
    fn admits(&self, _protocol: Protocol, _destination_port: u16, _flags: TcpFlags) -> bool {
        false
    }

    fn local_addresses(&mut self, _local: &LocalAddresses) {}

    fn packet(&mut self, _candidate: &Candidate) {}
}

/// A config at work, and whoever is told of it.
pub(crate) struct Ship<O> {
    engine: Engine,
    pub(crate) observer: O,
}

/// Configs that are given the same packets.
pub(crate) struct Fleet<O> {
    ships: Vec<Ship<O>>,
    net: Net,
    haste: Haste,
    /// The sources whose packets the engines are given; `None` for all.
    only: Option<Only>,
    /// The packets of a batch that the engines are given, and to which time they are woken before.
    given: Vec<(usize, Option<Timestamp>)>,
    addresses: LocalAddresses,
    /// Whether the traces may tell the local addresses.
    takes_addresses: bool,
    /// Whether any local addresses are known.
    pub(crate) knows_addresses: bool,
}

/// What passes only the packets that some config's doors may care for.
enum Net {
    /// An engine that has all doors that differ in what they may care for.
    Merged(Box<Engine>),
    /// The engines themselves: what they care for changes as they use up one-time sequences.
    Each,
}

impl<O: Observer> Fleet<O> {
    /// The key of the engines' tables. No output depends on it (S15).
    const KEY: HashKey = HashKey([0x7365_7361_6d65, 0x666c_6565_7400]);

    /// Makes an engine for each config. `local` are the local addresses that were given; where
    /// there are none, the traces may tell.
    pub(crate) fn new(configs: impl IntoIterator<Item = (Config, O)>, local: &[IpAddr]) -> Self {
        let addresses = match local {
            [] => LocalAddresses::Unknown,
            given => LocalAddresses::Known(given.to_vec()),
        };
        let configs: Vec<(Config, O)> = configs.into_iter().collect();
        let net = Net::of(configs.iter().map(|(config, _)| config));
        let haste = match net {
            Net::Merged(_) => Haste::Batch,
            Net::Each => Haste::One,
        };
        let ship = |(config, observer)| {
            let engine = Engine::new(config, addresses.clone(), Self::KEY);
            Ship { engine, observer }
        };
        Self {
            ships: configs.into_iter().map(ship).collect(),
            net,
            haste,
            only: None,
            given: Vec::new(),
            addresses,
            takes_addresses: local.is_empty(),
            knows_addresses: !local.is_empty(),
        }
    }

    /// Gives the engines only the packets of these sources, where that suffices.
    ///
    /// `config` tells what concerns a door: in that, all configs must agree.
    pub(crate) fn only(&mut self, knockers: &Rc<Knockers>, config: &Config) {
        self.only = knockers.suffice.then(|| Only {
            knockers: Rc::clone(knockers),
            engine: Engine::new(config.clone(), self.addresses.clone(), Self::KEY),
            now: Timestamp::ZERO,
            wake: None,
        });
    }

    /// Reads the traces to their end, and lets time run on until no deadline is left.
    ///
    /// # Errors
    ///
    /// A trace can't be read; everything before that place has been told then.
    pub(crate) fn read(
        &mut self,
        traces: &mut Traces<File>,
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        self.read_beside(traces, progress, &mut Nobody)
    }

    /// Like [`Fleet::read`], with a listener beside the engines.
    ///
    /// # Errors
    ///
    /// A trace can't be read; everything before that place has been told then.
    pub(crate) fn read_beside(
        &mut self,
        traces: &mut Traces<File>,
        progress: &mut Progress,
        listener: &mut impl Listener,
    ) -> anyhow::Result<()> {
        listener.local_addresses(&self.addresses);
        traces.tell_notes();
        let mut frames = Frames::new(traces, self.haste);
        let read = loop {
            progress.update(traces);
            let stretch = match &self.net {
                Net::Merged(engine) => frames.read(traces, &Either(&**engine, listener)),
                Net::Each => frames.read(traces, &Either(&AnyOf(&self.ships), listener)),
            };
            let Stretch { addresses, note, goes_on, .. } = stretch;
            let told = addresses.or_else(|| note.and_then(|(note, _)| addresses_of(note)));
            if let Some(addresses) = told.filter(|_| self.takes_addresses) {
                self.set_local(LocalAddresses::Known(addresses));
                listener.local_addresses(&self.addresses);
            }
            self.judge(frames.batch());
            frames.batch().iter().for_each(|candidate| listener.packet(candidate));
            match goes_on {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        for ship in &mut self.ships {
            while let Some(deadline) = ship.engine.poll_timeout() {
                ship.engine.handle_timeout(deadline.at);
                ship.tell(None);
            }
        }
        read
    }

    /// Returns the observers, in the order of the configs.
    pub(crate) fn into_observers(self) -> Vec<O> {
        self.ships.into_iter().map(|ship| ship.observer).collect()
    }

    fn set_local(&mut self, local: LocalAddresses) {
        self.knows_addresses = true;
        let engines = self.ships.iter_mut().map(|ship| &mut ship.engine);
        let engines = engines.chain(self.only.as_mut().map(|only| &mut only.engine));
        engines.for_each(|engine| engine.handle_local_addresses(local.clone()));
        self.addresses = local;
    }

    /// Lets every engine judge a batch at a time: what it remembers stays in the processor's cache.
    fn judge(&mut self, batch: &[Candidate]) {
        let Self { ships, only, given, .. } = self;
        given.clear();
        match only {
            Some(only) => {
                let chosen = batch.iter().enumerate();
                given.extend(chosen.filter_map(|(index, it)| Some((index, only.choose(it)?))));
            }
            None => given.extend((0..batch.len()).map(|index| (index, None))),
        }
        for ship in ships {
            ship.engine.anticipate(given.iter().map(|(index, _)| batch[*index].packet.source));
            for (index, wake) in given.iter() {
                let candidate = &batch[*index];
                if let Some(at) = wake {
                    ship.engine.handle_timeout(*at);
                    ship.tell(None);
                }
                ship.engine.handle_packet(&candidate.packet, candidate.at);
                ship.tell(Some(candidate.origin));
                ship.observer.packet(candidate, &ship.engine);
            }
        }
    }
}

/// The sources whose packets the engines are given.
struct Only {
    knockers: Rc<Knockers>,
    /// Never judges: it knows what concerns a door.
    engine: Engine,
    /// The time that all packets have reached (S1).
    now: Timestamp,
    /// The time that the engines have to be told of: other sources' packets have reached it.
    wake: Option<Timestamp>,
}

impl Only {
    /// A clock that goes back by more than that was set (S1).
    const TOLERANCE: Duration = Duration::from_secs(1);

    /// Tells whether the engines are given a packet; with it, to which time they are woken before.
    fn choose(&mut self, Candidate { packet, at, .. }: &Candidate) -> Option<Option<Timestamp>> {
        let is_chosen = self.knockers.contains(packet.source);
        if self.engine.concerns(packet) {
            // Whoever sets the clock back sets it for all.
            if at.saturating_add(Self::TOLERANCE) < self.now {
                self.now = *at;
                return Some(self.wake.take());
            }
            self.now = self.now.max(*at);
            if !is_chosen {
                self.wake = Some(self.now);
            }
        }
        is_chosen.then(|| self.wake.take())
    }
}

impl<O: Observer> Ship<O> {
    fn tell(&mut self, origin: Option<Origin>) {
        while let Some(output) = self.engine.poll_output() {
            self.observer.output(&output, origin);
        }
    }
}

impl Net {
    fn of<'a>(configs: impl Iterator<Item = &'a Config> + Clone) -> Self {
        let mut doors: Vec<Arc<Door>> = Vec::new();
        let mut known = HashSet::new();
        let is_lasting = |door: &Arc<Door>| matches!(door.sequences, Sequences::Fixed(_));
        for door in configs.flat_map(|config| &config.doors) {
            if !is_lasting(door) {
                return Self::Each;
            }
            let bare = bare(door);
            if known.insert(bare.to_string()) {
                doors.push(Arc::new(bare));
            }
        }
        if doors.len() > Config::MAX_DOORS {
            return Self::Each;
        }
        let config = Config { options: Options::default(), doors };
        let engine = Engine::new(config, LocalAddresses::Unknown, HashKey::default());
        Self::Merged(Box::new(engine))
    }
}

/// Returns a door with nothing but what decides which packets it may care for.
pub(crate) fn bare(door: &Door) -> Door {
    Door {
        name: String::new(),
        seq_timeout: Duration::ZERO,
        retransmit_window: Duration::ZERO,
        cmd_timeout: Duration::ZERO,
        cooldown: Duration::ZERO,
        failure_limit: None,
        // How many are allowed makes no difference, but whether there are any does.
        max_strays: door.max_strays.map(|_| 0),
        commands: Commands::default(),
        ..door.clone()
    }
}

/// Passes what the doors may care for, or the listener.
struct Either<'a, F, L>(&'a F, &'a L);

impl<F: Filter, L: Listener> Filter for Either<'_, F, L> {
    #[inline]
    fn admits(&self, protocol: Protocol, destination_port: u16, flags: TcpFlags) -> bool {
        self.0.admits(protocol, destination_port, flags)
            || self.1.admits(protocol, destination_port, flags)
    }
}

struct AnyOf<'a, O>(&'a [Ship<O>]);

impl<O> Filter for AnyOf<'_, O> {
    fn admits(&self, protocol: Protocol, destination_port: u16, flags: TcpFlags) -> bool {
        let admits = |ship: &Ship<O>| ship.engine.is_candidate(protocol, destination_port, flags);
        self.0.iter().any(admits)
    }
}

/// Returns the local addresses that a note of a recording tells.
pub(crate) fn addresses_of(note: Note) -> Option<Vec<IpAddr>> {
    match note {
        Note::Begin(beginning) => Some(beginning.local_addresses),
        Note::LocalAddresses { addresses, .. } => Some(addresses),
        Note::Config { .. } | Note::Wake { .. } | Note::Command { .. } | Note::End { .. } => None,
    }
}
